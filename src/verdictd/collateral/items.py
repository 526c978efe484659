"""Items of collateral: what each is about, and what its verification established."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal, NamedTuple, TypeAlias

from verdictd.core.errors import AuthenticityError, UnsupportedError
from verdictd.tees.dcap.collateral import Collateral, RevocationList, SignedDocument
from verdictd.tees.dcap.endorsements import (
    VerifiedCRL,
    VerifiedQEIdentity,
    VerifiedTCBInfo,
    verify_pck_crl,
    verify_qe_identity,
    verify_root_ca_crl,
    verify_tcb_info,
)
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.pck import PCKCAType
from verdictd.tees.dcap.trust_roots import TrustRoot, TrustRoots
from verdictd.tees.dcap.x509_names import common_name

TEE: TypeAlias = Literal["SGX", "TDX"]
_Verified: TypeAlias = VerifiedTCBInfo | VerifiedQEIdentity | VerifiedCRL

_QUOTING_ENCLAVES: Final[dict[str, TEE]] = {"QE": "SGX", "TD_QE": "TDX"}


class ItemKind(StrEnum):
    """The kinds of items, named as the members of `Collateral`; no appraisal needs the identity of the QvE."""

    TCB_INFO = "tcb_info"
    QE_IDENTITY = "qe_identity"
    PCK_CRL = "pck_crl"
    ROOT_CA_CRL = "root_ca_crl"
    QVE_IDENTITY = "qve_identity"


class ItemName(NamedTuple):
    """What an item is about. Items of one name, under one root, replace one another.

    Attributes:
        kind: which kind of item.
        tee: whose TCB info or QE identity; ``None`` for CRLs.
        fmspc: 6 bytes for TCB info, else empty.
        pck_ca: whose PCK CRL; ``None`` for other kinds.
    """

    kind: ItemKind
    tee: TEE | None = None
    fmspc: bytes = b""
    pck_ca: PCKCAType | None = None

    def __str__(self) -> str:
        """The name for a person."""
        match self.kind:
            case ItemKind.TCB_INFO:
                return f"{self.tee} TCB info for FMSPC {self.fmspc.hex()}"
            case ItemKind.QE_IDENTITY:
                return f"{self.tee} QE identity"
            case ItemKind.PCK_CRL:
                return f"CRL of the PCK {self.pck_ca} CA"
            case ItemKind.ROOT_CA_CRL:
                return "CRL of the root CA"
            case ItemKind.QVE_IDENTITY:
                return "QvE identity"


class ItemKey(NamedTuple):
    """An item's name under one root (SHA-256 of the root's certificate, lower-case hex)."""

    root: str
    name: ItemName


@dataclass(frozen=True, slots=True, kw_only=True)
class CollateralItem:
    """One item as it arrived: raw, with its source, nothing verified."""

    kind: ItemKind
    raw: SignedDocument | RevocationList

    def __post_init__(self) -> None:
        documents = {ItemKind.TCB_INFO, ItemKind.QE_IDENTITY, ItemKind.QVE_IDENTITY}
        if isinstance(self.raw, SignedDocument) is not (self.kind in documents):
            raise TypeError(f"{type(self.raw).__name__} cannot be {self.kind}")

    @property
    def source(self) -> str:
        """Where it came from, for the operator."""
        return self.raw.source

    @property
    def size(self) -> int:
        """Bytes it takes to keep."""
        content = self.raw.body if isinstance(self.raw, SignedDocument) else self.raw.der
        return len(content) + len(self.raw.issuer_chain)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedItem:
    """An item whose signature and chain hold up to a trusted root. Only `verify_item` makes one. Not judged: time.

    Attributes:
        item: the item as it arrived.
        key: what it is about, under which root.
        root: the root that vouches for it.
        issue_date, next_update: its own dates.
        expires_at: the earliest of `next_update` and the expiry of its chain.
        sequence: (evaluation data number or CRL number, issue date); higher is newer.
    """

    item: CollateralItem
    key: ItemKey
    root: TrustRoot
    issue_date: datetime
    next_update: datetime
    expires_at: datetime
    sequence: tuple[int, datetime]

    def is_in_time(self, at: datetime) -> bool:
        """Whether it is valid at an instant (aware)."""
        return self.issue_date <= at < self.expires_at

    def replaces(self, other: "VerifiedItem") -> bool:
        """Whether it is newer, or the same statement of the vendor with a chain that lasts longer."""
        return (self.sequence, self.expires_at) > (other.sequence, other.expires_at)


def verify_item(item: CollateralItem, roots: TrustRoots, memory: FactMemory) -> VerifiedItem:
    """Verify an item up to a trusted root, and read what it is about from what was signed.

    Raises:
        MalformedError, UnsupportedError, LimitExceededError: it does not follow its format, or is for nothing known.
        AuthenticityError: its signature or chain does not hold.
    """
    verified, name = _verify(item, roots, memory)
    return VerifiedItem(
        item=item,
        key=ItemKey(verified.root.fingerprint, name),
        root=verified.root,
        issue_date=verified.issue_date,
        next_update=verified.next_update,
        expires_at=verified.expires_at,
        sequence=verified.sequence,
    )


def _verify(item: CollateralItem, roots: TrustRoots, memory: FactMemory) -> tuple[_Verified, ItemName]:
    raw = item.raw
    if isinstance(raw, SignedDocument):
        if item.kind is ItemKind.TCB_INFO:
            tcb_info = verify_tcb_info(raw, roots, memory)
            tee: TEE = "TDX" if tcb_info.tee_id == "TDX" else "SGX"
            return tcb_info, ItemName(ItemKind.TCB_INFO, tee=tee, fmspc=tcb_info.fmspc)
        qe_identity = verify_qe_identity(raw, roots, memory)
        if item.kind is ItemKind.QVE_IDENTITY:
            return qe_identity, _name_qve(qe_identity)
        return qe_identity, ItemName(ItemKind.QE_IDENTITY, tee=_quoting_enclave_tee(qe_identity))
    if item.kind is ItemKind.ROOT_CA_CRL:
        return verify_root_ca_crl(raw, roots, memory), ItemName(ItemKind.ROOT_CA_CRL)
    if not raw.issuer_chain:
        raise AuthenticityError(
            "the PCK CRL came without the certificates of its issuer",
            remedy="give its issuer chain beside it (the PCCS sends it in the header SGX-PCK-CRL-Issuer-Chain)",
        )
    crl = verify_pck_crl(raw, roots, memory)
    pck_ca: PCKCAType = "platform" if common_name(crl.issuer).endswith("Platform CA") else "processor"
    return crl, ItemName(ItemKind.PCK_CRL, pck_ca=pck_ca)


def _quoting_enclave_tee(verified: VerifiedQEIdentity) -> TEE:
    enclave_id = verified.identity.enclave_id
    if enclave_id not in _QUOTING_ENCLAVES:
        raise UnsupportedError(f"the enclave identity is for {enclave_id!r:.20}, expected QE or TD_QE")
    return _QUOTING_ENCLAVES[enclave_id]


def _name_qve(verified: VerifiedQEIdentity) -> ItemName:
    if verified.identity.enclave_id != "QVE":
        raise UnsupportedError(f"the enclave identity is for {verified.identity.enclave_id!r:.20}, expected QVE")
    return ItemName(ItemKind.QVE_IDENTITY)


def split_collateral(collateral: Collateral) -> tuple[CollateralItem, ...]:
    """Take a set of collateral apart into the items that are there."""
    there = {
        ItemKind.TCB_INFO: collateral.tcb_info,
        ItemKind.QE_IDENTITY: collateral.qe_identity,
        ItemKind.PCK_CRL: collateral.pck_crl,
        ItemKind.ROOT_CA_CRL: collateral.root_ca_crl,
    }
    return tuple(CollateralItem(kind=kind, raw=raw) for kind, raw in there.items() if raw is not None)


def join_collateral(items: Mapping[ItemKind, CollateralItem]) -> Collateral:
    """Put items together into a set; kinds that are absent stay ``None``."""
    raw = {kind: item.raw for kind, item in items.items()}
    documents = {kind: value for kind, value in raw.items() if isinstance(value, SignedDocument)}
    crls = {kind: value for kind, value in raw.items() if isinstance(value, RevocationList)}
    return Collateral(
        tcb_info=documents.get(ItemKind.TCB_INFO),
        qe_identity=documents.get(ItemKind.QE_IDENTITY),
        pck_crl=crls.get(ItemKind.PCK_CRL),
        root_ca_crl=crls.get(ItemKind.ROOT_CA_CRL),
    )


def name_platform_items(tee: TEE, fmspc: bytes, pck_ca: PCKCAType) -> tuple[ItemName, ...]:
    """Name the items that the appraisal of a platform's evidence needs."""
    return (
        ItemName(ItemKind.TCB_INFO, tee=tee, fmspc=fmspc),
        ItemName(ItemKind.QE_IDENTITY, tee=tee),
        ItemName(ItemKind.PCK_CRL, pck_ca=pck_ca),
        ItemName(ItemKind.ROOT_CA_CRL),
    )
