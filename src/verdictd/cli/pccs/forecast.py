"""`pccs forecast`: which platforms change TCB status once the early TCB info is the standard one, and by what."""

import argparse
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, TextIO

from verdictd.cli.exit_codes import DONE, NOT_ALL, UNUSABLE
from verdictd.cli.pccs.opening import opened_cache
from verdictd.cli.pccs.options import add_cache_options, add_command, add_families_option
from verdictd.cli.printable import printable
from verdictd.cli.subcommands import Subparsers
from verdictd.core.result import JSONValue
from verdictd.pccs.family_forecast import FamilyForecast, forecast_families
from verdictd.pccs.forecast import Change
from verdictd.pccs.parts import Cache
from verdictd.tees.dcap.acceptance import TCBStatus

_NAMED: Final = 10
_BELOW_ALL: Final = "below all levels"


def add_parser(subparsers: Subparsers, name: str, description: str) -> None:
    """Add the subcommand."""
    parser = add_command(
        subparsers,
        name,
        f"{description} (exit code 0: none does, 1: some do, 2: it cannot be told, of some at least)",
        "pccs forecast --fmspc 00606A000000",
    )
    add_families_option(parser)
    parser.add_argument("--json", action="store_true", help="write JSON")
    add_cache_options(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace, out: TextIO, now: datetime) -> int:
    with opened_cache(arguments) as cache:
        return show_forecast(cache, arguments.fmspc, out, now, as_json=arguments.json)


def show_forecast(cache: Cache, families: Sequence[bytes], out: TextIO, now: datetime, *, as_json: bool = False) -> int:
    """Write what becomes of the platforms of some families (of all, where none is named).

    Returns:
        `NOT_ALL` where the status of some changes, else `UNUSABLE` where it cannot be told of some, else `DONE`.
    """
    found = list(forecast_families(cache.storage, families, now))
    if as_json:
        out.write(json.dumps([_build(each) for each in found], indent=4) + "\n")
    else:
        out.writelines(f"{line}\n" for each in found for line in _describe(each))
        if not found:
            out.write("no platform is known\n")
    if any(each.is_change for each in found):
        return NOT_ALL
    return DONE if found and all(each.is_told for each in found) else UNUSABLE


def _describe(forecast: FamilyForecast) -> Iterator[str]:
    name = forecast.fmspc.hex().upper() or "unknown"
    if forecast.problem:
        yield f"family {name}: cannot be told: {forecast.problem}"
        return
    numbers = f"number {forecast.standard_number} to {forecast.early_number}"
    yield f"family {name}, {forecast.platforms} platforms, TCB evaluation data {numbers}:"
    for change, count in forecast.changes:
        yield f"    {count} at {change.tcb}: {printable(_describe_change(change))}"
    if forecast.untold:
        yield f"    {forecast.untold} cannot be told: they never asked, or no certificate for their TCB is held"
    for key in forecast.changing[:_NAMED]:
        yield f"    changes: {key.qe_id}, PCE {key.pce_id}"
    if len(forecast.changing) > _NAMED:
        yield "    and more (--json)"


def _describe_change(change: Change) -> str:
    advisories = f"; advisories {', '.join(change.advisories)}" if change.advisories else ""
    if not change.is_change:
        return f"stays {_show(change.after)}{advisories}"
    shortfalls = "; ".join(str(shortfall) for shortfall in change.shortfalls)
    by = f": {shortfalls}" if shortfalls else ": Intel judges its level otherwise"
    return f"{_show(change.before)} becomes {_show(change.after)}{by}{advisories}"


def _show(status: TCBStatus | None) -> str:
    return _BELOW_ALL if status is None else str(status)


def _build(forecast: FamilyForecast) -> JSONValue:
    return {
        "fmspc": forecast.fmspc.hex().upper(),
        "platforms": forecast.platforms,
        "problem": forecast.problem or None,
        "standard_number": forecast.standard_number or None,
        "early_number": forecast.early_number or None,
        "changes": [_build_change(change, count) for change, count in forecast.changes],
        "changing": [{"qe_id": key.qe_id, "pce_id": key.pce_id} for key in forecast.changing],
        "untold": forecast.untold,
    }


def _build_change(change: Change, count: int) -> JSONValue:
    return {
        "tcb": str(change.tcb),
        "platforms": count,
        "is_change": change.is_change,
        "before": None if change.before is None else change.before.value,
        "after": None if change.after is None else change.after.value,
        "advisories": list(change.advisories),
        "shortfalls": [
            {"component": each.component or "PCESVN", "name": each.name or None, "found": each.found,
             "required": each.required}
            for each in change.shortfalls
        ],
    }  # fmt: skip
