"""`pccs status`: what is held, how fresh it is, and what needs attention, that first."""

import argparse
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Final, TextIO

from verdictd.cli.exit_codes import DONE, NOT_ALL
from verdictd.cli.pccs.instants import show_expiry, show_instant, show_span
from verdictd.cli.pccs.opening import opened_cache
from verdictd.cli.pccs.options import add_cache_options, add_command
from verdictd.cli.printable import printable
from verdictd.cli.subcommands import Subparsers
from verdictd.core.result import JSONValue
from verdictd.pccs.model import Attempt
from verdictd.pccs.overview import HeldItem, Overview, Urgency, take_overview
from verdictd.pccs.parts import Cache

_SHOWN_FINE: Final = 12
_SHOWN: Final = 20
"""So many lines of each part fit on a screen; --json and --all show every one."""


def add_parser(subparsers: Subparsers, name: str, description: str) -> None:
    """Add the subcommand."""
    parser = add_command(
        subparsers, name, f"{description} (exit code 1: something is expired or will be soon, or failed last)",
        "pccs status --json",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="write JSON")
    parser.add_argument("--all", action="store_true", help="show every item, however many there are")
    add_cache_options(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace, out: TextIO, now: datetime) -> int:
    with opened_cache(arguments) as cache:
        return show_status(cache, out, now, as_json=arguments.json, everything=arguments.all)


def show_status(cache: Cache, out: TextIO, now: datetime, *, as_json: bool = False, everything: bool = False) -> int:
    """Write what there is; return `NOT_ALL` where something needs attention."""
    overview = take_overview(cache.storage, now)
    if as_json:
        out.write(json.dumps(_build(overview, cache, now), indent=4) + "\n")
    else:
        out.write("\n".join(_describe(overview, cache, now, everything=everything)) + "\n")
    return NOT_ALL if overview.needs_attention(now) else DONE


def _describe(overview: Overview, cache: Cache, now: datetime, *, everything: bool) -> Iterator[str]:
    by_urgency: dict[Urgency, list[HeldItem]] = {urgency: [] for urgency in Urgency}
    for item in overview.items:
        by_urgency[item.urgency(now)].append(item)
    if overview.down_since is not None:
        span = show_span(now - overview.down_since)
        yield f"UPSTREAM has been failing since {show_instant(overview.down_since)}, for {span}"
    yield from _part("failed last", [_describe_failure(each, now) for each in overview.failures], _SHOWN, everything)
    for urgency, title, shown in (
        (Urgency.EXPIRED, "expired, and given to nobody", _SHOWN),
        (Urgency.EXPIRES_SOON, "expire soon", _SHOWN),
        (Urgency.FINE, "in time", _SHOWN_FINE),
    ):
        lines = [_describe_item(each, now) for each in by_urgency[urgency]]
        yield from _part(title, lines, shown, everything)
    if not overview.items:
        yield "nothing is held yet"
    families = ", ".join(f"{fmspc.hex().upper() or 'unknown'}: {count}" for fmspc, count in overview.families)
    yield f"{overview.platforms} platforms{f' ({families})' if families else ''}"
    if overview.waiting or overview.not_available:
        yield (
            f"{overview.waiting} registrations wait for somebody to fetch their collateral,"
            f" {overview.not_available} have no certificates (pccs platforms --registered)"
        )
    roots = ", ".join(f"{root.label}{'' if root.is_intel else ' (NOT INTEL)'}" for root in cache.roots.roots)
    yield f"trusts {roots}"


def _part(title: str, lines: list[str], shown: int, everything: bool) -> Iterator[str]:  # noqa: FBT001 - private
    if not lines:
        return
    yield f"{len(lines)} {title}:"
    count = len(lines) if everything else shown
    yield from (f"    {printable(line)}" for line in lines[:count])
    if len(lines) > count:
        yield f"    and {len(lines) - count} more (--all)"


def _describe_item(item: HeldItem, now: datetime) -> str:
    edition = f", {item.edition}" if item.edition else ""
    expiry = show_expiry(item.expires_at, now)
    return f"{item.name}{edition}, number {item.sequence}: {expiry}; confirmed {show_span(now - item.checked_at)} ago"


def _describe_failure(attempt: Attempt, now: datetime) -> str:
    since = f", since {show_instant(attempt.down_since)}" if attempt.down_since else ""
    wait = ""
    if attempt.not_before is not None and attempt.not_before > now:
        wait = f" (asked again from {show_instant(attempt.not_before)} on)"
    return f"{attempt.name}{since}: {attempt.failure}{wait}"


def _build(overview: Overview, cache: Cache, now: datetime) -> JSONValue:
    return {
        "needs_attention": overview.needs_attention(now),
        "upstream_down_since": _instant(overview.down_since),
        "failures": [
            {
                "name": attempt.name,
                "at": show_instant(attempt.at),
                "failure": attempt.failure,
                "down_since": _instant(attempt.down_since),
                "not_before": _instant(attempt.not_before),
            }
            for attempt in overview.failures
        ],
        "items": [
            {
                "name": item.name,
                "edition": item.edition or None,
                "urgency": item.urgency(now).name.lower().replace("_", "-"),
                "expires_at": show_instant(item.expires_at),
                "fetched_at": show_instant(item.fetched_at),
                "checked_at": show_instant(item.checked_at),
                "number": item.sequence,
                "source": item.source or None,
            }
            for item in overview.items
        ],
        "platforms": overview.platforms,
        "families": {fmspc.hex().upper(): count for fmspc, count in overview.families},
        "registrations": {"waiting": overview.waiting, "not_available": overview.not_available},
        "trust_roots": [
            {"label": root.label, "fingerprint": root.fingerprint, "is_intel": root.is_intel}
            for root in cache.roots.roots
        ],
    }


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else show_instant(instant)
