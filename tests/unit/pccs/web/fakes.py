"""The cache's parts, in memory: they keep what they are given, and refuse what they are told to."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from threading import Event

from tests.unit.pccs.memory_cache import MemoryAttempts
from verdictd.collateral.amd_names import AMDCertificateName
from verdictd.collateral.items import CollateralItem, ItemKey, ItemName, VerifiedItem
from verdictd.pccs.errors import StorageError, UnavailableError
from verdictd.pccs.model import (
    AMDItem,
    AMDSummary,
    AppraisalPolicy,
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
from verdictd.pccs.ports import (
    AMDStorage,
    ItemStorage,
    Leases,
    PlatformStorage,
    PolicyStorage,
    RegistrationStorage,
)

NOWHERE = UnavailableError(
    "there is none, and upstream has been down", status=404, problem="no-cache-data", remedy="fill the cache"
)


class FakeItems(ItemStorage):
    def __init__(self) -> None:
        self.stored: list[StoredItem] = []

    def keep(self, edition: Edition, item: VerifiedItem, at: datetime) -> bool:
        revision = len(self.stored) + 1
        self.stored.append(StoredItem(edition=edition, item=item, fetched_at=at, checked_at=at, revision=revision))
        return True

    def get(self, edition: Edition, key: ItemKey) -> StoredItem | None:
        return next((s for s in reversed(self.stored) if (s.edition, s.item.key) == (edition, key)), None)

    def changed_since(self, revision: int) -> Sequence[StoredItem]:
        return [stored for stored in self.stored if stored.revision > revision]


class FakePlatforms(PlatformStorage):
    def __init__(self) -> None:
        self.known: list[tuple[Platform, tuple[RawTCB, ...]]] = []

    def keep(self, pck_set: PCKSet) -> None:
        raise NotImplementedError

    def get(self, key: PlatformKey) -> PCKSet | None:
        raise NotImplementedError

    def platform(self, key: PlatformKey) -> Platform | None:
        return next((platform for platform, _ in self.known if platform.key == key), None)

    def answer(self, key: PlatformKey, raw_tcb: RawTCB) -> tuple[PCKCertificate, PCKSet] | None:
        raise NotImplementedError

    def keep_answer(self, key: PlatformKey, raw_tcb: RawTCB, chosen: RawTCB) -> None:
        raise NotImplementedError

    def platforms(
        self, fmspcs: Sequence[bytes] = (), *, fetched_before: datetime | None = None
    ) -> Iterator[tuple[Platform, tuple[RawTCB, ...]]]:
        assert fetched_before is None  # nothing here is refreshed
        return iter([known for known in self.known if not fmspcs or known[0].fmspc in fmspcs])

    def families(self) -> Sequence[tuple[bytes, int]]:
        found = [platform.fmspc for platform, _ in self.known]
        return [(fmspc, found.count(fmspc)) for fmspc in sorted(set(found))]

    def count(self) -> int:
        return len(self.known)


class FakeRegistrations(RegistrationStorage):
    def __init__(self) -> None:
        self.queued: list[Registration] = []

    def add(self, registration: Registration) -> None:
        self.queued.append(registration)

    def take(self, state: RegistrationState) -> Sequence[Registration]:
        taken = [registration for registration in self.queued if registration.state is state]
        self.queued = [registration for registration in self.queued if registration.state is not state]
        return taken

    def count(self, state: RegistrationState) -> int:
        return sum(registration.state is state for registration in self.queued)

    def waiting(self, state: RegistrationState) -> Sequence[Registration]:
        return [registration for registration in self.queued if registration.state is state]


class FakePolicies(PolicyStorage):
    def __init__(self) -> None:
        self.kept: list[AppraisalPolicy] = []

    def keep(self, policy: AppraisalPolicy) -> None:
        self.kept.append(policy)

    def defaults(self, fmspc: bytes) -> Sequence[AppraisalPolicy]:
        return [policy for policy in self.kept if policy.is_default and policy.fmspc == fmspc]


class FakeAMDItems(AMDStorage):
    def __init__(self) -> None:
        self.kept: dict[AMDCertificateName, AMDItem] = {}

    def keep(self, item: AMDItem) -> bool:
        self.kept[item.name] = item
        return True

    def get(self, name: AMDCertificateName) -> AMDItem | None:
        return self.kept.get(name)

    def items(self) -> Iterator[AMDItem]:
        return iter(self.kept.values())

    def summaries(self) -> Sequence[AMDSummary]:
        return [
            AMDSummary(name.key_type, name.what, 1, item.fetched_at, item.expires_at)
            for name, item in self.kept.items()
        ]


class FakeStorage:
    """A `Storage`."""

    def __init__(self) -> None:
        self._items = FakeItems()
        self._platforms = FakePlatforms()
        self._registrations = FakeRegistrations()
        self._policies = FakePolicies()
        self._amd = FakeAMDItems()
        self._attempts = MemoryAttempts()
        self.failure: StorageError | None = None

    @property
    def items(self) -> FakeItems:
        self.ping()
        return self._items

    @property
    def platforms(self) -> FakePlatforms:
        self.ping()
        return self._platforms

    @property
    def registrations(self) -> FakeRegistrations:
        self.ping()
        return self._registrations

    @property
    def policies(self) -> FakePolicies:
        self.ping()
        return self._policies

    @property
    def amd(self) -> FakeAMDItems:
        self.ping()
        return self._amd

    @property
    def leases(self) -> Leases:
        raise NotImplementedError

    @property
    def attempts(self) -> MemoryAttempts:
        self.ping()
        return self._attempts

    def ping(self) -> None:
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        pass


class FakeCollateral:
    """A `CollateralCache`: `memory` is at hand, `stored` has to be looked for."""

    def __init__(self) -> None:
        self.memory: dict[tuple[Edition, ItemName], VerifiedItem] = {}
        self.stored: dict[tuple[Edition, ItemName], VerifiedItem] = {}
        self.crls: dict[str, bytes] = {}
        self.error: Exception = NOWHERE
        self.outcomes: list[tuple[str, str]] = []
        self.refreshes = 0
        self.refresh_error: Exception | None = None
        self.may_refresh = Event()
        self.may_refresh.set()

    def held(self, edition: Edition, name: ItemName, at: datetime) -> VerifiedItem | None:
        item = self.memory.get((edition, name))
        return item if item is not None and item.is_in_time(at) else None

    def find(self, edition: Edition, name: ItemName, at: datetime) -> VerifiedItem:
        item = self.stored.get((edition, name))
        if item is None or not item.is_in_time(at):
            raise self.error
        return item

    def crl_at(self, uri: str, at: datetime) -> bytes:
        if uri not in self.crls:
            raise self.error
        return self.crls[uri]

    def offer(self, edition: Edition, item: CollateralItem, at: datetime) -> VerifiedItem:
        raise NotImplementedError

    def refresh(self, at: datetime, *, fmspc: bytes = b"") -> Sequence[tuple[str, str]]:
        assert self.may_refresh.wait(30)
        if self.refresh_error is not None:
            raise self.refresh_error
        self.refreshes += 1
        return self.outcomes


class FakePCK:
    """A `PCKCache`."""

    def __init__(self) -> None:
        self.sets: dict[tuple[PlatformKey, RawTCB], tuple[PCKCertificate, PCKSet]] = {}
        self.asked: list[tuple[PlatformKey, RawTCB, bytes]] = []
        self.registered: list[tuple[Registration, tuple[str, ...]]] = []
        self.refreshed: list[bytes] = []
        self.error: Exception = UnavailableError(
            "the platform has never been seen", status=461, problem="platform-unknown", remedy="register it"
        )
        self.refuses_registrations = False

    def held(self, key: PlatformKey, raw_tcb: RawTCB, at: datetime) -> tuple[PCKCertificate, PCKSet] | None:
        return None

    def certificate(
        self, key: PlatformKey, raw_tcb: RawTCB, enc_ppid: bytes, at: datetime
    ) -> tuple[PCKCertificate, PCKSet]:
        self.asked.append((key, raw_tcb, enc_ppid))
        if (key, raw_tcb) not in self.sets:
            raise self.error
        return self.sets[key, raw_tcb]

    def register(self, registration: Registration, at: datetime, *, updates: Sequence[str] = ("standard",)) -> None:
        if self.refuses_registrations:
            raise self.error
        self.registered.append((registration, tuple(updates)))

    def offer(self, pck_set: PCKSet, at: datetime) -> None:
        raise NotImplementedError

    def refresh(self, at: datetime, *, fmspc: bytes = b"") -> Sequence[tuple[str, str]]:
        self.refreshed.append(fmspc)
        return []


class FakeAMD:
    """An `AMDCache`: `memory` is at hand, `stored` has to be looked for."""

    def __init__(self) -> None:
        self.memory: dict[AMDCertificateName, AMDItem] = {}
        self.stored: dict[AMDCertificateName, AMDItem] = {}
        self.error: Exception = UnavailableError(
            "AMD's service asked to be left alone", status=503, problem="rate-limited", retry_after_s=6.2
        )
        self.outcomes: list[tuple[str, str]] = []

    def held(self, name: AMDCertificateName, at: datetime) -> AMDItem | None:
        return self.memory.get(name)

    def find(self, name: AMDCertificateName, at: datetime) -> AMDItem:
        if name not in self.stored:
            raise self.error
        return self.stored[name]

    def refresh(self, at: datetime) -> Sequence[tuple[str, str]]:
        return self.outcomes

    def offer(self, name: AMDCertificateName, content: bytes, at: datetime) -> AMDItem:
        self.stored[name] = amd_item(name, content, at)
        return self.stored[name]


def amd_item(name: AMDCertificateName, content: bytes, at: datetime) -> AMDItem:
    return AMDItem(name=name, content=content, expires_at=at + timedelta(days=9), sequence=0, fetched_at=at)
