"""The nouns of the cache: platforms, their PCK certificates, and in which edition collateral is kept."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal, NamedTuple, TypeAlias

from verdictd.collateral.amd_names import AMDCertificateName
from verdictd.collateral.items import VerifiedItem
from verdictd.collateral.pccs_urls import APIVersion, Update
from verdictd.tees.dcap.pck import PCKCAType

AMDProduct: TypeAlias = Literal["Milan", "Genoa", "Turin"]
AMDKeyType: TypeAlias = Literal["vcek", "vlek"]

MOST_FAILURES: Final = 1000
"""Of failures to have something, so many are looked at, the longest-standing first: anybody may ask for what there is
not."""


class Mode(StrEnum):
    """When upstream is asked. Intel's words.

    `LAZY`: whenever something is missing. `REQ`: for a platform, only when it registers. `OFFLINE`: never.
    """

    LAZY = "lazy"
    REQ = "req"
    OFFLINE = "offline"


class Edition(NamedTuple):
    """In which form a document is published. Documents of different editions never replace one another.

    Attributes:
        version: of the API: 3 has TCB info of version 2 and the standard update alone.
        update: see `Update`.
    """

    version: APIVersion = 4
    update: Update = "standard"

    def __str__(self) -> str:
        """``v4/standard``, ``v4/early``, ``v4/17``."""
        return f"v{self.version}/{self.update}"


STANDARD = Edition()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredItem:
    """An item as the database has it.

    Attributes:
        edition: where it belongs. CRLs are kept under `STANDARD` alone.
        item: verified again under the process's own roots when it was read.
        fetched_at: when its content was stored (aware).
        checked_at: when its source last confirmed that it is the newest (aware).
        revision: raised by every change of any row, for processes that follow one another.
    """

    edition: Edition
    item: VerifiedItem
    fetched_at: datetime
    checked_at: datetime
    revision: int


class PlatformKey(NamedTuple):
    """What tells one platform from another, as clients name it.

    Attributes:
        qe_id: the quoting enclave's id, upper-case hex, 1 to 260 digits.
        pce_id: 4 upper-case hex digits.
    """

    qe_id: str
    pce_id: str


class RawTCB(NamedTuple):
    """What a platform says its TCB is; no certificate need have exactly it.

    Attributes:
        cpu_svn: 16 bytes.
        pce_svn: 0 to 65535.
    """

    cpu_svn: bytes
    pce_svn: int

    def __str__(self) -> str:
        """As the header ``SGX-TCBm`` has it: 36 upper-case hex digits, PCESVN in little endian at the end."""
        return (self.cpu_svn + self.pce_svn.to_bytes(2, "little")).hex().upper()


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """A platform that is known.

    Attributes:
        key: see `PlatformKey`.
        enc_ppid: 384 bytes, or empty where it registered with a manifest, or neither is known.
        manifest: the platform manifest, or empty: multi-package platforms have one.
        fmspc: 6 bytes, empty until its certificates are held.
        ca: which CA issued them; ``None`` until then.
    """

    key: PlatformKey
    enc_ppid: bytes = b""
    manifest: bytes = b""
    fmspc: bytes = b""
    ca: PCKCAType | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PCKCertificate:
    """A PCK certificate whose chain held up to a trusted root when it was taken in.

    Attributes:
        tcb: of the TCB level it was issued for, ``SGX-TCBm``.
        pem: the certificate alone.
        components: the 16 component SVNs that it states.
        expires_at: the earliest expiry in its chain (aware).
    """

    tcb: RawTCB
    pem: bytes
    components: bytes
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PCKSet:
    """All PCK certificates of one platform, of one CA and family.

    Attributes:
        platform: with `fmspc` and `ca` known.
        certificates: one for each TCB level that has any.
        unavailable: the levels for which the vendor said "Not available".
        issuer_chain: PEM, the intermediate first, the root last.
        is_complete: whether upstream gave all there are; a PCCS upstream gives one at a time.
        fetched_at: when (aware).
    """

    platform: Platform
    certificates: tuple[PCKCertificate, ...]
    unavailable: tuple[RawTCB, ...]
    issuer_chain: bytes
    is_complete: bool
    fetched_at: datetime

    def has_any_in_time(self, at: datetime) -> bool:
        """Whether one of the certificates has not expired at an instant (aware)."""
        return any(at < each.expires_at for each in self.certificates)


class RegistrationState(StrEnum):
    """Of a platform whose collateral somebody is to fetch (`OFFLINE`), as ``GET /platforms`` names them."""

    NEW = "reg"
    NOT_AVAILABLE = "reg_na"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A platform that asked for its collateral to be cached.

    Attributes:
        platform: what it said of itself; nothing verified.
        raw_tcb: ``None`` where it registered with a manifest.
        state: see `RegistrationState`.
    """

    platform: Platform
    raw_tcb: RawTCB | None
    state: RegistrationState = RegistrationState.NEW


@dataclass(frozen=True, slots=True, kw_only=True)
class AppraisalPolicy:
    """A policy of Intel's appraisal engine, handed out as it came. It is signed by its owner; nothing is verified.

    Attributes:
        policy_id: SHA-384 of the text, lower-case hex.
        fmspc: 6 bytes.
        is_default: whether it is handed out among the defaults of its family.
        text: a JWT.
    """

    policy_id: str
    fmspc: bytes
    is_default: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AMDItem:
    """A certificate, chain or CRL of AMD's that was verified up to the pinned root of its product.

    Attributes:
        name: see `AMDCertificateName`.
        content: DER for a leaf and a CRL, PEM for a chain, as served.
        expires_at: the earliest expiry in it and its chain (aware).
        sequence: CRL number, else 0.
        fetched_at: when (aware).
    """

    name: AMDCertificateName
    content: bytes
    expires_at: datetime
    sequence: int
    fetched_at: datetime


class AMDSummary(NamedTuple):
    """How much of one kind is held of AMD's. Trust: as much as the database; nothing is verified for it.

    Attributes:
        key_type, what: see `AMDCertificateName`.
        number: of items.
        oldest_fetched_at: when the one was had that was had first (aware).
        next_expiry_at: when the first one expires (aware).
    """

    key_type: str
    what: str
    number: int
    oldest_fetched_at: datetime
    next_expiry_at: datetime


class Attempt(NamedTuple):
    """What came of asking upstream for something, for all processes to know and `pccs status` to show.

    Attributes:
        name: of what was asked for, for a person; unique.
        at: when (aware).
        failure: why it failed; empty where it went well.
        not_before: before which upstream should not be asked for it again (aware); ``None`` for at any time.
        down_since: since when every attempt has failed (aware); ``None`` where the last one went well.
    """

    name: str
    at: datetime
    failure: str
    not_before: datetime | None
    down_since: datetime | None
