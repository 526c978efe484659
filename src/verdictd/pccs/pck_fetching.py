"""Has PCK certificates fetched: for each platform by one process at a time, whoever of its clients asks for it."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final, NamedTuple

from verdictd.collateral.deadline import Deadline, MonotonicClock
from verdictd.collateral.single_flight import SingleFlight
from verdictd.core.errors import AuthenticityError, CollateralUnavailableError, VerdictdError
from verdictd.pccs.asking import LONG_AGO, Asking
from verdictd.pccs.errors import NO_CACHE_DATA, NOT_NOW, UPSTREAM_FAILED, StorageError, UnavailableError
from verdictd.pccs.leasing import leased, name_holder
from verdictd.pccs.model import PCKSet, Platform, PlatformKey, RawTCB
from verdictd.pccs.pck_offers import read_ppid, verify_pck_set
from verdictd.pccs.pck_upstream import PCKUpstream
from verdictd.pccs.ports import Storage
from verdictd.pccs.unavailable import explain_unavailable
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.trust_roots import TrustRoots

_MAX_WAITING: Final = 64
_WHAT: Final = "pck_certificates"


class _Wanted(NamedTuple):
    """See the arguments of `PCKFetcher.fetch`."""

    platform: Platform
    raw_tcb: RawTCB | None
    anew_since: datetime | None
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
        asking: Asking | None = None,
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
            asking: minds when upstream may be asked.
            ticks: monotonic seconds, for deadlines.
            sleep: waits for so many seconds.
        """
        self._storage = storage
        self._upstreams = tuple(upstreams)
        self._roots = roots
        self._holder = holder
        self._clock = clock
        self._call_seconds = call_seconds
        self._asking = asking or Asking(storage.attempts, clock)
        self._ticks = ticks
        self._sleep = sleep
        self._memory = FactMemory()
        self._flights: SingleFlight[tuple[PlatformKey, bytes, RawTCB | None, bool]] = SingleFlight(
            max_flights=_MAX_WAITING
        )

    def fetch(
        self,
        platform: Platform,
        raw_tcb: RawTCB | None,
        at: datetime,
        *,
        anew_since: datetime | None = None,
        may_displace: bool = False,
    ) -> PCKSet:
        """Have a platform's certificates fetched and stored, once for all who ask for them.

        Args:
            platform: what upstream knows it by.
            raw_tcb: for which a cache is asked; ``None`` where it is not known.
            at: the instant (aware).
            anew_since: what was had, or refused, before then does not count; ``None`` where what was had lately does.
            may_displace: whether certificates of another processor may take the place of what is held under the same
                key, as when a platform registers again; whoever merely asks for a certificate may not have that done.
        Raises:
            UnavailableError: they cannot be had.
        """
        if not self._upstreams:
            raise UnavailableError(
                "no upstream is configured",
                status=NO_CACHE_DATA,
                problem="offline",
                remedy="name one (--upstream, --region), or import the platform's certificates: pccs import FILE",
            )
        _require_ppid(platform)
        began = self._clock()
        found: list[PCKSet] = []
        wanted = _Wanted(platform, raw_tcb, anew_since, may_displace)
        flight = self._flights.start(
            (platform.key, platform.manifest, raw_tcb, may_displace),
            lambda: found.append(self._fetch_shared(wanted, began, at)),
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
        try:
            with leased(self._storage.leases, label, holder, deadline, clock=self._clock, sleep=self._sleep):
                there = self._storage.platforms.get(platform.key)
                if there is not None and self._is_recent(there, wanted, began, at):
                    return there
                return self._ask(wanted, there, label, deadline)
        except CollateralUnavailableError as error:
            raise explain_unavailable(error, [error], ()) from error

    def _is_recent(self, there: PCKSet, wanted: _Wanted, began: datetime, at: datetime) -> bool:
        """Whether another has fetched what is wanted since it was: all certificates, or the one for this very TCB."""
        if wanted.platform.manifest not in {b"", there.platform.manifest}:
            return False
        if wanted.anew_since is not None:
            return there.is_complete and there.fetched_at > wanted.anew_since
        if there.fetched_at < began - timedelta(seconds=self._call_seconds):
            return False
        key, raw_tcb = there.platform.key, wanted.raw_tcb
        answer = None if raw_tcb is None else self._storage.platforms.answer(key, raw_tcb)
        return there.is_complete or (answer is not None and at < answer[0].expires_at)

    def _ask(self, wanted: _Wanted, there: PCKSet | None, label: str, deadline: Deadline) -> PCKSet:
        if there is None and not wanted.may_displace:
            self._asking.spend()
        failures: list[VerdictdError] = []
        for upstream in self._upstreams:
            try:
                pck_set = self._ask_one(upstream, wanted, there, deadline.share(len(self._upstreams) - len(failures)))
            except StorageError:
                raise  # that is no failure of upstream
            except VerdictdError as error:
                failures.append(error)
            else:
                self._asking.succeeded(label)
                return pck_set
        raise self._explain(label, failures)

    def _ask_one(self, upstream: PCKUpstream, wanted: _Wanted, there: PCKSet | None, deadline: Deadline) -> PCKSet:
        platform, raw_tcb = wanted.platform, wanted.raw_tcb
        self._asking.require_rest_is_over(upstream.name, wanted_since=wanted.anew_since or LONG_AGO)
        began = self._ticks()
        try:
            pck_set = verify_pck_set(upstream.fetch(platform, raw_tcb, deadline), self._roots, self._memory)
            if there is not None and not wanted.may_displace:
                self._require_same_processor(there, pck_set)
        except VerdictdError as error:
            self._asking.refused(upstream.name, _WHAT, error, self._ticks() - began)
            raise
        self._asking.answered(upstream.name, _WHAT, self._ticks() - began)
        self._storage.platforms.keep(pck_set)
        if not pck_set.is_complete and raw_tcb is not None:  # a cache has chosen it for this TCB
            self._storage.platforms.keep_answer(platform.key, raw_tcb, pck_set.certificates[0].tcb)
        return pck_set

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
        what = "; ".join(each.message for each in failures)
        attempt = self._asking.failed(label, what)
        return explain_unavailable(CollateralUnavailableError(what), failures, [attempt])


def _require_ppid(platform: Platform) -> None:
    if not platform.manifest and not any(platform.enc_ppid):
        raise UnavailableError(
            "the encrypted PPID is all zeros: the platform could not tell its own",
            status=NO_CACHE_DATA,
            problem="ppid-refused",
            remedy="register the platform with its manifest (PCKIDRetrievalTool), or update its firmware",
        )
