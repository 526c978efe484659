"""A vendor under a clock that the test sets, an upstream that does as the test says, and caches on one database."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

from tests.unit.collateral.endorser import DAY, START, Endorser
from verdictd.collateral.deadline import Deadline
from verdictd.collateral.items import CollateralItem, ItemKind, ItemName
from verdictd.core.errors import VerdictdError
from verdictd.pccs.collateral_cache import StoredCollateralCache
from verdictd.pccs.database import open_storage
from verdictd.pccs.model import Edition, Mode
from verdictd.pccs.ports import Storage
from verdictd.tees.dcap.trust_roots import TrustRoots

ENDORSER = Endorser()
TCB_INFO = ENDORSER.key(ItemKind.TCB_INFO).name
Answer = CollateralItem | VerdictdError


class Clock:
    """Tells the time that a test sets, to whoever wants it as an instant or as seconds."""

    def __init__(self) -> None:
        self.now = START + DAY

    def __call__(self) -> datetime:
        return self.now

    def ticks(self) -> float:
        return (self.now - START).total_seconds()

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Upstream:
    """A `CollateralSource` that answers as it was told, and counts how often it was asked, and how often at once."""

    def __init__(self, name: str = "upstream") -> None:
        self.name = name
        self.warnings: tuple[str, ...] = ()
        self.at_hand: tuple[CollateralItem, ...] = ()
        self.answer: Answer | Callable[[ItemName], Answer] | None = None
        self.asked: list[ItemName] = []
        self.meanwhile: Callable[[], object] = lambda: None
        self.most_at_once = 0
        self._present = 0
        self._lock = Lock()

    def fetch(self, name: ItemName, deadline: Deadline) -> tuple[CollateralItem, ...]:
        del deadline
        with self._lock:
            self.asked.append(name)
            self._present += 1
            self.most_at_once = max(self.most_at_once, self._present)
        try:
            self.meanwhile()
            answer = self.answer(name) if callable(self.answer) else self.answer
        finally:
            with self._lock:
                self._present -= 1
        if isinstance(answer, VerdictdError):
            raise answer
        return () if answer is None else (answer,)


class Site:
    """Some caches, as in processes of their own, on one database."""

    def __init__(self, storage: Storage, upstreams: Sequence[Upstream], roots: TrustRoots = ENDORSER.roots) -> None:
        self.clock = Clock()
        self.storage = storage
        self.upstreams = list(upstreams)
        self.roots = roots
        self.editions: list[Edition] = []

    def cache(self, mode: Mode = Mode.LAZY, holder: str = "one", call_seconds: float = 10.0) -> StoredCollateralCache:
        def make_sources(edition: Edition) -> list[Upstream]:
            self.editions.append(edition)
            return self.upstreams if edition.version == 4 else []

        return StoredCollateralCache(
            self.storage,
            make_sources,
            roots=self.roots,
            mode=mode,
            holder=holder,
            clock=self.clock,
            call_seconds=call_seconds,
            ticks=self.clock.ticks,
        )


@contextmanager
def open_site(*upstreams: Upstream, roots: TrustRoots = ENDORSER.roots) -> Iterator[Site]:
    with TemporaryDirectory() as directory:
        storage = open_storage(f"sqlite:///{Path(directory) / 'pccs.db'}", roots)
        try:
            yield Site(storage, upstreams, roots)
        finally:
            storage.close()
