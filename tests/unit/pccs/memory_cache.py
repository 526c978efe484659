"""A cache in memory: the ports as plainly as they can be kept, for what stands above them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from operator import le

from verdictd.collateral.amd_names import AMDCertificateName
from verdictd.collateral.items import CollateralItem, ItemKey, ItemName, VerifiedItem, verify_item
from verdictd.core.errors import AuthenticityError
from verdictd.pccs.errors import UnavailableError
from verdictd.pccs.model import (
    AMDItem,
    AMDSummary,
    AppraisalPolicy,
    Attempt,
    Edition,
    Mode,
    PCKCertificate,
    PCKSet,
    Platform,
    PlatformKey,
    RawTCB,
    Registration,
    RegistrationState,
    StoredItem,
)
from verdictd.pccs.ports import Storage
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.trust_roots import TrustRoots


class MemoryItems:
    def __init__(self) -> None:
        self._items: dict[tuple[Edition, ItemKey], StoredItem] = {}
        self._revision = 0

    def keep(self, edition: Edition, item: VerifiedItem, at: datetime) -> bool:
        held = self._items.get((edition, item.key))
        self._revision += 1
        is_new = held is None or item.replaces(held.item)
        if held is not None and not is_new:
            self._items[edition, item.key] = replace(held, checked_at=at, revision=self._revision)
        else:
            self._items[edition, item.key] = StoredItem(
                edition=edition, item=item, fetched_at=at, checked_at=at, revision=self._revision
            )
        return is_new

    def get(self, edition: Edition, key: ItemKey) -> StoredItem | None:
        return self._items.get((edition, key))

    def changed_since(self, revision: int) -> Sequence[StoredItem]:
        changed = [item for item in self._items.values() if item.revision > revision]
        return sorted(changed, key=lambda item: item.revision)

    def lose(self, edition: Edition, key: ItemKey) -> None:
        del self._items[edition, key]


class MemoryPlatforms:
    def __init__(self) -> None:
        self.sets: dict[PlatformKey, PCKSet] = {}
        self.answers: dict[tuple[PlatformKey, RawTCB], RawTCB] = {}

    def keep(self, pck_set: PCKSet) -> None:
        self.sets[pck_set.platform.key] = pck_set

    def get(self, key: PlatformKey) -> PCKSet | None:
        return self.sets.get(key)

    def platform(self, key: PlatformKey) -> Platform | None:
        found = self.sets.get(key)
        return None if found is None else found.platform

    def answer(self, key: PlatformKey, raw_tcb: RawTCB) -> tuple[PCKCertificate, PCKSet] | None:
        raise NotImplementedError

    def keep_answer(self, key: PlatformKey, raw_tcb: RawTCB, chosen: RawTCB) -> None:
        self.answers[key, raw_tcb] = chosen

    def platforms(
        self, fmspcs: Sequence[bytes] = (), *, fetched_before: datetime | None = None
    ) -> Iterator[tuple[Platform, tuple[RawTCB, ...]]]:
        for key, pck_set in self.sets.items():
            if fetched_before is not None and pck_set.fetched_at >= fetched_before:
                continue
            if not fmspcs or pck_set.platform.fmspc in fmspcs:
                yield pck_set.platform, tuple(raw_tcb for named, raw_tcb in self.answers if named == key)

    def families(self) -> Sequence[tuple[bytes, int]]:
        fmspcs = [pck_set.platform.fmspc for pck_set in self.sets.values()]
        return [(fmspc, fmspcs.count(fmspc)) for fmspc in dict.fromkeys(fmspcs)]

    def count(self) -> int:
        return len(self.sets)


class MemoryRegistrations:
    def __init__(self) -> None:
        self.all: list[Registration] = []

    def add(self, registration: Registration) -> None:
        self.all.append(registration)

    def waiting(self, state: RegistrationState) -> Sequence[Registration]:
        return [each for each in self.all if each.state is state]

    def take(self, state: RegistrationState) -> Sequence[Registration]:
        taken = self.waiting(state)
        self.all = [each for each in self.all if each.state is not state]
        return taken

    def count(self, state: RegistrationState) -> int:
        return len(self.waiting(state))


class MemoryPolicies:
    def keep(self, policy: AppraisalPolicy) -> None:
        raise NotImplementedError

    def defaults(self, fmspc: bytes) -> Sequence[AppraisalPolicy]:
        return ()


class MemoryAMD:
    def __init__(self) -> None:
        self._items: dict[AMDCertificateName, AMDItem] = {}

    def keep(self, item: AMDItem) -> bool:
        held = self._items.get(item.name)
        if held is not None and (held.sequence > item.sequence or held.content == item.content):
            return False
        self._items[item.name] = item
        return True

    def get(self, name: AMDCertificateName) -> AMDItem | None:
        return self._items.get(name)

    def items(self) -> Iterator[AMDItem]:
        yield from self._items.values()

    def summaries(self) -> Sequence[AMDSummary]:
        raise NotImplementedError


class MemoryLeases:
    def acquire(self, name: str, holder: str, seconds: float, at: datetime) -> bool:
        return True

    def release(self, name: str, holder: str) -> None:
        pass


class MemoryAttempts:
    def __init__(self) -> None:
        self._attempts: dict[str, Attempt] = {}

    def succeeded(self, name: str, at: datetime) -> None:
        self._attempts[name] = Attempt(name, at, "", None, None)

    def failed(self, name: str, at: datetime, failure: str, not_before: datetime | None) -> None:
        held = self._attempts.get(name)
        since = held.down_since if held is not None and held.down_since else at
        self._attempts[name] = Attempt(name, at, failure, not_before, since)

    def get(self, name: str) -> Attempt | None:
        return self._attempts.get(name)

    def failures(self, most: int) -> Sequence[Attempt]:
        failed = [attempt for attempt in self._attempts.values() if attempt.failure]
        return sorted(failed, key=lambda attempt: (attempt.down_since or attempt.at, attempt.name))[:most]

    def count_failures(self) -> int:
        return sum(1 for attempt in self._attempts.values() if attempt.failure)


class MemoryStorage:
    def __init__(self) -> None:
        self.items = MemoryItems()
        self.platforms = MemoryPlatforms()
        self.registrations = MemoryRegistrations()
        self.policies = MemoryPolicies()
        self.amd = MemoryAMD()
        self.leases = MemoryLeases()
        self.attempts = MemoryAttempts()

    def ping(self) -> None:
        pass

    def close(self) -> None:
        pass


class MemoryCollateral:
    def __init__(self, storage: Storage, roots: TrustRoots) -> None:
        self._storage = storage
        self._roots = roots
        self.refreshed: list[bytes] = []
        self.outcomes: list[tuple[str, str]] = []

    def held(self, edition: Edition, name: ItemName, at: datetime) -> VerifiedItem | None:
        return None

    def find(self, edition: Edition, name: ItemName, at: datetime) -> VerifiedItem:
        raise NotImplementedError

    def crl_at(self, uri: str, at: datetime) -> bytes:
        raise NotImplementedError

    def offer(self, edition: Edition, item: CollateralItem, at: datetime) -> VerifiedItem:
        verified = verify_item(item, self._roots, FactMemory())
        self._storage.items.keep(edition, verified, at)
        return verified

    def refresh(self, at: datetime, *, fmspc: bytes = b"") -> Sequence[tuple[str, str]]:
        self.refreshed.append(fmspc)
        return list(self.outcomes)


class MemoryPCK:
    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.registered: list[Registration] = []
        self.unknown: set[PlatformKey] = set()
        self.outcomes: list[tuple[str, str]] = []

    def held(self, key: PlatformKey, raw_tcb: RawTCB, at: datetime) -> tuple[PCKCertificate, PCKSet] | None:
        return self._storage.platforms.answer(key, raw_tcb)

    def certificate(
        self, key: PlatformKey, raw_tcb: RawTCB, enc_ppid: bytes, at: datetime
    ) -> tuple[PCKCertificate, PCKSet]:
        pck_set = self._storage.platforms.get(key)
        assert pck_set is not None
        for certificate in pck_set.certificates:
            if certificate.tcb.pce_svn <= raw_tcb.pce_svn and all(map(le, certificate.components, raw_tcb.cpu_svn)):
                self._storage.platforms.keep_answer(key, raw_tcb, certificate.tcb)
                return certificate, pck_set
        raise UnavailableError("there is none", status=462, problem="certificates-unavailable")

    def register(self, registration: Registration, at: datetime, *, updates: Sequence[str] = ("standard",)) -> None:
        if registration.platform.key in self.unknown:
            raise UnavailableError("upstream does not know it", status=404, problem="platform-unknown")
        self.registered.append(registration)

    def offer(self, pck_set: PCKSet, at: datetime) -> None:
        self._storage.platforms.keep(pck_set)

    def refresh(self, at: datetime, *, fmspc: bytes = b"") -> Sequence[tuple[str, str]]:
        return list(self.outcomes)


class MemoryAMDCache:
    """Takes content that begins with ``genuine`` for verified."""

    def __init__(self, storage: Storage, expires_at: datetime) -> None:
        self._storage = storage
        self._expires_at = expires_at
        self.outcomes: list[tuple[str, str]] = []

    def held(self, name: AMDCertificateName, at: datetime) -> AMDItem | None:
        return None

    def find(self, name: AMDCertificateName, at: datetime) -> AMDItem:
        raise NotImplementedError

    def refresh(self, at: datetime) -> Sequence[tuple[str, str]]:
        return list(self.outcomes)

    def offer(self, name: AMDCertificateName, content: bytes, at: datetime) -> AMDItem:
        if not content.startswith(b"genuine"):
            raise AuthenticityError("its signature does not hold")
        item = AMDItem(name=name, content=content, expires_at=self._expires_at, sequence=len(content), fetched_at=at)
        self._storage.amd.keep(item)
        return item


@dataclass
class MemoryCache:
    """Nothing in it survives."""

    roots: TrustRoots
    amd_expires_at: datetime
    mode: Mode = Mode.LAZY
    storage: MemoryStorage = field(default_factory=MemoryStorage)
    collateral: MemoryCollateral = field(init=False)
    pck: MemoryPCK = field(init=False)
    amd: MemoryAMDCache = field(init=False)

    def __post_init__(self) -> None:
        self.collateral = MemoryCollateral(self.storage, self.roots)
        self.pck = MemoryPCK(self.storage)
        self.amd = MemoryAMDCache(self.storage, self.amd_expires_at)


class CacheOver:
    """The same over a real database."""

    def __init__(self, storage: Storage, roots: TrustRoots, amd_expires_at: datetime) -> None:
        self.storage = storage
        self.roots = roots
        self.mode = Mode.OFFLINE
        self.collateral = MemoryCollateral(storage, roots)
        self.pck = MemoryPCK(storage)
        self.amd = MemoryAMDCache(storage, amd_expires_at)
