"""A set of collateral in one JSON file, in the form that `dcap-qvl` reads and writes.

Members: ``tcb_info``, ``tcb_info_signature`` (hex), ``tcb_info_issuer_chain`` (PEM); the same three of ``qe_identity``;
``pck_crl`` and ``root_ca_crl`` (hex); ``pck_crl_issuer_chain`` (PEM), which older files lack; and sometimes
``pck_certificate_chain``. The documents are the exact text that was signed.

Several sets are one file of ours: a JSON object whose only member, ``collateral_sets``, is a list of them.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Final

from verdictd.collateral.certificate_pool import CertificatePool
from verdictd.collateral.encodings import decode_crl, decode_issuer_chain
from verdictd.collateral.items import CollateralItem, ItemKind
from verdictd.core.errors import CollateralError, MalformedError
from verdictd.tees.dcap.collateral import RevocationList, SignedDocument

COLLATERAL_MEMBERS: Final = frozenset({"tcb_info", "qe_identity", "pck_crl", "root_ca_crl"})
SETS_MEMBER: Final = "collateral_sets"


def parse_collateral_set(members: Mapping[str, object], source: str) -> tuple[CollateralItem, ...]:
    """Read the items that a set holds; it need not be complete.

    Args:
        members: the parsed JSON object, of which at least one of `COLLATERAL_MEMBERS` is a member.
        source: where it came from, for the operator.
    Raises:
        MalformedError, LimitExceededError: an item that does not follow the form.
    """
    items = []
    for kind in (ItemKind.TCB_INFO, ItemKind.QE_IDENTITY):
        body = _text(members, kind.value)
        if body is not None:
            raw: SignedDocument | RevocationList = SignedDocument(
                body=body,
                signature=_signature(members, f"{kind.value}_signature"),
                issuer_chain=_required(members, f"{kind.value}_issuer_chain"),
                source=source,
            )
            items.append(CollateralItem(kind=kind, raw=raw))
    for kind in (ItemKind.PCK_CRL, ItemKind.ROOT_CA_CRL):
        text = _text(members, kind.value)
        if text is not None:
            der = decode_crl(text, kind.value)
            chain = _pck_crl_chain(members, der, source) if kind is ItemKind.PCK_CRL else b""
            items.append(CollateralItem(kind=kind, raw=RevocationList(der=der, issuer_chain=chain, source=source)))
    return tuple(items)


def parse_collateral_sets(file: Mapping[str, object], source: str) -> tuple[CollateralItem, ...]:
    """Read the items of several sets.

    Args:
        file: the parsed JSON object, of which `SETS_MEMBER` is a member.
        source: where it came from, for the operator.
    Raises:
        MalformedError, LimitExceededError: it is no list of sets, or an item does not follow the form.
    """
    sets = file[SETS_MEMBER]
    if not isinstance(sets, list):
        raise MalformedError(f"{SETS_MEMBER} is {type(sets).__name__}, expected a list")
    items: list[CollateralItem] = []
    for number, members in enumerate(sets, 1):
        if not isinstance(members, dict) or not COLLATERAL_MEMBERS & members.keys():
            raise MalformedError(f"number {number} of {SETS_MEMBER} is no set of collateral")
        items += parse_collateral_set(members, source)
    return tuple(items)


def encode_collateral_sets(items: Iterable[CollateralItem]) -> bytes:
    """Write items, of any platforms and roots, as one file; the inverse of `parse_collateral_sets`, but for sources.

    Raises:
        MalformedError: an item is not text where the form has text, as none that was verified is.
    """
    return json.dumps({SETS_MEMBER: [_encode_item(item) for item in items]}, indent=1).encode("ascii")


def _encode_item(item: CollateralItem) -> dict[str, str]:
    """Write one item as a set that holds nothing else."""
    raw, kind = item.raw, item.kind.value
    try:
        if isinstance(raw, SignedDocument):
            return {
                kind: raw.body.decode("utf-8"),
                f"{kind}_signature": raw.signature.hex(),
                f"{kind}_issuer_chain": raw.issuer_chain.decode("utf-8"),
            }
        if item.kind is ItemKind.PCK_CRL:
            return {kind: raw.der.hex(), "pck_crl_issuer_chain": raw.issuer_chain.decode("utf-8")}
    except UnicodeDecodeError as error:
        raise MalformedError(f"{kind} from {raw.source} is not text") from error
    return {kind: raw.der.hex()}


def _pck_crl_chain(members: Mapping[str, object], der: bytes, source: str) -> bytes:
    """Return the chain of the PCK CRL's issuer: its own member, or out of the PCK certificate's chain, or none."""
    chain = _text(members, "pck_crl_issuer_chain")
    if chain is not None:
        return decode_issuer_chain(chain, "pck_crl_issuer_chain")
    pck_chain = _text(members, "pck_certificate_chain")
    if pck_chain is None:
        return b""
    pool = CertificatePool()
    pool.add_pem(pck_chain)
    try:
        return pool.chain_for_crl(der, source)
    except CollateralError:
        return b""  # another CA's; the item is then refused for want of a chain


def _text(members: Mapping[str, object], name: str) -> bytes | None:
    """Return a member's text; ``None`` where it is absent, null or empty."""
    value = members.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise MalformedError(f"{name} is {type(value).__name__}, expected text")
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise MalformedError(f"{name} is not text that can be written in UTF-8") from error


def _required(members: Mapping[str, object], name: str) -> bytes:
    value = _text(members, name)
    if value is None:
        raise MalformedError(f"{name} is missing")
    return value


def _signature(members: Mapping[str, object], name: str) -> bytes:
    text = _required(members, name)
    try:
        signature = bytes.fromhex(text.decode("ascii"))
    except ValueError as error:
        raise MalformedError(f"{name} is not hex text") from error
    if len(signature) != 64:
        raise MalformedError(f"{name} is {len(signature)} bytes long, expected 64")
    return signature
