"""A collateral service with its clock, and a source that does as the test says."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Lock

from tests.unit.collateral.endorser import APPRAISED, DAY, START, Endorser
from verdictd.collateral.deadline import Deadline
from verdictd.collateral.found import FoundCollateral
from verdictd.collateral.items import CollateralItem, ItemKind, ItemName
from verdictd.collateral.service import CollateralService
from verdictd.collateral.sources import FixedSource
from verdictd.core.errors import CollateralUnavailableError
from verdictd.tees.dcap.collateral import Collateral
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.trust_roots import TrustRoots

NOW = START + 10 * DAY
MEMORY = FactMemory()


class Seconds:
    """A monotonic clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Shelf:
    """A source like a PCCS: has what lies on it, counts what it was asked for, may be down or slow."""

    name = "shelf"
    warnings = ()
    at_hand = ()

    def __init__(self, *items: CollateralItem) -> None:
        self.items = {item.kind: item for item in items}
        self.asked: list[ItemKind] = []
        self.down = ""
        self.before_answer: Callable[[Deadline], object] = lambda _: None
        self._lock = Lock()

    def fetch(self, name: ItemName, deadline: Deadline) -> tuple[CollateralItem, ...]:
        with self._lock:
            self.asked.append(name.kind)
        self.before_answer(deadline)
        if self.down:
            raise CollateralUnavailableError(self.down)
        return (self.items[name.kind],) if name.kind in self.items else ()


class Desk:
    """A service with one vendor's root, and its clock."""

    def __init__(
        self,
        endorser: Endorser,
        *sources: Shelf | FixedSource,
        others: tuple[Endorser, ...] = (),
        call_seconds: float = 10.0,
        max_age: timedelta | None = None,
        max_waiting: int = 64,
    ) -> None:
        self.endorser = endorser
        self.seconds = Seconds()
        self.told: list[tuple[CollateralItem, bool]] = []
        roots = TrustRoots(tuple(root for each in (endorser, *others) for root in each.roots.roots))
        self.service = CollateralService(
            roots=roots,
            memory=MEMORY,
            sources=sources,
            call_seconds=call_seconds,
            max_age=max_age,
            max_waiting=max_waiting,
            on_newer=lambda item, is_from_peer: self.told.append((item, is_from_peer)),
            clock=self.seconds,
        )

    def find(
        self, peer: Collateral | None = None, *, at: datetime = NOW, endorser: Endorser | None = None
    ) -> FoundCollateral:
        endorser = endorser or self.endorser
        return self.service.collateral_for(
            root=endorser.root, fmspc=endorser.fmspc, pck_ca="platform", peer=peer, at=at
        )


def sources_of(found: FoundCollateral) -> dict[ItemKind, str]:
    items = {
        ItemKind.TCB_INFO: found.collateral.tcb_info,
        ItemKind.QE_IDENTITY: found.collateral.qe_identity,
        ItemKind.PCK_CRL: found.collateral.pck_crl,
        ItemKind.ROOT_CA_CRL: found.collateral.root_ca_crl,
    }
    return {kind: item.source for kind, item in items.items() if item is not None}


def all_from(source: str) -> dict[ItemKind, str]:
    return dict.fromkeys(APPRAISED, source)


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)
