"""Has PCK certificates fetched: for each platform by one process at a time, whoever of its clients asks for it."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final, NamedTuple

from verdictd.collateral.attempts import LONGEST_RETRY_AFTER_S
from verdictd.collateral.deadline import Deadline, MonotonicClock
from verdictd.collateral.single_flight import SingleFlight
from verdictd.core.errors import AuthenticityError, CollateralUnavailableError, VerdictdError
from verdictd.pccs.errors import NO_CACHE_DATA, NOT_NOW, UPSTREAM_FAILED, StorageError, UnavailableError
from verdictd.pccs.model import PCKSet, Platform, PlatformKey, RawTCB
from verdictd.pccs.pck_offers import read_ppid, verify_pck_set
from verdictd.pccs.pck_upstream import PCKUpstream
from verdictd.pccs.ports import Storage
from verdictd.pccs.shared_source import LEASE_SLACK_S, OnUpstream, find_rest_end, ignore_upstream, name_holder
from verdictd.pccs.unavailable import explain_unavailable
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.trust_roots import TrustRoots

_POLL_S: Final = 0.05
_MAX_WAITING: Final = 64


class _Wanted(NamedTuple):
    """See the arguments of `PCKFetcher.fetch`."""

    platform: Platform
    raw_tcb: RawTCB | None
    anew: bool
    may_displace: bool


class PCKFetcher:
    """Asks upstreams, verifies what they give, and stores it. Safe to share between threads."""

    def __init__(
        self,
        storage: Storage,
        upstreams: Sequence[PCKUpstream],
        *,
        roots: TrustRoots,
        holder: str,
        clock: Callable[[], datetime],
        call_seconds: float = 10.0,
        on_upstream: OnUpstream = ignore_upstream,
        ticks: MonotonicClock = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Make a fetcher; nothing is asked yet.

        Args:
            storage: shared with other processes.
            upstreams: whom to ask, in this order.
            roots: what is trusted.
            holder: names this process among others.
            clock: tells the time (aware).
            call_seconds: how long a call may take.
            on_upstream: told of each request to an upstream.
            ticks: monotonic seconds, for deadlines.
            sleep: waits for so many seconds.
        """
        self._storage = storage
        self._upstreams = tuple(upstreams)
        self._roots = roots
        self._holder = holder
        self._clock = clock
        self._call_seconds = call_seconds
        self._on_upstream = on_upstream
        self._ticks = ticks
        self._sleep = sleep
        self._memory = FactMemory()
        self._flights: SingleFlight[tuple[PlatformKey, RawTCB | None, bool]] = SingleFlight(max_flights=_MAX_WAITING)

    def fetch(
        self,
        platform: Platform,
        raw_tcb: RawTCB | None,
        at: datetime,
        *,
        anew: bool = False,
        may_displace: bool = False,
    ) -> PCKSet:
        """Have a platform's certificates fetched and stored, once for all who ask for them.

        Args:
            platform: what upstream knows it by.
            raw_tcb: for which a cache is asked; ``None`` where it is not known.
            at: the instant (aware).
            anew: whether upstream is to be asked although it has just been.
            may_displace: whether certificates of another processor may take the place of what is held under the same
                key, as when a platform registers again; whoever merely asks for a certificate may not have that done.
        Raises:
            UnavailableError: they cannot be had.
        """
        if not self._upstreams:
            raise UnavailableError("no upstream is configured", status=NO_CACHE_DATA, problem="offline")
        _require_ppid(platform)
        began = self._clock()
        found: list[PCKSet] = []
        wanted = _Wanted(platform, raw_tcb, anew, may_displace)
        flight = self._flights.start(
            (platform.key, raw_tcb, may_displace), lambda: found.append(self._fetch_shared(wanted, began, at))
        )
        if flight is None:
            raise UnavailableError(
                "too many platforms are being asked for at once",
                status=NOT_NOW,
                problem="busy",
                remedy="try again in a moment",
                retry_after_s=1,
            )
        try:
            flight.result(timeout=self._call_seconds)
        except TimeoutError as error:
            raise UnavailableError(
                f"upstream did not answer within {self._call_seconds:g} s",
                status=UPSTREAM_FAILED,
                problem="upstream-down",
                remedy="see pccs status",
            ) from error
        pck_set = found[0] if found else self._storage.platforms.get(platform.key)
        assert pck_set is not None  # whoever began the flight has stored it
        return pck_set

    def _fetch_shared(self, wanted: _Wanted, began: datetime, at: datetime) -> PCKSet:
        """Fetch unless another process does, or has done so since this was wanted."""
        deadline = Deadline.after(self._call_seconds * 0.9, self._ticks)
        platform = wanted.platform
        label = f"PCK certificates of the platform {platform.key.qe_id:.64} {platform.key.pce_id}"
        holder = name_holder(self._holder)
        while not self._storage.leases.acquire(label, holder, deadline.remaining + LEASE_SLACK_S, self._clock()):
            if not deadline.remaining:
                raise UnavailableError(
                    "another process of this cache is asking for them, and has no answer yet",
                    status=UPSTREAM_FAILED,
                    problem="upstream-down",
                )
            self._sleep(min(_POLL_S, deadline.remaining))
        try:
            there = self._storage.platforms.get(platform.key)
            if not wanted.anew and there is not None and self._is_recent(there, wanted.raw_tcb, began, at):
                return there
            return self._ask(wanted, there, label, deadline, at)
        finally:
            self._storage.leases.release(label, holder)

    def _is_recent(self, there: PCKSet, raw_tcb: RawTCB | None, began: datetime, at: datetime) -> bool:
        """Whether another has fetched what is wanted since it was: all certificates, or the one for this very TCB."""
        if there.fetched_at < began - timedelta(seconds=self._call_seconds):
            return False
        answer = None if raw_tcb is None else self._storage.platforms.answer(there.platform.key, raw_tcb)
        return there.is_complete or (answer is not None and at < answer[0].expires_at)

    def _ask(self, wanted: _Wanted, there: PCKSet | None, label: str, deadline: Deadline, at: datetime) -> PCKSet:
        platform, raw_tcb = wanted.platform, wanted.raw_tcb
        attempt = self._storage.attempts.get(label)
        not_before = at if attempt is None or attempt.not_before is None else attempt.not_before
        left = (not_before - at).total_seconds()
        is_resting = 0 < left <= LONGEST_RETRY_AFTER_S  # beyond it, the clock was set back
        if not wanted.anew and attempt is not None and is_resting:
            raise UnavailableError(
                f"{attempt.failure}; upstream is asked again in {left:.0f} s at the earliest",
                status=NOT_NOW,
                problem="rate-limited",
                remedy="wait: upstream limits how often it is asked",
                retry_after_s=left,
            )
        failures: list[VerdictdError] = []
        for upstream in self._upstreams:
            began = self._ticks()
            try:
                offered = upstream.fetch(platform, raw_tcb, deadline.share(len(self._upstreams) - len(failures)))
                pck_set = verify_pck_set(offered, self._roots, self._memory)
                if there is not None and not wanted.may_displace:
                    self._require_same_processor(there, pck_set)
                self._storage.platforms.keep(pck_set)
                if not pck_set.is_complete and raw_tcb is not None:  # a cache has chosen it for this TCB
                    self._storage.platforms.keep_answer(platform.key, raw_tcb, pck_set.certificates[0].tcb)
            except StorageError:
                raise  # that is no failure of upstream
            except VerdictdError as error:
                failures.append(error)
                self._on_upstream(label, str(error), self._ticks() - began)
            else:
                self._storage.attempts.succeeded(label, self._clock())
                self._on_upstream(label, "", self._ticks() - began)
                return pck_set
        raise self._explain(label, failures)

    def _require_same_processor(self, there: PCKSet, new: PCKSet) -> None:
        """Refuse certificates of another processor than those that are held: anybody may name any key and any PPID."""
        if read_ppid(there, self._roots, self._memory) != read_ppid(new, self._roots, self._memory):
            raise AuthenticityError(
                "the certificates are another processor's than those that are held for this quoting enclave",
                remedy="register the platform anew if its processor was replaced",
            )

    def _explain(self, label: str, failures: list[VerdictdError]) -> UnavailableError:
        if all(
            isinstance(each, CollateralUnavailableError) and each.status == HTTPStatus.NOT_FOUND for each in failures
        ):
            return UnavailableError(  # no outage: anybody can ask for a platform that there is not
                f"upstream does not know the platform: {'; '.join(each.message for each in failures)}",
                status=NO_CACHE_DATA,
                problem="ppid-refused",
                remedy="check the encrypted PPID, or register the platform with the vendor (its manifest)",
            )
        now = self._clock()
        what = "; ".join(each.message for each in failures)
        self._storage.attempts.failed(label, now, what, find_rest_end(failures, now))
        attempt = self._storage.attempts.get(label)
        return explain_unavailable(CollateralUnavailableError(what), failures, [attempt])


def _require_ppid(platform: Platform) -> None:
    if not platform.manifest and not any(platform.enc_ppid):
        raise UnavailableError(
            "the encrypted PPID is all zeros: the platform could not tell its own",
            status=NO_CACHE_DATA,
            problem="ppid-refused",
            remedy="register the platform with its manifest (PCKIDRetrievalTool), or update its firmware",
        )
