"""`pccs export`: what is held of some families, in one file, for where there is no upstream."""

import argparse
import os
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TextIO

from verdictd.cli.exit_codes import DONE, NOT_ALL
from verdictd.cli.pccs.opening import opened_cache
from verdictd.cli.pccs.options import add_cache_options, add_command, add_families_option
from verdictd.cli.subcommands import Subparsers
from verdictd.core.errors import ConfigError
from verdictd.pccs.bundle import write_bundle
from verdictd.pccs.exporting import export_entries, find_absent_families
from verdictd.pccs.parts import Cache


def add_parser(subparsers: Subparsers, name: str, description: str) -> None:
    """Add the subcommand."""
    parser = add_command(subparsers, name, description, "pccs export --fmspc 00606A000000 -o bundle")
    add_families_option(parser)
    parser.add_argument("--all", action="store_true", help="everything that is held")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="the file to write or replace")
    add_cache_options(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace, out: TextIO, now: datetime) -> int:
    if bool(arguments.fmspc) is arguments.all:
        raise ConfigError("export needs either --fmspc, or --all", remedy="pccs platforms lists what there is")
    with opened_cache(arguments) as cache:
        return export_to(cache, arguments.fmspc, arguments.output, out, now)


def export_to(cache: Cache, families: list[bytes], path: Path, out: TextIO, now: datetime) -> int:
    """Write what is held of some families (of all, where none is named) into a file, whole or not at all.

    Returns:
        The exit code: `NOT_ALL` where there is nothing of a family, or nothing at all.
    Raises:
        ConfigError: the file cannot be written.
    """
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                count = write_bundle(export_entries(cache.storage, families), now, file)
                file.flush()
                os.fsync(file.fileno())
            size = temporary.stat().st_size
            temporary.chmod(0o640)  # platforms, and which of them there are, are nobody else's business
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}", remedy="name another with -o") from error
    out.write(f"{count} items, {size} bytes in {path}; pccs import reads it\n")
    absent = find_absent_families(cache.storage, families)
    for family in absent:
        name = family.hex().upper()
        out.write(f"nothing is held of the family {name}: pccs platforms lists those there are\n")
    return NOT_ALL if absent or not count else DONE
