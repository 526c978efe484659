"""`verdict policy history`: which policies and reference values were in force, and which are."""

import argparse
import json
from datetime import UTC, datetime
from typing import TextIO

from verdictd.cli.subcommands import Subparsers
from verdictd.cli.verdict.rpc import TIMEOUT_S, client_api
from verdictd.core.result import JSONValue
from verdictd.daemon.proto import policy_history_pb2 as messages
from verdictd.daemon.proto.policy_history_pb2_grpc import PolicyHistoryServiceStub

_SHOWN_DIGITS = 16


def add_history_parser(actions: Subparsers) -> None:
    """Add the action."""
    action = actions.add_parser("history", help="list what was put in force, the newest last")
    action.add_argument("--json", action="store_true", help="write JSON")
    action.set_defaults(run=run)


def run(arguments: argparse.Namespace, out: TextIO, now: datetime) -> int:
    """Run the action. `now` is not used: the daemon noted the times."""
    del now
    with client_api(arguments.client_api) as channel:
        service = PolicyHistoryServiceStub(channel)
        versions = service.ListVersions(messages.ListVersionsRequest(), timeout=TIMEOUT_S).versions
    if arguments.json:
        out.write(json.dumps([_build(version) for version in versions], indent=4) + "\n")
        return 0
    out.writelines(f"{'*' if version.in_force else ' '} {describe_version(version)}\n" for version in versions)
    out.write("* is in force\n" if versions else "nothing was put in force yet\n")
    return 0


def describe_version(version: messages.PolicyVersion) -> str:
    """One line about a version, with the digests' first digits."""
    origin = f"{_origin(version)} of {version.restored}" if version.restored else _origin(version)
    return (
        f"{version.number:>5}  {_instant(version)}  {origin:<16}"
        f"  {version.policy_name} {version.policy_digest[:_SHOWN_DIGITS]}"
        f"  {version.reference_name} {version.reference_digest[:_SHOWN_DIGITS]}"
    )


def _build(version: messages.PolicyVersion) -> JSONValue:
    return {
        "number": version.number,
        "recorded_at": _instant(version),
        "how": _origin(version),
        "restored": version.restored or None,
        "policy": version.policy_name,
        "policy_digest": version.policy_digest,
        "reference": version.reference_name,
        "reference_digest": version.reference_digest,
        "in_force": version.in_force,
    }


def _origin(version: messages.PolicyVersion) -> str:
    return messages.VersionOrigin.Name(version.origin).removeprefix("VERSION_ORIGIN_").lower()


def _instant(version: messages.PolicyVersion) -> str:
    return f"{version.recorded_at.ToDatetime(UTC):%Y-%m-%dT%H:%M:%SZ}"
