"""`pccs platforms`: lists the platforms that are known, or those that wait for somebody to fetch their collateral."""

import argparse
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TextIO

from verdictd.cli.exit_codes import DONE
from verdictd.cli.pccs.opening import opened_cache
from verdictd.cli.pccs.options import add_cache_options, add_command, add_families_option
from verdictd.cli.subcommands import Subparsers
from verdictd.core.errors import ConfigError
from verdictd.core.result import JSONValue
from verdictd.pccs.model import Registration, RegistrationState
from verdictd.pccs.parts import Cache
from verdictd.pccs.retrieval_csv import encode_retrieval_csv


def add_parser(subparsers: Subparsers, name: str, description: str) -> None:
    """Add the subcommand."""
    parser = add_command(subparsers, name, description, "pccs platforms --registered --json > platform_list.json")
    add_families_option(parser)
    parser.add_argument("--registered", action="store_true", help="those that wait for somebody to fetch theirs")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="as PCKIDRetrievalTool writes them; pccs register reads it")
    form.add_argument("--json", action="store_true", help="as pccsadmin fetch takes them (platform_list.json)")
    add_cache_options(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace, out: TextIO, now: datetime) -> int:
    del now
    if arguments.registered and arguments.fmspc:
        raise ConfigError("of platforms that wait, the family is not known yet", remedy="leave out --fmspc")
    with opened_cache(arguments) as cache:
        found = list_registered(cache) if arguments.registered else list_known(cache, arguments.fmspc)
        form = "csv" if arguments.csv else "json" if arguments.json else "text"
        return write_platforms(found, out, form)


def list_known(cache: Cache, families: Sequence[bytes]) -> Iterator[Registration]:
    """Go through the platforms of some families (of all, where none is named), one for each TCB they asked with."""
    for platform, raw_tcbs in cache.storage.platforms.platforms(tuple(families)):
        for raw_tcb in raw_tcbs or (None,):
            yield Registration(platform=platform, raw_tcb=raw_tcb)


def list_registered(cache: Cache) -> Iterator[Registration]:
    """Go through the platforms that wait; they go on waiting."""
    for state in RegistrationState:
        yield from cache.storage.registrations.waiting(state)


def write_platforms(found: Iterator[Registration], out: TextIO, form: str) -> int:
    """Write platforms as ``csv``, ``json`` or ``text``; return the exit code."""
    if form == "csv":
        out.writelines(encode_retrieval_csv((registration,)) for registration in found)
    elif form == "json":
        separator = "["
        for registration in found:
            out.write(f"{separator}\n    {json.dumps(_build(registration))}")
            separator = ","
        out.write("[]\n" if separator == "[" else "\n]\n")
    else:
        out.writelines(f"{_describe(registration)}\n" for registration in found)
    return DONE


def _describe(registration: Registration) -> str:
    """Name a platform for a person; its encrypted PPID and manifest are of no use to one."""
    platform = registration.platform
    family = platform.fmspc.hex().upper() or "unknown"
    ca = f", {platform.ca} CA" if platform.ca else ""
    tcb = f", asked at {registration.raw_tcb}" if registration.raw_tcb else ""
    manifest = ", with a manifest" if platform.manifest else ""
    state = ", not available" if registration.state is RegistrationState.NOT_AVAILABLE else ""
    return f"{platform.key.qe_id}, PCE {platform.key.pce_id}, family {family}{ca}{tcb}{manifest}{state}"


def _build(registration: Registration) -> JSONValue:
    platform, raw_tcb = registration.platform, registration.raw_tcb
    return {
        "qe_id": platform.key.qe_id,
        "pce_id": platform.key.pce_id,
        "cpu_svn": raw_tcb.cpu_svn.hex().upper() if raw_tcb else "",
        "pce_svn": raw_tcb.pce_svn.to_bytes(2, "little").hex().upper() if raw_tcb else "",
        "enc_ppid": platform.enc_ppid.hex().upper(),
        "platform_manifest": platform.manifest.hex().upper(),
    }
