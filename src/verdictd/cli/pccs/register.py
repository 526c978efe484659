"""`pccs register`: platforms from the CSV of Intel's PCKIDRetrievalTool, as if each had asked ``POST /platforms``."""

import argparse
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TextIO

from verdictd.cli.exit_codes import DONE, NOT_ALL
from verdictd.cli.files import read_bounded
from verdictd.cli.pccs.opening import opened_cache
from verdictd.cli.pccs.options import add_cache_options, add_command
from verdictd.cli.printable import printable
from verdictd.cli.subcommands import Subparsers
from verdictd.core.errors import VerdictdError
from verdictd.pccs.model import Mode, Registration
from verdictd.pccs.parts import Cache
from verdictd.pccs.retrieval_csv import MAX_CSV_BYTES, parse_retrieval_csv

_UPDATES = {"standard": ("standard",), "early": ("early",), "all": ("standard", "early")}


def add_parser(subparsers: Subparsers, name: str, description: str) -> None:
    """Add the subcommand."""
    description = f"{description} (exit code 1: one was refused)"
    parser = add_command(subparsers, name, description, "pccs register pckid_retrieval.csv")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.csv", help="a line for each platform")
    parser.add_argument(
        "--update",
        choices=list(_UPDATES),
        default="standard",
        help="whose collateral to fetch as well (standard)",
    )
    add_cache_options(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace, out: TextIO, now: datetime) -> int:
    read = [registration for path in arguments.files for registration in _load(path)]  # all before any is registered
    with opened_cache(arguments, asks_upstream=True) as cache:
        return register_platforms(cache, read, out, now, updates=_UPDATES[arguments.update])


def register_platforms(
    cache: Cache,
    registrations: Sequence[Registration],
    out: TextIO,
    now: datetime,
    *,
    updates: Sequence[str] = ("standard",),
) -> int:
    """Register platforms one by one; return `NOT_ALL` where one was refused."""
    failed = 0
    for registration in registrations:
        qe_id = registration.platform.key.qe_id[:32]
        try:
            cache.pck.register(registration, now, updates=updates)
        except VerdictdError as error:
            failed += 1
            out.write(f"{'refused':>8}  {qe_id}: {printable(str(error))}\n")
    done = "queued for whoever fetches their collateral" if cache.mode is Mode.OFFLINE else "registered"
    out.write(f"{len(registrations) - failed} platforms {done}, {failed} refused\n")
    return NOT_ALL if failed else DONE


def _load(path: Path) -> tuple[Registration, ...]:
    try:
        return parse_retrieval_csv(read_bounded(str(path), MAX_CSV_BYTES))
    except VerdictdError as error:
        message = error.message if str(path) in error.message else f"{path}: {error.message}"
        raise VerdictdError(message, remedy=error.remedy) from error
