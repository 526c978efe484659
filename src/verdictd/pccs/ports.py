"""What the parts of the cache ask of one another. The database implements the first half, the services the second."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Protocol

from verdictd.collateral.amd_names import AMDCertificateName
from verdictd.collateral.items import CollateralItem, ItemKey, ItemName, VerifiedItem
from verdictd.pccs.model import (
    AMDItem,
    AMDSummary,
    AppraisalPolicy,
    Attempt,
    Edition,
    PCKCertificate,
    PCKSet,
    Platform,
    PlatformKey,
    RawTCB,
    Registration,
    RegistrationState,
    StoredItem,
)


class ItemStorage(Protocol):
    """Keeps collateral. Only verified items come in; each is verified again when it is read, and passed over if not.

    All methods of the storages may be called from any thread, by several processes on one database. They raise
    `StorageError` where the database fails.
    """

    def keep(self, edition: Edition, item: VerifiedItem, at: datetime) -> bool:
        """Store an item unless what is there is as new, in one transaction; one that is as new confirms it.

        Returns:
            Whether the content changed.
        """

    def get(self, edition: Edition, key: ItemKey) -> StoredItem | None:
        """Return what is stored."""

    def changed_since(self, revision: int) -> Sequence[StoredItem]:
        """Return what was changed after a revision, oldest first; all there is for 0."""


class PlatformStorage(Protocol):
    """Keeps platforms and their PCK certificates."""

    def keep(self, pck_set: PCKSet) -> None:
        """Store a platform and its certificates, in one transaction.

        A complete set replaces what is there, the answers found for raw TCBs included; an incomplete one adds to it.
        """

    def get(self, key: PlatformKey) -> PCKSet | None:
        """Return a platform and its certificates; ``None`` where it has none."""

    def platform(self, key: PlatformKey) -> Platform | None:
        """Return what is known of a platform."""

    def answer(self, key: PlatformKey, raw_tcb: RawTCB) -> tuple[PCKCertificate, PCKSet] | None:
        """Return the certificate that was chosen for a raw TCB before, with its set."""

    def keep_answer(self, key: PlatformKey, raw_tcb: RawTCB, chosen: RawTCB) -> None:
        """Remember which certificate was chosen for a raw TCB."""

    def platforms(
        self, fmspcs: Sequence[bytes] = (), *, fetched_before: datetime | None = None
    ) -> Iterator[tuple[Platform, tuple[RawTCB, ...]]]:
        """Go through platforms, with the raw TCBs they asked for.

        Args:
            fmspcs: of which families; of all where none is named.
            fetched_before: only those whose certificates were had before an instant.
        """

    def families(self) -> Sequence[tuple[bytes, int]]:
        """Return the families (FMSPC) there are platforms of, and how many of each."""

    def count(self) -> int:
        """Return how many platforms there are."""


class RegistrationStorage(Protocol):
    """Keeps the platforms that wait for somebody to fetch their collateral."""

    def add(self, registration: Registration) -> None:
        """Add one, or replace that of the same platform and raw TCB."""

    def waiting(self, state: RegistrationState) -> Sequence[Registration]:
        """Return those in a state, and leave them."""

    def take(self, state: RegistrationState) -> Sequence[Registration]:
        """Return those in a state, and remove them, in one transaction."""

    def count(self, state: RegistrationState) -> int:
        """Return how many are in a state."""


class PolicyStorage(Protocol):
    """Keeps appraisal policies."""

    def keep(self, policy: AppraisalPolicy) -> None:
        """Store a policy; one that is the default of its family displaces no other."""

    def defaults(self, fmspc: bytes) -> Sequence[AppraisalPolicy]:
        """Return the default policies of a family, in the order in which they came."""


class AMDStorage(Protocol):
    """Keeps AMD's certificates and CRLs."""

    def keep(self, item: AMDItem) -> bool:
        """Store an item unless what is there has a higher sequence; tell whether the content changed."""

    def get(self, name: AMDCertificateName) -> AMDItem | None:
        """Return what is stored."""

    def items(self) -> Iterator[AMDItem]:
        """Go through everything."""

    def summaries(self) -> Sequence[AMDSummary]:
        """Return how much there is of each kind, without verifying it."""


class Leases(Protocol):
    """Lets one of several processes do what should be done once."""

    def acquire(self, name: str, holder: str, seconds: float, at: datetime) -> bool:
        """Take a lease, or prolong one's own; ``False`` where another holds it. It ends by itself."""

    def release(self, name: str, holder: str) -> None:
        """Give it back before its end."""


