"""Has items of AMD's fetched: each by one process at a time, and by none while the service wishes to be left alone."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from verdictd.collateral.amd_names import AMDCertificateName
from verdictd.collateral.deadline import Deadline, MonotonicClock
from verdictd.collateral.kds import KDSUpstream
from verdictd.collateral.single_flight import SingleFlight
from verdictd.core.errors import CollateralUnavailableError, VerdictdError
from verdictd.pccs.amd.held import HeldAMD
from verdictd.pccs.amd.recent_refusals import RecentRefusals
from verdictd.pccs.amd.refusals import busy, explain_failure, is_not_there, not_in_time, require_unmasked
from verdictd.pccs.amd.verification import AMDVerifier
from verdictd.pccs.asking import Asking
from verdictd.pccs.errors import StorageError, UnavailableError
from verdictd.pccs.leasing import leased
from verdictd.pccs.model import AMDItem
from verdictd.pccs.ports import Storage

_MAX_WAITING: Final = 64


class AMDFetcher:
    """Asks upstream, verifies what it gives, and stores it. Safe to share between threads."""

    def __init__(
        self,
        storage: Storage,
        held: HeldAMD,
        upstream: KDSUpstream,
        verifier: AMDVerifier,
        *,
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
            held: over the same storage.
            upstream: whom to ask.
            verifier: knows the roots.
            holder: names this process among others.
            clock: tells the time (aware).
            call_seconds: how long a call may take.
            asking: minds when upstream may be asked.
            ticks: monotonic seconds, for deadlines.
            sleep: waits for so many seconds.
        """
        self._storage = storage
        self._held = held
        self._upstream = upstream
        self._verifier = verifier
        self._holder = holder
        self._clock = clock
        self._call_seconds = call_seconds
        self._asking = asking or Asking(storage.attempts, clock)
        self._ticks = ticks
        self._sleep = sleep
        self._leaves: SingleFlight[AMDCertificateName] = SingleFlight(max_flights=_MAX_WAITING)
        self._others: SingleFlight[AMDCertificateName] = SingleFlight(max_flights=_MAX_WAITING)
        self._refusals = RecentRefusals()

    def fetch(self, name: AMDCertificateName, *, anew: bool = False) -> AMDItem:
        """Have an item fetched and stored, once for all who ask for it; for a leaf the chain too, where it is missing.

        Args:
            name: of what.
            anew: ask although it could not be had just now.
        Raises:
            UnavailableError: it cannot be had.
            StorageError: the database failed.
        """
        require_unmasked(name)
        refusal = None if anew else self._refusals.find(name, self._clock())
        if refusal is not None:
            raise refusal
        return self._join(name, self._call_seconds)

    def last_attempt_at(self, name: AMDCertificateName) -> datetime | None:
        """Return when upstream was last asked for an item, by whatever process."""
        attempt = self._asking.last(self._label(name))
        return None if attempt is None else attempt.at

    def _join(self, name: AMDCertificateName, seconds: float) -> AMDItem:
        """Begin to fetch an item, or wait with whoever has begun.

        Leaves have flights apart: each may wait for the one that fetches its chain.
        """
        began = self._clock()
        found: list[AMDItem] = []
        flights = self._leaves if name.what == "leaf" else self._others
        flight = flights.start(name, lambda: found.append(self._fetch(name, began)))
        if flight is None:
            raise busy()
        try:
            flight.result(timeout=seconds)
        except TimeoutError as error:
            late = CollateralUnavailableError(f"no answer within {seconds:g} s")
            raise explain_failure(name, late, None) from error
        item = found[0] if found else self._held.stored(name, began)
        if item is None:  # whoever began the flight has stored it, and it has come to its end since
            raise explain_failure(name, CollateralUnavailableError("it expires as it comes"), None)
        return item

    def _fetch(self, name: AMDCertificateName, began: datetime) -> AMDItem:
        deadline = Deadline.after(self._call_seconds * 0.9, self._ticks)
        try:
            if name.what == "leaf":
                chain = AMDCertificateName(name.key_type, name.product, "cert_chain")
                if not self._held.is_usable(chain, began):
                    self._join(chain, deadline.remaining)
            item = self._fetch_shared(name, began, deadline)
        except UnavailableError as error:
            self._refusals.add(name, error, self._clock())
            raise
        self._refusals.forget(name)
        return item

    def _fetch_shared(self, name: AMDCertificateName, began: datetime, deadline: Deadline) -> AMDItem:
        """Fetch unless another process does, or has done so since this was wanted."""
        label = self._label(name)
        try:
            with leased(self._storage.leases, label, self._holder, deadline, clock=self._clock, sleep=self._sleep):
                there = self._held.stored(name, began) if self._held.is_usable(name, began) else None
                if there is not None and there.fetched_at >= began:
                    return there
                return self._ask(name, label, deadline)
        except CollateralUnavailableError as error:
            raise explain_failure(name, error, None) from error

    def _ask(self, name: AMDCertificateName, label: str, deadline: Deadline) -> AMDItem:
        self._asking.require_rest_is_over(self._upstream.name)
        if name.what == "leaf" and self._storage.amd.get(name) is None:
            self._asking.spend()
        what, began = f"{name.key_type}_{name.what}", self._ticks()
        try:
            item = self._take(name, self._upstream.fetch(name, deadline))
        except StorageError:
            raise  # that is no failure of upstream
        except VerdictdError as error:
            self._asking.refused(self._upstream.name, what, error, self._ticks() - began)
            is_nobodys = name.what == "leaf" and is_not_there(error)  # anybody can ask for a chip that there is not
            attempt = None if is_nobodys else self._asking.failed(label, str(error))
            raise explain_failure(name, error, attempt) from error
        self._asking.succeeded(label)
        self._asking.answered(self._upstream.name, what, self._ticks() - began)
        return item

    def _take(self, name: AMDCertificateName, content: bytes) -> AMDItem:
        found = self._verifier.verify(name, content)
        at = self._clock()
        if not found.not_before <= at < found.expires_at:
            raise not_in_time(name, found.not_before, found.expires_at)
        self._held.require_not_revoked(name, found)
        item = AMDItem(name=name, content=content, expires_at=found.expires_at, sequence=found.sequence, fetched_at=at)
        self._held.keep(item)
        return self._held.stored(name, at) or item  # a CRL with a higher number stays

    def _label(self, name: AMDCertificateName) -> str:
        # The whole chip id: labels of two chips must differ. It is no secret, and only operators see it.
        chip = f" of the chip {name.chip_id.hex()}" if name.chip_id else ""
        what = f"AMD {name.product} {name.key_type.upper()} {name.what}{chip}"
        return f"{what} at the TCB {name.tcb.hex()}, from {self._upstream.name}" if name.tcb else what
