"""Collateral between the supervisor, which asks its sources, and the workers, which judge with it.

What arrives is as untrusted as it was at its source: the side that takes it verifies it under its own roots.
"""

from typing import Final, get_args

from verdictd.collateral.deadline import Deadline
from verdictd.collateral.item_parts import ItemParts, put_together, take_apart
from verdictd.collateral.items import TEE, CollateralItem, ItemKind, ItemName
from verdictd.core.errors import CollateralUnavailableError, MalformedError
from verdictd.daemon.link import Link
from verdictd.daemon.proto.collateral_pb2 import RawCollateral
from verdictd.daemon.proto.worker_pb2 import FindRequest, Frame, Item
from verdictd.tees.dcap.pck import PCKCAType

_FMSPC_BYTES: Final = 6
_GRACE_S: Final = 1.0
"""Beyond the time that the sources have, so that their reasons arrive."""


class SupervisorSource:
    """The one `CollateralSource` of a worker: the supervisor, which has the sources and asks each for an item once."""

    name = "verdictd"
    warnings = ()
    at_hand = ()

    def __init__(self, link: Link) -> None:
        self._link = link

    def fetch(self, name: ItemName, deadline: Deadline) -> tuple[CollateralItem, ...]:
        """Ask the supervisor.

        Raises:
            CollateralUnavailableError: none of the sources has it in time; with the reasons of each.
            TransportError: the supervisor is gone.
        """
        request = encode_name(name)
        request.seconds = deadline.remaining
        found = self._link.ask(Frame(find=request), timeout_s=deadline.remaining + _GRACE_S).found
        if found.reason:
            raise CollateralUnavailableError(found.reason)
        return tuple(decode_item(item) for item in found.items)


def encode_item(item: CollateralItem, *, is_from_peer: bool = False) -> Item:
    """Write an item as a message between the processes."""
    return Item(raw=encode_raw(item), is_from_peer=is_from_peer)


def decode_item(message: Item) -> CollateralItem:
    """Read an item. Errors are those of `decode_raw`."""
    return decode_raw(message.raw)


def encode_raw(item: CollateralItem) -> RawCollateral:
    """Write an item as a message, also for an operator."""
    parts = take_apart(item)
    return RawCollateral(
        kind=parts.kind,
        body=parts.body,
        signature=parts.signature,
        issuer_chain=parts.issuer_chain,
        source=parts.source,
    )


def decode_raw(message: RawCollateral) -> CollateralItem:
    """Read an item; nothing in it is verified.

    Raises:
        MalformedError: it is of no known kind.
    """
    return put_together(ItemParts(message.kind, message.body, message.signature, message.issuer_chain, message.source))


def encode_name(name: ItemName) -> FindRequest:
    """Write what an item is about as a message."""
    return FindRequest(kind=name.kind.value, tee=name.tee or "", fmspc=name.fmspc, pck_ca=name.pck_ca or "")


def decode_name(message: FindRequest) -> ItemName:
    """Read what an item is about.

    Raises:
        MalformedError: it is about nothing.
    """
    tee: TEE | None = next((tee for tee in get_args(TEE) if tee == message.tee), None)
    pck_ca: PCKCAType | None = next((name for name in get_args(PCKCAType) if name == message.pck_ca), None)
    match _kind(message.kind):
        case ItemKind.TCB_INFO if tee is not None and len(message.fmspc) == _FMSPC_BYTES:
            return ItemName(ItemKind.TCB_INFO, tee=tee, fmspc=message.fmspc)
        case ItemKind.QE_IDENTITY if tee is not None:
            return ItemName(ItemKind.QE_IDENTITY, tee=tee)
        case ItemKind.PCK_CRL if pck_ca is not None:
            return ItemName(ItemKind.PCK_CRL, pck_ca=pck_ca)
        case ItemKind.ROOT_CA_CRL:
            return ItemName(ItemKind.ROOT_CA_CRL)
        case kind:
            raise MalformedError(f"a {kind} of what is not said")


def _kind(text: str) -> ItemKind:
    try:
        return ItemKind(text)
    except ValueError as error:
        raise MalformedError(f"{text!r:.40} is no kind of collateral") from error
