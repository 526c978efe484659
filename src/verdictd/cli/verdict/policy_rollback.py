"""`verdict policy rollback N`: put a policy and reference values that were in force, in force again."""

import argparse
import difflib
from collections.abc import Iterator
from datetime import datetime
from typing import TextIO

from verdictd.cli.printable import printable
from verdictd.cli.subcommands import Subparsers
from verdictd.cli.verdict.policy_history import describe_version
from verdictd.cli.verdict.rpc import TIMEOUT_S, client_api
from verdictd.daemon.proto import policy_history_pb2 as messages
from verdictd.daemon.proto.policy_history_pb2_grpc import PolicyHistoryServiceStub

_DONE, _REFUSED = 0, 1
_MAX_LINES = 4000
"""Of both sides. The time that a comparison takes can grow with their product."""
_MAX_DIGITS = 18


def add_rollback_parser(actions: Subparsers) -> None:
    """Add the action."""
    action = actions.add_parser(
        "rollback",
        help="put a version that was in force, in force again",
        description="Show how a version differs from what is in force, and put it in force: policy and reference values"
        " in one step, checked anew. Exit codes: 0 done, 1 refused and nothing changed, 2 usage or input error.",
    )
    action.add_argument("number", type=_parse_number, metavar="N", help="the number in verdict policy history")
    action.add_argument("--dry-run", action="store_true", help="check and show the difference; change nothing")
    action.set_defaults(run=run)


def run(arguments: argparse.Namespace, out: TextIO, now: datetime) -> int:
    """Run the action; 1 where the daemon refuses the version and keeps what it has."""
    del now
    with client_api(arguments.client_api) as channel:
        service = PolicyHistoryServiceStub(channel)
        asked = messages.RollbackRequest(number=arguments.number, dry_run=True)
        preview = service.Rollback(asked, timeout=TIMEOUT_S)
        if preview.WhichOneof("outcome") != "ok":
            return _refuse(preview, out)
        would = preview.ok
        out.write("\n".join(_compare(would)) + "\n")
        if _is_in_force(would):
            out.write(f"version {arguments.number} is in force already, nothing was changed\n")
            return _DONE
        if arguments.dry_run:
            out.writelines(f"note: {note}\n" for note in would.notes)
            out.write("a dry run, nothing was changed\n")
            return _DONE
        # What was shown must be what is replaced.
        order = messages.RollbackRequest(number=arguments.number, expected=would.replaced)
        response = service.Rollback(order, timeout=TIMEOUT_S)
    if response.WhichOneof("outcome") != "ok":
        return _refuse(response, out)
    out.writelines(f"note: {note}\n" for note in response.ok.notes)
    out.write(f"version {arguments.number} is in force again\n")
    return _DONE


def _refuse(response: messages.RollbackResponse, out: TextIO) -> int:
    remedy = f"; {response.error.remedy}" if response.error.remedy else ""
    out.write(f"refused, nothing was changed: {response.error.message}{remedy}\n")
    return _REFUSED


def _is_in_force(would: messages.RollbackDone) -> bool:
    version = would.version.version
    return (version.policy_digest, version.reference_digest) == (
        would.replaced.policy_digest,
        would.replaced.reference_digest,
    )


def _compare(would: messages.RollbackDone) -> Iterator[str]:
    version = would.version.version
    yield describe_version(version).strip()
    if not would.replaced.policy_digest:
        yield "nothing that can be used is in force; all of the version is new"
    yield from _compare_contents(version.policy_name, would.replaced_policy, would.version.policy, version.number)
    yield from _compare_contents(
        version.reference_name, would.replaced_reference, would.version.reference, version.number
    )


def _compare_contents(name: str, now: bytes, then: bytes, number: int) -> Iterator[str]:
    if now == then:
        yield f"{name}: no difference"
        return
    before, after = (content.decode("utf-8", "replace").split("\n") for content in (now, then))
    if len(before) + len(after) > _MAX_LINES:
        yield f"{name}: {len(now)} bytes in force, {len(then)} bytes in version {number}; too many lines to show"
        return
    for line in difflib.unified_diff(before, after, f"{name} in force", f"{name} of version {number}", lineterm=""):
        yield printable(line)


def _parse_number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > _MAX_DIGITS or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r:.40} is not the number of a version")
    return int(text)
