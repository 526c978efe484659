"""`verdict audit`: prove that no record of the audit log is missing or changed, show records, and tell the head."""

import argparse
import json
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TextIO

from verdictd.audit.lines import AuditRecord, Head, parse_head, parse_line
from verdictd.audit.segments import Segment, read_lines, snapshot, snapshot_files
from verdictd.audit.verification import Line, Verification, verify
from verdictd.cli.subcommands import Subparsers
from verdictd.core.errors import ConfigError, VerdictdError
from verdictd.core.result import JSONValue
from verdictd.daemon.settings import DEFAULT_DATA_DIRECTORY

_DEFAULT = DEFAULT_DATA_DIRECTORY / "audit"
_HOLDS, _BROKEN = 0, 1
_SHOWN = ("id", "verdict", "outcome", "how", "by", "peer", "reason", "version", "verifier", "kept_in")
"""The members that tell a person most, in this order."""


def add_parser(subparsers: Subparsers, name: str, description: str) -> None:
    """Add the subcommands."""
    parser = subparsers.add_parser(name, help=description)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    action = actions.add_parser(
        "verify",
        help="prove that no record is missing or changed",
        description="Prove that no record of an audit log is missing or changed. What was cut off at its end, or"
        " calculated anew, shows only against a head that is known from elsewhere. Exit codes: 0 it holds, 1 it does"
        " not, 2 usage or input error.",
    )
    _add_paths(action)
    action.add_argument(
        "--expect-head",
        action="append",
        default=[],
        type=_parse_head,
        metavar="SEQ:HASH",
        help="a head known from elsewhere (verdict audit head, or verdictd's own log); repeat for several",
    )
    action.add_argument("--json", action="store_true", help="write JSON")
    action.set_defaults(run=run_verify)
    action = actions.add_parser("show", help="show the newest records")
    _add_paths(action)
    action.add_argument("--last", type=_parse_count, default=20, metavar="N", help="how many (default 20)")
    action.add_argument("--json", action="store_true", help="one JSON object a line, as they are in the log")
    action.set_defaults(run=run_show)
    action = actions.add_parser("head", help="tell what the log ends with, to be kept elsewhere")
    _add_paths(action)
    action.set_defaults(run=run_head)


def run_verify(arguments: argparse.Namespace, out: TextIO, now: datetime) -> int:
    """Run `verdict audit verify`."""
    del now
    segments = _open(arguments.path)
    found = verify(_number(segments), arguments.expect_head)
    if arguments.json:
        out.write(json.dumps(_build(found), indent=4) + "\n")
    else:
        out.writelines(f"{line}\n" for line in _describe(found, arguments.expect_head))
    return _HOLDS if found.holds else _BROKEN


def run_show(arguments: argparse.Namespace, out: TextIO, now: datetime) -> int:
    """Run `verdict audit show`; 1 where a line is no record."""
    del now
    code = _HOLDS
    for line in _read_last(_open(arguments.path), arguments.last):
        try:
            record = parse_line(line)
        except VerdictdError as error:
            code = _BROKEN
            out.write(f"no record: {error.message}; verdict audit verify says where\n")
            continue
        out.write(line.decode("ascii") if arguments.json else f"{_headline(record)}\n")
    return code


def run_head(arguments: argparse.Namespace, out: TextIO, now: datetime) -> int:
    """Run `verdict audit head`."""
    del now
    whole = [line for line in _read_last(_open(arguments.path), 2) if line.endswith(b"\n")]
    if not whole:
        raise ConfigError("the audit log has no record yet", remedy="start verdictd, which records its start")
    out.write(f"{parse_line(whole[-1]).head}\n")
    return 0


def _add_paths(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "path",
        nargs="*",
        type=Path,
        metavar="DIRECTORY|FILE",
        help=f"the log's directory, or segments of it in their order (default {_DEFAULT})",
    )


def _open(paths: Sequence[Path]) -> list[Segment]:
    segments: list[Segment] = []
    for path in paths or [_DEFAULT]:
        found = snapshot(path) if path.is_dir() else snapshot_files([path])
        if not found:
            raise ConfigError(f"there is no audit log in {path}", remedy="name the directory audit in the --data-dir")
        segments += found
    return segments


def _number(segments: Sequence[Segment]) -> Iterator[Line]:
    for segment in segments:
        for number, line in enumerate(read_lines(segment), 1):
            yield Line(segment.path.name, number, line)


def _read_last(segments: Sequence[Segment], count: int) -> list[bytes]:
    """Return the newest lines, the oldest of them first."""
    lines: list[bytes] = []
    for segment in reversed(segments):
        if len(lines) >= count:
            break
        lines = [*deque(read_lines(segment), count - len(lines)), *lines]
    return lines


def _describe(found: Verification, expected: Sequence[Head]) -> Iterator[str]:
    for finding in found.findings:
        yield finding.sentence
    if found.more_findings:
        yield f"and {found.more_findings} more"
    if found.head is None or found.first is None:
        yield "there is no record"
    else:
        yield f"{found.records} records, from {found.first} to {found.head.seq}"
        if found.first > 1:
            yield f"records before {found.first} are not here, and nothing is said of them"
        yield f"head {found.head}"
    if not found.holds:
        yield "BROKEN"
        return
    if not expected:
        yield "whether records were cut off at the end shows only against a head known from elsewhere: --expect-head"
    yield "HOLDS: no record is missing or changed"


def _build(found: Verification) -> JSONValue:
    return {
        "holds": found.holds,
        "records": found.records,
        "first": found.first,
        "head": None if found.head is None else str(found.head),
        "more_findings": found.more_findings,
        "findings": [
            {
                "place": finding.place,
                "seq": finding.seq,
                "expected": finding.expected,
                "found": finding.found,
                "remedy": finding.remedy,
            }
            for finding in found.findings
        ],
    }


def _headline(record: AuditRecord) -> str:
    content = record.content
    words = [str(content[name]) for name in _SHOWN if name in content]
    text = "  ".join([f"{record.seq:>8}", record.at, f"{content.get('kind', '?')!s:<18}", *words])
    return "".join(character if character.isprintable() else f"\\x{ord(character):02x}" for character in text)


def _parse_head(text: str) -> Head:
    try:
        return parse_head(text)
    except VerdictdError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _parse_count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r:.40} is not a number from 1 to 1000000")
    return int(text)
