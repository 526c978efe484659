"""Items taken apart for the way to another process, to disk or to an operator, and put together again."""

from typing import NamedTuple

from verdictd.collateral.items import CollateralItem, ItemKind
from verdictd.collateral.source_names import one_line
from verdictd.core.errors import MalformedError
from verdictd.tees.dcap.collateral import RevocationList, SignedDocument

_DOCUMENTS = frozenset({ItemKind.TCB_INFO, ItemKind.QE_IDENTITY, ItemKind.QVE_IDENTITY})


class ItemParts(NamedTuple):
    """The parts of an item.

    Attributes:
        kind: a value of `ItemKind`.
        body: of a document what was signed, of a revocation list its DER.
        signature: of a document; empty for a revocation list.
        issuer_chain: PEM.
        source: where it came from, as a line of text.
    """

    kind: str
    body: bytes
    signature: bytes
    issuer_chain: bytes
    source: str


def take_apart(item: CollateralItem) -> ItemParts:
    """Take an item apart."""
    raw = item.raw
    body, signature = (raw.body, raw.signature) if isinstance(raw, SignedDocument) else (raw.der, b"")
    return ItemParts(item.kind.value, body, signature, raw.issuer_chain, one_line(raw.source))


def put_together(parts: ItemParts) -> CollateralItem:
    """Put an item together. Nothing in it is verified.

    Raises:
        MalformedError: it is of no known kind.
    """
    try:
        kind = ItemKind(parts.kind)
    except ValueError as error:
        raise MalformedError(f"{parts.kind!r:.40} is no kind of collateral") from error
    chain, source = parts.issuer_chain, one_line(parts.source)
    if kind in _DOCUMENTS:
        document = SignedDocument(body=parts.body, signature=parts.signature, issuer_chain=chain, source=source)
        return CollateralItem(kind=kind, raw=document)
    return CollateralItem(kind=kind, raw=RevocationList(der=parts.body, issuer_chain=chain, source=source))
