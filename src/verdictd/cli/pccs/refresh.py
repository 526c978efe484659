"""`pccs refresh`: upstream is asked for everything that is held, item by item, and what became of each is told."""

import argparse
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TextIO

from verdictd.cli.exit_codes import DONE, NOT_ALL
from verdictd.cli.pccs.opening import opened_cache
from verdictd.cli.pccs.options import add_cache_options, add_command, add_families_option
from verdictd.cli.printable import printable
from verdictd.cli.subcommands import Subparsers
from verdictd.core.errors import ConfigError
from verdictd.pccs.model import Mode
from verdictd.pccs.parts import Cache


def add_parser(subparsers: Subparsers, name: str, description: str) -> None:
    """Add the subcommand."""
    description = f"{description} (exit code 1: something was not had)"
    parser = add_command(subparsers, name, description, "pccs refresh --fmspc 00606A000000")
    add_families_option(parser)
    parser.add_argument("--certs", action="store_true", help="the PCK certificates instead of collateral")
    add_cache_options(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace, out: TextIO, now: datetime) -> int:
    with opened_cache(arguments, asks_upstream=True) as cache:
        return refresh(cache, arguments.fmspc, out, now, certificates=arguments.certs)


def refresh(cache: Cache, families: Sequence[bytes], out: TextIO, now: datetime, *, certificates: bool = False) -> int:
    """Ask for collateral, or PCK certificates, of some families (of all, where none is named), and tell of each.

    Raises:
        ConfigError: the cache is never to ask upstream.
    """
    if cache.mode is Mode.OFFLINE:
        raise ConfigError("the mode is offline: nobody is asked", remedy="bring collateral in with pccs import")
    failed = total = 0
    for name, failure in _ask(cache, families, now, certificates):
        total += 1
        failed += bool(failure)
        out.write(f"{'failed' if failure else 'done':>8}  {printable(f'{name}: {failure}' if failure else name)}\n")
    out.write(f"{total} asked for, {failed} failed\n" if total else "nothing is held that could be refreshed\n")
    return NOT_ALL if failed else DONE


def _ask(
    cache: Cache,
    families: Sequence[bytes],
    now: datetime,
    certificates: bool,  # noqa: FBT001 - private
) -> Iterator[tuple[str, str]]:
    seen = set()
    for fmspc in families or (b"",):
        asked = cache.pck if certificates else cache.collateral
        for name, failure in asked.refresh(now, fmspc=fmspc):
            if name not in seen:  # the identities and CRLs belong to every family
                seen.add(name)
                yield name, failure
    if not certificates and not families:
        yield from cache.amd.refresh(now)
