"""`verdict status`: what a daemon trusts, how it is set up, what collateral it holds, and what it has decided."""

import argparse
import json
from datetime import UTC, datetime
from typing import TextIO

from google.protobuf.timestamp_pb2 import Timestamp

from verdictd.cli.subcommands import Subparsers
from verdictd.cli.verdict.rpc import TIMEOUT_S, client_api
from verdictd.core.result import JSONValue
from verdictd.daemon.proto import verdictd_pb2 as messages
from verdictd.daemon.proto.verdictd_pb2_grpc import AttestationServiceStub


def add_parser(subparsers: Subparsers, name: str, description: str) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(name, help=description)
    parser.add_argument("--json", action="store_true", help="write JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, out: TextIO, now: datetime) -> int:
    """Run the subcommand."""
    with client_api(arguments.client_api) as channel:
        status = AttestationServiceStub(channel).GetStatus(messages.GetStatusRequest(), timeout=TIMEOUT_S)
    out.write(
        json.dumps(_build(status), indent=4) + "\n" if arguments.json else "\n".join(_describe(status, now)) + "\n"
    )
    return 0


def _describe(status: messages.GetStatusResponse, now: datetime) -> list[str]:
    lines = [f"verdictd {status.version}, started {_instant(status.started_at)}"]
    lines += [f"WARNING: {warning}" for warning in status.warnings]
    lines += [
        f"trusts {root.label}, sha256 {root.fingerprint}{'' if root.is_intel else '  (NOT INTEL)'}"
        for root in status.trust_roots
    ]
    for pair in status.policies:
        lines.append(
            f"{pair.tee} is judged by {pair.policy_name} ({pair.policy_digest[:16] or 'absent'})"
            f" with {pair.reference_name} ({pair.reference_digest[:16] or 'absent'})"
        )
        if pair.problem:
            lines.append(f"    every peer is refused: {pair.problem}")
    lines.append(f"holds {len(status.collateral)} collateral items" + (":" if status.collateral else ""))
    for held in sorted(status.collateral, key=lambda item: item.next_update.seconds):
        left = held.next_update.ToDatetime(UTC) - now
        expiry = f"expires in {left.days} days" if left.days >= 0 else "EXPIRED"
        lines.append(f"    {held.kind} {held.key}: until {_instant(held.next_update)} ({expiry}), from {held.source}")
    if status.last_collateral_failure:
        lines.append(f"    failed last: {status.last_collateral_failure}")
    counts = status.counts
    lines.append(f"accepted {counts.accepted}, refused {counts.refused}, open connections {counts.open_connections}")
    lines.append(f"{status.workers} workers serve; audit log {status.audit_head or 'UNREADABLE'}")
    lines += [f"    {name} = {value}" for name, value in sorted(status.settings.items())]
    return lines


def _build(status: messages.GetStatusResponse) -> JSONValue:
    return {
        "version": status.version,
        "started_at": _instant(status.started_at),
        "warnings": list(status.warnings),
        "trust_roots": [
            {"label": root.label, "fingerprint": root.fingerprint, "is_intel": root.is_intel}
            for root in status.trust_roots
        ],
        "policies": [
            {
                "tee": pair.tee,
                "policy": pair.policy_name,
                "policy_digest": pair.policy_digest,
                "reference": pair.reference_name,
                "reference_digest": pair.reference_digest,
                "problem": pair.problem or None,
            }
            for pair in status.policies
        ],
        "collateral": [
            {
                "kind": held.kind,
                "key": held.key,
                "source": held.source,
                "issue_date": _instant(held.issue_date),
                "next_update": _instant(held.next_update),
            }
            for held in status.collateral
        ],
        "counts": {
            "accepted": status.counts.accepted,
            "refused": status.counts.refused,
            "open_connections": status.counts.open_connections,
        },
        "workers": status.workers,
        "last_collateral_failure": status.last_collateral_failure or None,
        "audit_head": status.audit_head,
        "settings": {name: json.loads(value) for name, value in status.settings.items()},
    }


def _instant(message: Timestamp) -> str:
    return f"{message.ToDatetime(UTC):%Y-%m-%dT%H:%M:%SZ}"
