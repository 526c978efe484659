"""`verdict attestations [ID]`: why each peer was accepted or refused, from the daemon's history or as it happens."""

import argparse
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TextIO

from verdictd.cli.subcommands import Subparsers
from verdictd.cli.verdict.rpc import TIMEOUT_S, client_api
from verdictd.core.result import JSONValue
from verdictd.daemon.proto import verdictd_pb2 as messages
from verdictd.daemon.proto.verdictd_pb2_grpc import AttestationServiceStub

_MAX_LIMIT = 2**32 - 1
_MARKS = {
    messages.CHECK_RESULT_PASS: "pass",
    messages.CHECK_RESULT_FAIL: "FAIL",
    messages.CHECK_RESULT_NOT_MADE: "not made",
}


def add_parser(subparsers: Subparsers, name: str, description: str) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        name,
        help=description,
        description="List the attestations that verdictd remembers; with an ID, all their checks.",
    )
    parser.add_argument("id", nargs="?", default="", metavar="ID", help="the first digits of an attestation id")
    parser.add_argument(
        "--limit",
        type=_parse_limit,
        default=20,
        metavar="N",
        help="at most so many, the newest (default 20), 0 for all",
    )
    parser.add_argument("--follow", action="store_true", help="go on with new attestations as they happen")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, out: TextIO, now: datetime) -> int:
    """Run the subcommand; 1 where an ID was given that nobody knows."""
    del now
    with client_api(arguments.client_api) as channel:
        service = AttestationServiceStub(channel)
        stream = None
        if arguments.follow:  # from before the past is asked for, so that nothing falls between the two
            stream = service.WatchAttestations(messages.WatchAttestationsRequest(id_prefix=arguments.id.lower()))
            stream.initial_metadata()  # comes when the daemon has begun
        request = messages.ListAttestationsRequest(limit=arguments.limit, id_prefix=arguments.id.lower())
        found = service.ListAttestations(request, timeout=TIMEOUT_S).attestations
        for attestation in found:
            _write(attestation, arguments, out)
        if stream is not None:
            _follow(stream, {attestation.number for attestation in found}, arguments, out)
        elif not found:
            out.write("no attestation is remembered\n" if not arguments.id else f"no attestation {arguments.id}\n")
            return 1 if arguments.id else 0
    return 0


def _follow(
    stream: Iterable[messages.Attestation], shown: set[int], arguments: argparse.Namespace, out: TextIO
) -> None:
    out.flush()
    try:
        for attestation in stream:
            if attestation.number not in shown:
                _write(attestation, arguments, out)
                out.flush()
    except KeyboardInterrupt:
        return


def _write(attestation: messages.Attestation, arguments: argparse.Namespace, out: TextIO) -> None:
    if arguments.json:
        out.write(json.dumps(_build(attestation)) + "\n")
    elif arguments.id:
        out.write("\n".join(_describe(attestation)) + "\n")
    else:
        out.write(_headline(attestation) + "\n")


def _headline(attestation: messages.Attestation) -> str:
    instant = attestation.concluded_at.ToDatetime(UTC)
    verdict = "accepted" if attestation.verdict == messages.VERDICT_ALLOW else "REFUSED "
    return (
        f"{instant:%Y-%m-%d %H:%M:%SZ}  {attestation.id}  {verdict}  {attestation.peer_address}  {attestation.sentence}"
    )


def _describe(attestation: messages.Attestation) -> list[str]:
    lines = [_headline(attestation)]
    width = max((len(check.name) for check in attestation.checks), default=0)
    for check in attestation.checks:
        lines.append(f"{_MARKS.get(check.result, '?'):>10}  {check.name:<{width}}  {check.found}")
        if check.result != messages.CHECK_RESULT_PASS:
            lines.append(f"{'':>12}{'':<{width}}  expected: {check.expected}")
            if check.remedy:
                lines.append(f"{'':>12}{'':<{width}}  remedy:   {check.remedy}")
    if attestation.policy_parse_info_json:
        lines.append("  policy compared (evidence, reference):")
        parse_info = json.loads(attestation.policy_parse_info_json)
        lines += [
            f"    {name}: {json.dumps(pair)}" for name, pair in parse_info.items() if name not in {"sgx", "claims"}
        ]
    lines += [f"  {item} from {source}" for item, source in sorted(attestation.collateral_sources.items())]
    lines.append(f"  judged in {attestation.duration.ToTimedelta().total_seconds() * 1000:.1f} ms")
    return lines


def _parse_limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > _MAX_LIMIT:
        raise argparse.ArgumentTypeError(f"{text!r:.40} is not a number from 0 to {_MAX_LIMIT}")
    return int(text)


def _build(attestation: messages.Attestation) -> JSONValue:
    return {
        "id": attestation.id,
        "number": attestation.number,
        "concluded_at": f"{attestation.concluded_at.ToDatetime(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "peer_address": attestation.peer_address,
        "accepted": attestation.verdict == messages.VERDICT_ALLOW,
        "sentence": attestation.sentence,
        "duration_s": attestation.duration.ToTimedelta().total_seconds(),
        "appraisal": json.loads(attestation.report_json) if attestation.report_json else None,
    }
