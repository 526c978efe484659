"""`verdict collateral`: what verdictd holds of the vendor's collateral; refresh it, bring it in, or write it out."""

import argparse
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TextIO

from verdictd.cli.subcommands import Subparsers
from verdictd.cli.verdict.rpc import TIMEOUT_S, client_api
from verdictd.collateral.collateral_file import encode_collateral_sets
from verdictd.collateral.files import load_collateral
from verdictd.collateral.items import CollateralItem
from verdictd.core.errors import LimitExceededError
from verdictd.core.limits import MAX_CHAIN_BYTES, MAX_COLLATERAL_FILE_BYTES, MAX_CRL_BYTES
from verdictd.core.result import JSONValue
from verdictd.daemon.collateral_wire import decode_raw, encode_raw
from verdictd.daemon.proto import collateral_pb2 as messages
from verdictd.daemon.proto.collateral_pb2_grpc import CollateralServiceStub
from verdictd.durable.files import replace_file

_MAX_ITEM_BYTES: Final = MAX_CRL_BYTES + MAX_CHAIN_BYTES
"""Of the largest item that could be accepted."""
_MAX_CALL_BYTES: Final = _MAX_ITEM_BYTES
"""Of the items in one call, beyond the first."""


def add_parser(subparsers: Subparsers, name: str, description: str) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(name, help=description)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="show every item, when it expires, and what failed last")
    listing.add_argument("--json", action="store_true", help="write JSON")
    listing.set_defaults(run=_list)
    actions.add_parser("refresh", help="ask the sources for every item now").set_defaults(run=_refresh)
    importing = actions.add_parser("import", help="take in collateral from files; each item is verified")
    importing.add_argument("files", nargs="+", metavar="FILE", help="files or directories, in any form that is read")
    importing.set_defaults(run=_import)
    exporting = actions.add_parser("export", help="write what the sources gave into one file, which can be imported")
    exporting.add_argument("-o", "--output", required=True, metavar="FILE", help="the file to write, or to replace")
    exporting.set_defaults(run=_export)


def _list(arguments: argparse.Namespace, out: TextIO, now: datetime) -> int:
    with client_api(arguments.client_api) as channel:
        request = messages.ListCollateralRequest()
        items = list(CollateralServiceStub(channel).ListCollateral(request, timeout=TIMEOUT_S).items)
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
    outcomes: list[messages.CollateralOutcome] = []
    with client_api(arguments.client_api) as channel:
        for part in list(_split(items)):  # all looked at before any is sent
            request = messages.ImportCollateralRequest(items=[encode_raw(item) for item in part])
            outcomes += CollateralServiceStub(channel).ImportCollateral(request, timeout=TIMEOUT_S).outcomes
    return _tell(outcomes, out, bad="refused")


def _split(items: Iterable[CollateralItem]) -> Iterator[list[CollateralItem]]:
    """Split items into what one call may carry."""
    part: list[CollateralItem] = []
    size = 0
    for item in items:
        if item.size > _MAX_ITEM_BYTES:
            raise LimitExceededError(
                f"the {item.kind.value} of {item.source} is {item.size} bytes long, the limit is {_MAX_ITEM_BYTES}",
                remedy="take it away: no vendor issues any as long",
            )
        if part and size + item.size > _MAX_CALL_BYTES:
            yield part
            part, size = [], 0
        part.append(item)
        size += item.size
    if part:
        yield part


def _export(arguments: argparse.Namespace, out: TextIO, now: datetime) -> int:
    del now
    with client_api(arguments.client_api) as channel:
        request = messages.ExportCollateralRequest()
        items = [decode_raw(raw) for raw in CollateralServiceStub(channel).ExportCollateral(request, timeout=TIMEOUT_S)]
    content = encode_collateral_sets(items)
    if len(content) > MAX_COLLATERAL_FILE_BYTES:
        raise LimitExceededError(
            f"the {len(items)} items that are held are {len(content)} bytes in one file, of which"
            f" {MAX_COLLATERAL_FILE_BYTES} are read",
            remedy="copy the directory collateral of --data-dir instead, while verdictd is stopped",
        )
    if not items:
        out.write("nothing is held that sources gave\n")
        return 1
    replace_file(Path(arguments.output), content)
    out.write(f"{len(items)} items in {arguments.output}; verdict collateral import, and --collateral, read it\n")
    return 0


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
