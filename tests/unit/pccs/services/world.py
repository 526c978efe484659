"""Caches on one database, a vendor whose clock goes when told to, and an upstream that does as the test says."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock

from tests.unit.collateral.endorser import DAY, START, Endorser
from verdictd.collateral.deadline import Deadline
from verdictd.collateral.items import CollateralItem, ItemName
from verdictd.core.errors import VerdictdError
from verdictd.pccs.collateral_cache import StoredCollateralCache
from verdictd.pccs.database import open_storage
from verdictd.pccs.model import Edition, Mode
from verdictd.pccs.ports import Storage


class Upstream:
    """Has what was published, counts what it was asked for, and fails as it is told."""

    name = "upstream"
    warnings = ()
    at_hand = ()

    def __init__(self) -> None:
        self.published: dict[ItemName, CollateralItem] = {}
        self.failure: VerdictdError | None = None
        self.asked: list[ItemName] = []
        self.most_at_once = 0
        self.before_answer: Callable[[], object] = lambda: None
        self._now = 0
        self._lock = Lock()

    def fetch(self, name: ItemName, deadline: Deadline) -> tuple[CollateralItem, ...]:
        del deadline
        with self._lock:
            self.asked.append(name)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            self.before_answer()
            if self.failure is not None:
                raise self.failure
            return (self.published[name],) if name in self.published else ()
        finally:
            with self._lock:
                self._now -= 1


@dataclass
class World:
    """Everything that caches meet. `now` is the time for all of them; `seconds` is their monotonic clock."""

    endorser: Endorser
    directory: Path
    upstream: Upstream = field(default_factory=Upstream)
    now: datetime = START + 10 * DAY
    storages: list[Storage] = field(default_factory=list)

    def seconds(self) -> float:
        return (self.now - START).total_seconds()

    def wait(self, **span: float) -> None:
        self.now += timedelta(**span)

    def storage(self) -> Storage:
        opened = open_storage(f"sqlite:///{self.directory}/pccs.db", self.endorser.roots)
        self.storages.append(opened)
        return opened

    def cache(self, holder: str = "one", mode: Mode = Mode.LAZY) -> StoredCollateralCache:
        """Open a cache as another process would."""
        return StoredCollateralCache(
            self.storage(),
            self.sources,
            roots=self.endorser.roots,
            mode=mode,
            holder=holder,
            clock=lambda: self.now,
            refresh_period=timedelta(hours=24),
            call_seconds=5.0,
            ticks=self.seconds,
        )

    def sources(self, edition: Edition) -> list[Upstream]:
        return [self.upstream] if edition.version == 4 else []

    def publish(self, item: CollateralItem, name: ItemName) -> None:
        self.upstream.published[name] = item


@contextmanager
def made_world(endorser: Endorser, directory: Path) -> Iterator[World]:
    world = World(endorser, directory)
    try:
        yield world
    finally:
        for storage in world.storages:
            storage.close()
