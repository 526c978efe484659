"""Hands out collateral: by the rules of `CollateralService`, over a database that several processes share."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

from verdictd.collateral.deadline import MonotonicClock
from verdictd.collateral.items import CollateralItem, ItemKey, ItemKind, ItemName, VerifiedItem, verify_item
from verdictd.collateral.service import CollateralService
from verdictd.collateral.sources import CollateralSource
from verdictd.core.errors import CollateralUnavailableError
from verdictd.pccs.asking import Asking
from verdictd.pccs.distribution_points import find_crl
from verdictd.pccs.errors import NO_CACHE_DATA, StorageError, UnavailableError
from verdictd.pccs.model import STANDARD, Edition, Mode
from verdictd.pccs.ports import Storage
from verdictd.pccs.shared_source import SharedSource, name_attempt, require_begun
from verdictd.pccs.unavailable import explain_unavailable, require_refreshing
from verdictd.tees.dcap.collateral import RevocationList
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.trust_roots import TrustRoots

MAX_NUMBERED: Final = 16
"""Editions of a TCB evaluation data number that are held at once; of others the one not used for longest is let go."""
_CRLS: Final = frozenset({ItemKind.PCK_CRL, ItemKind.ROOT_CA_CRL})

MakeSources = Callable[[Edition], Iterable[CollateralSource]]
"""The upstreams that hand out an edition, in the order in which they are asked."""


@dataclass(frozen=True, slots=True)
class _Shelf:
    """What is held of one edition, and whom to ask for it."""

    service: CollateralService
    sources: tuple[SharedSource, ...]


class StoredCollateralCache:
    """Implements `verdictd.pccs.ports.CollateralCache`. Safe to share between threads.

    What is in time is handed out whatever becomes of upstream; what has expired never is.
    """

    def __init__(
        self,
        storage: Storage,
        make_sources: MakeSources,
        *,
        roots: TrustRoots,
        mode: Mode,
        holder: str,
        clock: Callable[[], datetime],
        refresh_period: timedelta = timedelta(hours=24),
        call_seconds: float = 10.0,
        retry_seconds: float = 5.0,
        asking: Asking | None = None,
        ticks: MonotonicClock = time.monotonic,
    ) -> None:
        """Make a cache, with all that is stored.

        Args:
            storage: shared with other processes.
            make_sources: whom to ask.
            roots: what is trusted.
            mode: when upstream is asked.
            holder: names this process among others.
            clock: tells the time (aware).
            refresh_period: how long after upstream was last asked for an item it is asked again, a random part less.
            call_seconds: how long `find` may take.
            retry_seconds: how long an upstream that failed is left alone, at first.
            asking: minds when upstream may be asked.
            ticks: monotonic seconds, for deadlines.
        Raises:
            StorageError: the database failed.
        """
        self._storage = storage
        self._make_sources = make_sources
        self._roots = roots
        self._mode = mode
        self._holder = holder
        self._clock = clock
        self._refresh_period = refresh_period
        self._call_seconds = call_seconds
        self._retry_seconds = retry_seconds
        self._asking = asking or Asking(storage.attempts, clock)
        self._ticks = ticks
        self._memory = FactMemory()
        self._lock = Lock()
        self._shelves: OrderedDict[Edition, _Shelf] = OrderedDict()
        self._tried: OrderedDict[Edition, _Shelf] = OrderedDict()
        self._revision = 0
        self._following = Lock()
        self.follow(clock())

    def held(self, edition: Edition, name: ItemName, at: datetime) -> VerifiedItem | None:
        """See `CollateralCache.held`."""
        where = _edition_of(edition, name)
        return self._shelf(where).service.held_item(name, at) if where in self._shelves else None

    def find(self, edition: Edition, name: ItemName, at: datetime) -> VerifiedItem:
        """See `CollateralCache.find`. In `Mode.REQ` and `Mode.OFFLINE` upstream is not asked."""
        return self._find(edition, name, at, may_ask=self._mode is Mode.LAZY)

    def fetch(self, edition: Edition, name: ItemName, at: datetime) -> VerifiedItem:
        """Like `find`, for a platform that registers: upstream is asked but in `Mode.OFFLINE`."""
        return self._find(edition, name, at, may_ask=self._mode is not Mode.OFFLINE)

    def _find(self, edition: Edition, name: ItemName, at: datetime, *, may_ask: bool) -> VerifiedItem:
        where = _edition_of(edition, name)
        shelf = self._shelf_to_ask(where)
        found = shelf.service.held_item(name, at) or self._take_stored(shelf, where, name, at)
        if found is not None:
            return self._put_up(where, shelf, found)
        if not may_ask:
            raise self._explain_unasked(name, where)
        if not shelf.sources:
            raise UnavailableError(
                f"no upstream hands out {where}: version 3 of the API has ended at Intel",
                status=NO_CACHE_DATA,
                problem="no-cache-data",
                remedy=f"ask for version {7 - where.version}, or name an upstream of version {where.version}",
            )
        try:
            shelf.service.fetch_item(name, at)
        except CollateralUnavailableError as error:
            failures = [failure for source in shelf.sources if (failure := source.last_failure(name)) is not None]
            for failure in failures:
                if isinstance(failure, StorageError):
                    raise failure from error
            attempts = [self._storage.attempts.get(name_attempt(where, name, each.name)) for each in shelf.sources]
            raise explain_unavailable(error, failures, attempts) from error
        found = shelf.service.held_item(name, at)
        if found is None:  # it expired in this very moment
            raise self._explain_unasked(name, where)
        return self._put_up(where, shelf, found)

    def _take_stored(self, shelf: _Shelf, edition: Edition, name: ItemName, at: datetime) -> VerifiedItem | None:
        """Take in what another process has stored just now, or what was let go of with its edition."""
        for root in self._roots.roots:
            stored = self._storage.items.get(edition, ItemKey(root.fingerprint, name))
            if stored is not None:
                shelf.service.offer(stored.item.item, at)
        return shelf.service.held_item(name, at)

    def _explain_unasked(self, name: ItemName, edition: Edition) -> UnavailableError:
        if self._mode is Mode.OFFLINE:
            return UnavailableError(
                f"there is no {name} in time ({edition}), and upstream is never asked here",
                status=NO_CACHE_DATA,
                problem="offline",
                remedy="import it: pccs import FILE",
            )
        return UnavailableError(
            f"there is no {name} in time ({edition}); upstream is asked for it when a platform registers",
            status=NO_CACHE_DATA,
            problem="no-cache-data",
            remedy="register a platform of that family, or use the mode lazy",
        )

    def crl_at(self, uri: str, at: datetime) -> bytes:
        """See `CollateralCache.crl_at`. Nothing is fetched from the address itself: it only says which CRL is meant."""
        name = find_crl(uri, self._roots)
        if name is None:
            raise UnavailableError(
                f"{uri:.200} is no distribution point of a vendor that is trusted here",
                status=NO_CACHE_DATA,
                problem="no-cache-data",
                remedy="ask for the root's CRL, or one of a PCK CA, by the address that its certificates name",
            )
        raw = self.find(STANDARD, name, at).item.raw
        assert isinstance(raw, RevocationList)
        return raw.der

    def offer(self, edition: Edition, item: CollateralItem, at: datetime) -> VerifiedItem:
        """See `CollateralCache.offer`."""
        verified = verify_item(item, self._roots, self._memory)
        require_begun(verified, at)
        where = _edition_of(edition, verified.key.name)
        self._storage.items.keep(where, verified, at)
        self._shelf(where).service.offer(item, at)
        return verified

    def refresh(self, at: datetime, *, fmspc: bytes = b"") -> Sequence[tuple[str, str]]:
        """See `CollateralCache.refresh`."""
        require_refreshing(self._mode)
        self.follow(at)
        outcomes = []
        for edition, shelf in self._all_shelves():
            for source in shelf.sources:
                source.want_anew(self._clock())
            for key, failed in shelf.service.refresh(self._clock(), fmspc=fmspc):
                failure = failed if shelf.sources else f"no upstream hands out {edition}"
                name = f"{key.name}, {edition}" if key.name.kind not in _CRLS else str(key.name)
                outcomes.append((name, failure))
        return outcomes

    def refresh_due(self, at: datetime) -> None:
        """Have what is due asked for, in the background."""
        if self._mode is not Mode.OFFLINE:
            for _, shelf in self._all_shelves():
                shelf.service.refresh_due(at)

    def follow(self, at: datetime) -> None:
        """Take in what other processes have stored since the last time.

        Raises:
            StorageError: the database failed.
        """
        with self._following:
            for stored in self._storage.items.changed_since(self._revision):
                self._shelf(stored.edition).service.offer(stored.item.item, at)
                self._revision = max(self._revision, stored.revision)

    def _all_shelves(self) -> tuple[tuple[Edition, _Shelf], ...]:
        with self._lock:
            return tuple(self._shelves.items())

    def _shelf(self, edition: Edition) -> _Shelf:
        with self._lock:
            shelf = self._shelves.get(edition)
            if shelf is None:
                shelf = self._shelves[edition] = self._make_shelf(edition)
                self._let_go()
            self._shelves.move_to_end(edition)
            return shelf

    def _shelf_to_ask(self, edition: Edition) -> _Shelf:
        """Return where to look. A number that anybody may name displaces nothing before there is something under it."""
        if not isinstance(edition.update, int) or edition in self._shelves:
            return self._shelf(edition)
        with self._lock:
            shelf = self._tried.get(edition)
            if shelf is None:
                shelf = self._tried[edition] = self._make_shelf(edition)
                while len(self._tried) > MAX_NUMBERED:
                    self._tried.popitem(last=False)
            return shelf

    def _put_up(self, edition: Edition, shelf: _Shelf, found: VerifiedItem) -> VerifiedItem:
        with self._lock:
            self._tried.pop(edition, None)
            self._shelves.setdefault(edition, shelf)
            self._shelves.move_to_end(edition)
            self._let_go()
        return found

    def _let_go(self) -> None:
        numbered = [each for each in self._shelves if isinstance(each.update, int)]
        for each in numbered[:-MAX_NUMBERED]:
            del self._shelves[each]

    def _make_shelf(self, edition: Edition) -> _Shelf:
        upstreams = () if self._mode is Mode.OFFLINE else tuple(self._make_sources(edition))
        sources = tuple(
            SharedSource(
                upstream,
                edition,
                self._storage,
                roots=self._roots,
                memory=self._memory,
                holder=self._holder,
                clock=self._clock,
                recent=self._refresh_period / 2,
                asking=self._asking,
            )
            for upstream in upstreams
        )
        service = CollateralService(
            roots=self._roots,
            memory=self._memory,
            sources=sources,
            call_seconds=self._call_seconds,
            retry_seconds=self._retry_seconds,
            refresh_seconds=self._refresh_period.total_seconds(),
            clock=self._ticks,
        )
        return _Shelf(service, sources)


def _edition_of(edition: Edition, name: ItemName) -> Edition:
    """Return the edition under which a name is kept: CRLs are the same in all."""
    return STANDARD if name.kind in _CRLS else edition
