"""Finds the collateral for a platform: what is known, else what the sources give, else what the peer brought.

Rules, in the order in which they decide:

1. An item is used only if it is verified up to the root that vouches for the platform.
2. The newest known wins: evaluation data number or CRL number, then issue date. What was once known to be newest is
   remembered also after it has expired, so that nobody can go back to an older set that is still in time.
3. The operator's sources come before the peer. They are asked only for what is not held or has expired. Items that a
   peer brings fill the gaps that remain; beside an item of the sources a peer's own is used only where it is strictly
   newer, and then for this peer alone.
4. Where nothing is in time, the newest known is handed out all the same: the appraisal says that it has expired.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from threading import BoundedSemaphore, Lock
from typing import Final

from verdictd.collateral.attempts import Attempts
from verdictd.collateral.deadline import Deadline, MonotonicClock
from verdictd.collateral.disk_cache import DiskCache, KeptItem
from verdictd.collateral.found import FoundCollateral
from verdictd.collateral.held import HeldItem
from verdictd.collateral.items import (
    TEE,
    CollateralItem,
    ItemKey,
    ItemName,
    VerifiedItem,
    join_collateral,
    name_platform_items,
    split_collateral,
)
from verdictd.collateral.reasons import explain_missing, explain_unusable
from verdictd.collateral.single_flight import SingleFlight
from verdictd.collateral.sources import CollateralSource
from verdictd.collateral.store import CollateralStore, OfferOutcome, OfferStatus
from verdictd.core.errors import CollateralUnavailableError, VerdictdError
from verdictd.tees.dcap.collateral import Collateral
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.pck import PCKCAType
from verdictd.tees.dcap.trust_roots import TrustRoots

_FETCH_SHARE: Final = 0.9
"""Of the time for a call, the part in which sources must answer, so that their reasons reach whoever waits."""

_MAX_FLIGHTS: Final = 64
_URGENT_FLIGHTS: Final = 48
"""Of those, kept free of refreshes, so that they never take the place of what a peer waits for."""

_NO_SOURCE: Final = "no source is configured (--collateral, --pccs-url or sgx_default_qcnl.conf)"
_TOO_MANY: Final = "too much else is being fetched"

OnNewer = Callable[[CollateralItem, bool], None]
"""Told of an item, and whether a peer brought it."""


class CollateralService:
    """Holds what is known and asks the sources for the rest. Safe to share between threads.

    Whoever calls waits no longer than `call_seconds`. A source that had no usable item is not asked for it again for
    `retry_seconds`, and of several callers in want of the same item one asks.

    Trust: the sources and the peers are not trusted. What they can do is withhold newer items.
    """

    def __init__(
        self,
        *,
        roots: TrustRoots,
        memory: FactMemory,
        sources: Sequence[CollateralSource],
        call_seconds: float = 10.0,
        retry_seconds: float = 5.0,
        refresh_seconds: float = 3600.0,
        max_age: timedelta | None = None,
        max_waiting: int = 64,
        cache: DiskCache | None = None,
        on_newer: OnNewer | None = None,
        clock: MonotonicClock = time.monotonic,
    ) -> None:
        """Make a service that holds nothing yet; it does no I/O until it is asked.

        Args:
            roots: what the operator trusts.
            memory: facts about signatures, best the one that the appraisal uses.
            sources: asked in this order; name files first.
            call_seconds: how long `collateral_for` may take.
            retry_seconds: how long a source is left alone after it had no usable item.
            refresh_seconds: how long after the sources were last asked for an item they are asked whether there is a
                newer one, in the background: Intel publishes revocations and TCB recoveries before items expire.
            max_age: items issued longer ago are asked for again, as if they had expired (`Acceptance` refuses them).
            max_waiting: how many callers may wait for sources at once; a further one is told so instead, so that a
                source that is slow keeps nobody waiting whose collateral is held.
            cache: where what is known outlives the process.
            on_newer: told, on whichever thread, of each item that is newer than what was known.
            clock: monotonic seconds, for deadlines only.
        """
        self._roots = roots
        self._sources = tuple(sources)
        self._store = CollateralStore(roots, memory)
        self._peers = CollateralStore(roots, memory, max_items=512, max_bytes=16 * 1024 * 1024)
        self._attempts = Attempts(retry_seconds=retry_seconds, refresh_seconds=refresh_seconds, clock=clock)
        self._flights: SingleFlight[ItemKey] = SingleFlight(max_flights=_MAX_FLIGHTS)
        self._call_seconds = call_seconds
        self._max_age = max_age
        self._waiting = BoundedSemaphore(max_waiting)
        self._max_waiting = max_waiting
        self._cache = cache
        self._keeping = Lock()
        self._on_newer = on_newer
        self._clock = clock

    @property
    def sources(self) -> tuple[CollateralSource, ...]:
        """The sources, in the order in which they are asked."""
        return self._sources

    def preload(self, at: datetime) -> tuple[OfferOutcome, ...]:
        """Take in what the sources have at hand, so that it is verified, and reported on, before it is needed.

        Returns:
            What became of each item; the operator should be told of those that were refused.
        """
        kept = () if self._cache is None else self._cache.load()
        from_disk = tuple(self._offer_kept(each, at) for each in kept)
        return from_disk + tuple(self.offer(item, at) for source in self._sources for item in source.at_hand)

    def _offer_kept(self, kept: KeptItem, at: datetime) -> OfferOutcome:
        outcome = (self._peers if kept.is_from_peer else self._store).offer(kept.item, at)
        if outcome.status is OfferStatus.REFUSED:
            return replace(outcome, reason=kept.explain_refusal(outcome.reason))
        return outcome

    def offer(self, item: CollateralItem, at: datetime) -> OfferOutcome:
        """Take in an item as if a source had given it, and pass it on where it is newer than what was known."""
        return self._take(self._store, item, at)

    def offer_from_peer(self, item: CollateralItem, at: datetime, *, only: ItemKey | None = None) -> OfferOutcome:
        """Take in an item that a peer brought, and pass it on where it is newer; see `CollateralStore.offer`."""
        return self._take(self._peers, item, at, only=only)

    def _take(
        self, store: CollateralStore, item: CollateralItem, at: datetime, *, only: ItemKey | None = None
    ) -> OfferOutcome:
        outcome = store.offer(item, at, only=only)
        if outcome.status is OfferStatus.KEPT and outcome.offered is not None:
            is_from_peer = store is self._peers
            if self._cache is not None:
                self._keep(self._cache, store, outcome.offered)
            if self._on_newer is not None:
                self._on_newer(item, is_from_peer)
        return outcome

    def _keep(self, cache: DiskCache, store: CollateralStore, taken: VerifiedItem) -> None:
        """Keep an item on disk, unless a newer one has come meanwhile: that one stays there, whoever writes last."""
        with self._keeping:
            if store.get(taken.key) is taken:
                cache.keep_newest(taken, store.verify, is_from_peer=store is self._peers)

    def collateral_for(
        self,
        *,
        root: str,
        fmspc: bytes,
        pck_ca: PCKCAType,
        peer: Collateral | None,
        at: datetime,
        tee: TEE = "SGX",
    ) -> FoundCollateral:
        """Find the collateral for a platform.

        Args:
            root: fingerprint of the trusted root in which the platform's PCK chain ends (SHA-256, lower-case hex).
            fmspc: the platform's family, 6 bytes, from a PCK certificate that was verified.
            pck_ca: which CA issued that certificate.
            peer: what the peer itself brought along; untrusted.
            at: the instant to find it for (aware).
            tee: whose TCB info and QE identity.
        """
        keys = tuple(ItemKey(root, name) for name in name_platform_items(tee, fmspc, pck_ca))
        late = self._fetch_missing(keys, at)
        brought = {item.kind: item for item in split_collateral(peer)} if peer is not None else {}
        chosen, reasons = {}, {}
        for key in keys:
            kind = key.name.kind
            outcome = self.offer_from_peer(brought[kind], at, only=key) if kind in brought else None
            item = self._choose(key, outcome, at)
            if item is not None:
                chosen[kind] = item.item
            if item is None or not self._is_fresh(item, at):
                reasons[kind] = self._explain(key, item, outcome, at=at, late=late.get(key, ""))
        return FoundCollateral(collateral=join_collateral(chosen), reasons=reasons)

    def held_item(self, name: ItemName, at: datetime) -> VerifiedItem | None:
        """Return what is held of a name and in time, at once; what is due is asked for in the background.

        Under several roots that of the first counts.
        """
        for root in self._roots.roots:
            key = ItemKey(root.fingerprint, name)
            held = self._store.get(key)
            if held is not None and self._is_fresh(held, at):
                if self._attempts.is_due(key) and self._askable(key):
                    self._start_refresh(key, at)
                return held
        return None

    def fetch_item(self, name: ItemName, at: datetime) -> tuple[CollateralItem, ...]:
        """Return what the sources have of a name, under every root, having them asked for what is missing.

        What peers brought is not among it: whoever asks would take it for the sources' own.

        Raises:
            CollateralUnavailableError: they have none in time; with the reasons.
        """
        keys = tuple(ItemKey(root.fingerprint, name) for root in self._roots.roots)
        late = self._fetch_missing(keys, at)
        known = {key: self._store.get(key) for key in keys}
        fresh = tuple(item.item for item in known.values() if item is not None and self._is_fresh(item, at))
        if not fresh:
            reasons = (self._explain(key, item, None, at=at, late=late.get(key, "")) for key, item in known.items())
            raise CollateralUnavailableError("; ".join(reasons))
        return fresh

    def refresh_due(self, at: datetime) -> None:
        """Have the sources asked, in the background, for what is held and due (see `Attempts`), so much at once."""
        for item in self._store.items():
            is_due = self._attempts.is_due(item.key) or not self._attempts.was_asked(item.key)
            if is_due and self._askable(item.key):
                self._start_refresh(item.key, at)

    def _start_refresh(self, key: ItemKey, at: datetime, patience_s: float = 0.0) -> Future[None] | None:
        return self._flights.start(key, partial(self._ask, key, at), spare=_URGENT_FLIGHTS, patience_s=patience_s)

    def refresh(self, at: datetime, *, fmspc: bytes = b"") -> tuple[tuple[ItemKey, str], ...]:
        """Ask the sources for everything that is held, now, and say what became of each: empty where it went well.

        Args:
            at: the instant to ask for (aware).
            fmspc: the family of platforms to leave it at; what is for all families is asked for in any case.
        """
        for item in self._store.items():
            self._attempts.forgive(item.key)
        flights = self._ask_for_held(at, fmspc)
        return tuple((key, self._why_not_refreshed(key, flight)) for key, flight in flights.items())

    def _ask_for_held(self, at: datetime, fmspc: bytes = b"") -> dict[ItemKey, Future[None] | None]:
        """Ask the sources for what is held, as far as there is time; ``None`` where nobody was asked."""
        deadline = Deadline.after(self._call_seconds, self._clock)
        flights: dict[ItemKey, Future[None] | None] = {}
        for item in self._store.items():
            if fmspc and item.key.name.fmspc not in {b"", fmspc}:
                continue
            is_askable = bool(self._askable(item.key))
            flights[item.key] = self._start_refresh(item.key, at, deadline.remaining) if is_askable else None
        wait([flight for flight in flights.values() if flight is not None], timeout=deadline.remaining)
        return flights

    def _why_not_refreshed(self, key: ItemKey, flight: Future[None] | None) -> str:
        """Say why an item was not had from the sources; empty where it was."""
        if not self._sources:
            return _NO_SOURCE
        if flight is None:
            return _TOO_MANY
        if not flight.done():
            return f"no source answered within {self._call_seconds:g} s"
        flight.result()  # raises where the fetching itself is at fault
        return self._attempts.last_failure(key)

    def describe_attempts(self, key: ItemKey) -> tuple[float | None, str]:
        """In how many seconds the sources are asked again for an item, and why they failed last."""
        return self._attempts.due_in(key), self._attempts.last_failure(key)

    def held(self, at: datetime) -> tuple[HeldItem, ...]:
        """Return everything held, those from the sources first, and whether it is valid at an instant (aware)."""
        return tuple(HeldItem.of(item, at) for item in (*self._store.items(), *self._peers.items()))

    def inherit(self, predecessor: "CollateralService", at: datetime) -> None:
        """Take over what another service knows to be newest, and ask the sources anew for all of it.

        For a reload: what the operator wants is newer collateral, and never that older collateral counts again because
        a source happens not to answer. Waits for the sources no longer than `collateral_for` does.
        """
        own, peers = predecessor.known()
        for store, items in ((self._store, own), (self._peers, peers)):
            for item in items:
                store.offer(item.item, at)  # verified under our roots; what they no longer vouch for is left behind
        self._ask_for_held(at)

    def known(self) -> tuple[tuple[VerifiedItem, ...], tuple[VerifiedItem, ...]]:
        """Return the newest known items: those of the sources, and those that only peers brought."""
        return self._store.items(), self._peers.items()

    def _is_fresh(self, item: VerifiedItem | None, at: datetime) -> bool:
        if item is None or not item.is_in_time(at):
            return False
        return self._max_age is None or at - item.issue_date <= self._max_age

    def _fetch_missing(self, keys: tuple[ItemKey, ...], at: datetime) -> dict[ItemKey, str]:
        """Have what is missing fetched, all at once; return the keys for which that was in vain, and why.

        What is held but due to be asked for again is fetched too, and not waited for.
        """
        flights: dict[Future[None], ItemKey] = {}
        late = {}
        for key in keys:
            is_needed = not self._is_fresh(self._store.get(key), at)
            if not (is_needed or self._attempts.is_due(key)) or not self._askable(key):
                continue
            work, spare = partial(self._fetch, key, at), 0 if is_needed else _URGENT_FLIGHTS
            flight = self._flights.start(key, work, spare=spare)
            if not is_needed:
                continue
            if flight is None:
                late[key] = _TOO_MANY
            else:
                flights[flight] = key
        return late | self._await(flights) if flights else late

    def _await(self, flights: dict[Future[None], ItemKey]) -> dict[ItemKey, str]:
        """Wait for what is being fetched, unless too many do; return the keys for which it was in vain, and why."""
        if not self._waiting.acquire(blocking=False):
            return dict.fromkeys(flights.values(), f"{self._max_waiting} others wait for collateral already")
        try:
            done, pending = wait(flights, timeout=self._call_seconds)
        finally:
            self._waiting.release()
        for flight in done:
            flight.result()  # raises where the fetching itself is at fault, which must not pass for a missing item
        why = f"no source answered within {self._call_seconds:g} s"
        return {flights[flight]: why for flight in pending}

    def _askable(self, key: ItemKey) -> list[tuple[int, CollateralSource]]:
        return [entry for entry in enumerate(self._sources) if self._attempts.may_ask(key, entry[0])]

    def _fetch(self, key: ItemKey, at: datetime) -> None:
        """Have the item fetched, unless somebody has just done so. Runs once per key at a time."""
        if self._is_fresh(self._store.get(key), at) and not self._attempts.is_due(key):
            return  # another flight has just found it
        self._ask(key, at)

    def _ask(self, key: ItemKey, at: datetime) -> None:
        """Ask one source after the other until one has the item in time. None may use up the time of those after it."""
        deadline = Deadline.after(self._call_seconds * _FETCH_SHARE, self._clock)
        self._attempts.begin(key)
        askable = self._askable(key)
        for asked, (index, source) in enumerate(askable):
            try:
                fetched = source.fetch(key.name, deadline.share(len(askable) - asked))
                outcomes = [self.offer(item, at) for item in fetched]
            except VerdictdError as error:
                retry_after_s = error.retry_after_s if isinstance(error, CollateralUnavailableError) else None
                self._attempts.failed(key, index, str(error), retry_after_s=retry_after_s)
                continue
            if any(outcome.offered is not None and self._is_usable(outcome.offered, key, at) for outcome in outcomes):
                self._attempts.succeeded(key, left_s=self._seconds_left(key, at))
                return
            self._attempts.failed(key, index, explain_unusable(key, outcomes))

    def _seconds_left(self, key: ItemKey, at: datetime) -> float:
        """For how long the item that is held is fresh."""
        held = self._store.get(key)
        if held is None:
            return 0.0
        ends = held.expires_at if self._max_age is None else min(held.expires_at, held.issue_date + self._max_age)
        return (ends - at).total_seconds()

    def _is_usable(self, offered: VerifiedItem, key: ItemKey, at: datetime) -> bool:
        """Whether a source gave what was asked for, in time, and not older than what is known."""
        held = self._store.get(key)
        is_newest = held is None or offered.sequence >= held.sequence
        return offered.key == key and is_newest and self._is_fresh(offered, at)

    def _choose(self, key: ItemKey, outcome: OfferOutcome | None, at: datetime) -> VerifiedItem | None:
        """Choose between what the sources gave and what peers brought (rules 2 to 4)."""
        own = self._store.get(key)
        if own is None:
            return self._peers.get(key)
        offered = None if outcome is None else outcome.offered
        if self._is_fresh(own, at):
            newer = offered is not None and offered.sequence > own.sequence and offered.is_in_time(at)
            return offered if newer else own
        known = self._peers.get(key)
        return known if known is not None and known.replaces(own) else own

    def _explain(
        self, key: ItemKey, chosen: VerifiedItem | None, outcome: OfferOutcome | None, *, at: datetime, late: str
    ) -> str:
        """Say why there is no item, or none in time."""
        why = [f"{self._sources[index].name}: {reason}" for index, reason in self._attempts.reasons(key).items()]
        if not self._sources:
            why.append(_NO_SOURCE)
        if late:
            why.append(late)
        return explain_missing(key, chosen, outcome, at=at, why=why)