class Attempts(Protocol):
    """Remembers what came of asking upstream."""

    def succeeded(self, name: str, at: datetime) -> None:
        """Note that something was had."""

    def failed(self, name: str, at: datetime, failure: str, not_before: datetime | None) -> None:
        """Note that something was not had, and why."""

    def get(self, name: str) -> Attempt | None:
        """Return the last one."""

    def failures(self, most: int) -> Sequence[Attempt]:
        """Return the last one for each name that failed, at most so many, the longest-standing failure first."""

    def count_failures(self) -> int:
        """Return for how many names the last one failed."""


class Storage(Protocol):
    """All of them, over one database."""

    @property
    def items(self) -> ItemStorage:
        """Collateral."""

    @property
    def platforms(self) -> PlatformStorage:
        """Platforms and PCK certificates."""

    @property
    def registrations(self) -> RegistrationStorage:
        """Who waits to be cached."""

    @property
    def policies(self) -> PolicyStorage:
        """Appraisal policies."""

    @property
    def amd(self) -> AMDStorage:
        """AMD's certificates."""

    @property
    def leases(self) -> Leases:
        """Who does what."""

    @property
    def attempts(self) -> Attempts:
        """What came of asking upstream."""

    def ping(self) -> None:
        """Raise `StorageError` where the database does not answer."""

    def close(self) -> None:
        """Let go of it."""


class CollateralCache(Protocol):
    """Hands out TCB info, identities and CRLs: held in memory, else stored, else from upstream.

    `UnavailableError` says why there is nothing.
    """

    def held(self, edition: Edition, name: ItemName, at: datetime) -> VerifiedItem | None:
        """Return an item that is in memory and in time, at once; ``None`` sends the caller to `find`."""

    def find(self, edition: Edition, name: ItemName, at: datetime) -> VerifiedItem:
        """Return an item, asking whomever it takes. Blocks for seconds at most.

        Raises:
            UnavailableError: there is none in time; with the reason and the status that fits it.
        """

    def crl_at(self, uri: str, at: datetime) -> bytes:
        """Return the CRL (DER) of one of the vendor's distribution points.

        Raises:
            UnavailableError: it is none of those, or not to be had.
        """

    def offer(self, edition: Edition, item: CollateralItem, at: datetime) -> VerifiedItem:
        """Take in an item from an operator: verified, and kept unless what is there is newer.

        Raises:
            VerdictdError: it cannot be read or verified.
        """

    def refresh(self, at: datetime, *, fmspc: bytes = b"") -> Sequence[tuple[str, str]]:
        """Ask upstream for everything held (of one family), item by item; return what became of each, empty if well."""


class PCKCache(Protocol):
    """Hands out PCK certificates, and takes registrations."""

    def held(self, key: PlatformKey, raw_tcb: RawTCB, at: datetime) -> tuple[PCKCertificate, PCKSet] | None:
        """Return what is stored, whatever upstream does; ``None`` sends the caller to `certificate`.

        Raises:
            UnavailableError: upstream would have nothing else to say.
        """

    def certificate(
        self, key: PlatformKey, raw_tcb: RawTCB, enc_ppid: bytes, at: datetime
    ) -> tuple[PCKCertificate, PCKSet]:
        """Return the certificate for a platform at a TCB. Blocks for seconds at most.

        Raises:
            UnavailableError: 404, 461, 462 or 502, with the reason.
        """

    def register(self, registration: Registration, at: datetime, *, updates: Sequence[str] = ("standard",)) -> None:
        """Have a platform's collateral cached, or queue it where that is not for us to do (`Mode.OFFLINE`).

        Raises:
            UnavailableError: upstream does not know it, or cannot be asked.
        """

    def offer(self, pck_set: PCKSet, at: datetime) -> None:
        """Take in a platform's certificates from an operator, verified again."""

    def refresh(self, at: datetime, *, fmspc: bytes = b"") -> Sequence[tuple[str, str]]:
        """Ask upstream for the certificates of every platform (of one family); return what became of each."""


class AMDCache(Protocol):
    """Hands out AMD's certificates."""

    def held(self, name: AMDCertificateName, at: datetime) -> AMDItem | None:
        """Return an item that is in memory and in time, at once."""

    def find(self, name: AMDCertificateName, at: datetime) -> AMDItem:
        """Return an item, asking AMD's service (or another cache) if need be. Raises UnavailableError."""

    def refresh(self, at: datetime) -> Sequence[tuple[str, str]]:
        """Ask for the CRLs that are held; return what became of each."""

    def offer(self, name: AMDCertificateName, content: bytes, at: datetime) -> AMDItem:
        """Take in an item from an operator: verified up to the pinned root, and kept unless what is there is newer.

        Raises:
            VerdictdError: it cannot be read or verified, or what vouches for it (the chain) is not held.
        """
