"""`verdict collateral`: what verdictd holds of the vendor's collateral; refresh it, bring it in, or write it out."""

import argparse
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TextIO

from verdictd.cli.verdict.rpc import TIMEOUT_S, client_api
from verdictd.collateral.collateral_file import encode_item
from verdictd.collateral.files import load_collateral
from verdictd.core.errors import ConfigError
from verdictd.core.result import JSONValue
from verdictd.daemon.collateral_api import decode_raw, encode_raw
from verdictd.daemon.proto import collateral_pb2 as messages
from verdictd.daemon.proto.collateral_pb2_grpc import CollateralServiceStub


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("collateral", help="show, refresh, import and export the collateral that is held")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="show every item, when it expires, and what failed last")
    listing.add_argument("--json", action="store_true", help="write JSON")
    listing.set_defaults(run=_list)
    actions.add_parser("refresh", help="ask the sources for every item now").set_defaults(run=_refresh)
    importing = actions.add_parser("import", help="take in collateral from files; each item is verified")
    importing.add_argument("files", nargs="+", metavar="FILE", help="files or directories, in any form that is read")
    importing.set_defaults(run=_import)
    exporting = actions.add_parser("export", help="write all that is held into one directory, which can be imported")
    exporting.add_argument("-o", "--output", required=True, metavar="DIR", help="a directory that is not there yet")
    exporting.set_defaults(run=_export)


def _list(arguments: argparse.Namespace, out: TextIO, now: datetime) -> int:
    items = _fetch(arguments, with_content=False)
    if arguments.json:
        out.write(json.dumps([_build(item) for item in items], indent=4) + "\n")
        return 0
    out.write("\n".join(line for item in items for line in _describe(item, now)) + "\n" if items else "nothing\n")
    return 0


def _refresh(arguments: argparse.Namespace, out: TextIO, now: datetime) -> int:
    """Have everything refreshed; 1 where something could not be."""
    del now
    with client_api(arguments.client_api) as channel:
        request = messages.RefreshCollateralRequest()
        outcomes = CollateralServiceStub(channel).RefreshCollateral(request, timeout=TIMEOUT_S).outcomes
    return _tell(outcomes, out, bad="failed")


def _import(arguments: argparse.Namespace, out: TextIO, now: datetime) -> int:
    """Take in what the files hold; 1 where something was refused."""
    del now
    items = [item for name in arguments.files for item in load_collateral(Path(name)).items]
    with client_api(arguments.client_api) as channel:
        request = messages.ImportCollateralRequest(items=[encode_raw(item) for item in items])
        outcomes = CollateralServiceStub(channel).ImportCollateral(request, timeout=TIMEOUT_S).outcomes
    return _tell(outcomes, out, bad="refused")


def _export(arguments: argparse.Namespace, out: TextIO, now: datetime) -> int:
    del now
    items = [decode_raw(item.content) for item in _fetch(arguments, with_content=True)]
    directory = Path(arguments.output)
    try:
        directory.mkdir()
        for number, item in enumerate(items, 1):
            (directory / f"{number:04}-{item.kind.value}.json").write_bytes(encode_item(item))
    except OSError as error:
        raise ConfigError(f"{directory} cannot be written: {error.strerror}", remedy="name a new directory") from error
    out.write(f"{len(items)} items in {directory}; verdict collateral import, and --collateral, read it\n")
    return 0


def _fetch(arguments: argparse.Namespace, *, with_content: bool) -> list[messages.CollateralDescription]:
    with client_api(arguments.client_api) as channel:
        request = messages.ListCollateralRequest(with_content=with_content)
        return list(CollateralServiceStub(channel).ListCollateral(request, timeout=TIMEOUT_S).items)


def _tell(outcomes: Iterable[messages.CollateralOutcome], out: TextIO, *, bad: str) -> int:
    for outcome in outcomes:
        why = f": {outcome.reason}" if outcome.reason else ""
        out.write(f"{outcome.status:>15}  {outcome.name}{why}\n")
    return 1 if any(outcome.status == bad for outcome in outcomes) else 0


def _describe(item: messages.CollateralDescription, now: datetime) -> list[str]:
    expires_at = item.expires_at.ToDatetime(UTC)
    left = expires_at - now
    state = f"{left.days} days left" if left > timedelta() else "EXPIRED"
    lines = [f"{item.name}, number {item.number}, until {expires_at:%Y-%m-%dT%H:%M:%SZ} ({state})"]
    lines.append(f"    issued {item.issue_date.ToDatetime(UTC):%Y-%m-%dT%H:%M:%SZ} under {item.root}")
    lines.append(f"    from {item.source}{', brought by a peer' if item.is_from_peer else ''}")
    if item.HasField("next_refresh_s"):
        lines.append(f"    the sources are asked again in {item.next_refresh_s:.0f} s")
    if item.last_failure:
        lines.append(f"    failed last: {item.last_failure}")
    return lines


def _build(item: messages.CollateralDescription) -> JSONValue:
    return {
        "kind": item.kind,
        "name": item.name,
        "source": item.source,
        "root": item.root,
        "issue_date": f"{item.issue_date.ToDatetime(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "expires_at": f"{item.expires_at.ToDatetime(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "number": item.number,
        "is_from_peer": item.is_from_peer,
        "next_refresh_s": round(item.next_refresh_s, 1) if item.HasField("next_refresh_s") else None,
        "last_failure": item.last_failure or None,
    }
