"""`pccs import`: takes in bundles, and the files of Intel's tools; each piece is verified, whatever brought it."""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from io import BufferedReader
from pathlib import Path
from typing import Final, TextIO

from verdictd.cli.exit_codes import DONE, NOT_ALL
from verdictd.cli.pccs.instants import show_expiry, show_instant
from verdictd.cli.pccs.opening import opened_cache
from verdictd.cli.pccs.options import add_cache_options, add_command
from verdictd.cli.pccs.register import register_platforms
from verdictd.cli.printable import printable
from verdictd.cli.subcommands import Subparsers
from verdictd.core.errors import ConfigError, LimitExceededError, VerdictdError
from verdictd.pccs.bundle import MAGIC, BundleHeader, read_bundle
from verdictd.pccs.importing import Importer, ImportOutcome, ImportStatus
from verdictd.pccs.intel_files import MAX_INTEL_FILE_BYTES, parse_platform_collateral
from verdictd.pccs.parts import Cache
from verdictd.pccs.retrieval_csv import parse_retrieval_csv

_SHOWN_PROBLEMS: Final = 50


def add_parser(subparsers: Subparsers, name: str, description: str) -> None:
    """Add the subcommand."""
    description = f"{description} (exit code 1: something was refused or is expired)"
    parser = add_command(subparsers, name, description, "pccs import bundle platform_collaterals.json")
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="a bundle of pccs export, platform_collaterals.json of pccsadmin, or CSV of PCKIDRetrievalTool",
    )
    add_cache_options(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace, out: TextIO, now: datetime) -> int:
    with opened_cache(arguments) as cache:
        return max(import_file(cache, path, out, now) for path in arguments.files)


def import_file(cache: Cache, path: Path, out: TextIO, now: datetime) -> int:
    """Take in one file, of whatever form it is by its content.

    A file that is damaged is refused as a whole, before anything of it is kept.

    Returns:
        The exit code: `NOT_ALL` where something was refused, or is expired.
    Raises:
        VerdictdError: the file cannot be read, or is of no known form.
    """
    try:
        with _opened(path) as file:
            if file.peek(len(MAGIC)).startswith(MAGIC):
                return _import_bundle(cache, file, out, now)
            data = file.read(MAX_INTEL_FILE_BYTES + 1)
        if len(data) > MAX_INTEL_FILE_BYTES:
            raise LimitExceededError(f"it is longer than {MAX_INTEL_FILE_BYTES} bytes", remedy="split it")
        if data.lstrip()[:1] in {b"{", b"["}:
            return _import_platform_collateral(cache, data, out, now)
        return register_platforms(cache, parse_retrieval_csv(data), out, now)
    except VerdictdError as error:
        raise VerdictdError(f"{path}: {error.message}", remedy=error.remedy) from error


def _import_bundle(cache: Cache, file: BufferedReader, out: TextIO, now: datetime) -> int:
    for part in read_bundle(file):  # all looked at before any is kept
        if isinstance(part, BundleHeader):
            out.write(f"a bundle that was made on {show_instant(part.made_at)}\n")
    file.seek(0)
    entries = (part for part in read_bundle(file) if not isinstance(part, BundleHeader))
    return tell(Importer(cache).take_all(entries, now), out, now)


def _import_platform_collateral(cache: Cache, data: bytes, out: TextIO, now: datetime) -> int:
    parsed = parse_platform_collateral(data, now)
    code = tell(Importer(cache).take_all(parsed.entries, now), out, now)
    out.writelines(f"{sentence}\n" for sentence in parsed.left_out)
    return code


def tell(outcomes: Iterable[ImportOutcome], out: TextIO, now: datetime) -> int:
    """Write what became of everything, what needs attention first, then by when it expires.

    Platforms are told of by family, but for those that were refused.
    """
    problems: list[ImportOutcome] = []
    rest: dict[tuple[str, ImportStatus], tuple[int, ImportOutcome]] = {}
    refused = 0
    for outcome in outcomes:
        if outcome.is_problem:
            refused += 1
            problems += [outcome] if len(problems) < _SHOWN_PROBLEMS else []
            continue
        count, earliest = rest.get((outcome.name, outcome.status), (0, outcome))
        first = min(earliest, outcome, key=_expiry)
        rest[outcome.name, outcome.status] = count + 1, first
    out.writelines(f"{line}\n" for line in _lines(problems, refused, list(rest.values()), now))
    return NOT_ALL if refused or any(outcome.needs_attention(now) for _, outcome in rest.values()) else DONE


def _lines(
    problems: Sequence[ImportOutcome], refused: int, rest: list[tuple[int, ImportOutcome]], now: datetime
) -> Iterator[str]:
    for problem in problems:
        yield f"{problem.status:>23}  {printable(f'{problem.name}: {problem.reason}')}"
    if refused > len(problems):
        yield f"                         and {refused - len(problems)} more that were refused"
    for count, outcome in sorted(rest, key=lambda each: _expiry(each[1])):
        many = f" ({count} platforms)" if outcome.is_platform else ""
        yield f"{outcome.status:>23}  {printable(outcome.name)}{many}: {show_expiry(_expiry(outcome), now)}"
    if not rest and not refused:
        yield "there is nothing in it"


def _expiry(outcome: ImportOutcome) -> datetime:
    assert outcome.expires_at is not None, "only what was refused has none"
    return outcome.expires_at


@contextmanager
def _opened(path: Path) -> Iterator[BufferedReader]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise ConfigError(f"it cannot be read: {error.strerror}", remedy="name a file that can be") from error
