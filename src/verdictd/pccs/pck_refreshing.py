"""Has the certificates of the platforms that are held asked for again: new TCB levels bring new ones."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from random import SystemRandom
from typing import Final, TypeAlias

from verdictd.collateral.deadline import Deadline, MonotonicClock
from verdictd.core.errors import VerdictdError
from verdictd.pccs.errors import NO_CACHE_DATA, UnavailableError
from verdictd.pccs.model import Mode, Platform, RawTCB
from verdictd.pccs.pck_choosing import PCKChooser
from verdictd.pccs.pck_fetching import PCKFetcher
from verdictd.pccs.ports import Storage
from verdictd.pccs.refreshing import shorten
from verdictd.pccs.unavailable import require_refreshing

_LOGGER: Final = logging.getLogger(__name__)
_LEASE: Final = "the refresh of PCK certificates"
_LEASE_S: Final = 60.0
_AT_ONCE: Final = 10
"""Platforms a second at most: a cache that was switched off for long does not fall upon upstream."""
_LONGEST_S: Final = 5.0
"""After which it is enough for now: a slow upstream outlasts neither the lease nor the patience of who stops us."""
_PAUSE_AFTER_FAILURE: Final = timedelta(minutes=10)
_BETWEEN_SWEEPS: Final = timedelta(hours=1)
"""After all that were due were asked for: what upstream did not have is not asked for again sooner."""
_LONGEST_PAUSE: Final = max(_PAUSE_AFTER_FAILURE, _BETWEEN_SWEEPS)
_RANDOM: Final = SystemRandom()
_Known: TypeAlias = tuple[Platform, tuple[RawTCB, ...]]


class PCKRefresh:
    """Refreshes all at an operator's wish, and by itself what was had a period ago. `refresh_due` is one thread's."""

    def __init__(
        self,
        storage: Storage,
        fetcher: PCKFetcher,
        chooser: PCKChooser,
        *,
        mode: Mode,
        holder: str,
        refresh_period: timedelta = timedelta(hours=24),
        random: Callable[[], float] = _RANDOM.random,
        ticks: MonotonicClock = time.monotonic,
    ) -> None:
        """Make it; nothing is asked yet.

        Args:
            storage: shared with other processes, of which one at a time refreshes by itself.
            fetcher: asks upstream.
            chooser: chooses anew among what came.
            mode: when upstream is asked.
            holder: names this process among others.
            refresh_period: after which a platform's certificates are asked for again, a random part less.
            random: gives numbers from 0 to 1.
            ticks: monotonic seconds.
        """
        self._storage = storage
        self._fetcher = fetcher
        self._chooser = chooser
        self._mode = mode
        self._holder = holder
        self._refresh_period = shorten(refresh_period, random)
        self._ticks = ticks
        self._due: Iterator[_Known] | None = None
        self._not_before = datetime.min.replace(tzinfo=UTC)

    def refresh(self, at: datetime, *, fmspc: bytes = b"") -> Sequence[tuple[str, str]]:
        """See `PCKCache.refresh`. Failures are named platform by platform; what went well, by the family."""
        require_refreshing(self._mode)
        outcomes: dict[str, str] = {}
        for platform, raw_tcbs in self._storage.platforms.platforms([fmspc] if fmspc else ()):
            family = f"PCK certificates of the family {platform.fmspc.hex().upper()}"
            try:
                self._refresh(platform, raw_tcbs, at)
                outcomes.setdefault(family, "")
            except VerdictdError as error:
                outcomes[f"{family}: platform {platform.key.qe_id:.32}"] = str(error)
        return tuple(outcomes.items())

    def refresh_due(self, at: datetime) -> None:
        """Ask for some of what was had a period ago, unless another process does.

        After an outage it waits; what upstream does not have it leaves until the next time around.

        Raises:
            StorageError: the database failed.
        """
        is_waiting = timedelta(0) < self._not_before - at <= _LONGEST_PAUSE  # beyond it, the clock was set back
        if self._mode is Mode.OFFLINE or is_waiting:
            return
        if not self._storage.leases.acquire(_LEASE, self._holder, _LEASE_S, at):
            self._due = None  # whoever has it begins at the beginning, and so do we after that
            return
        if self._due is None:
            self._due = self._storage.platforms.platforms(fetched_before=at - self._refresh_period)
        enough = Deadline.after(_LONGEST_S, self._ticks)
        for _ in range(_AT_ONCE):
            known = next(self._due, None)
            if known is None:
                self._due, self._not_before = None, at + _BETWEEN_SWEEPS
                return
            if not self._is_had(*known, at):
                self._not_before = at + _PAUSE_AFTER_FAILURE
                return
            if not enough.remaining:
                return

    def _is_had(self, platform: Platform, raw_tcbs: tuple[RawTCB, ...], at: datetime) -> bool:
        """Refresh one platform; ``False`` where upstream is to be left alone for a while."""
        if not platform.manifest and not any(platform.enc_ppid):
            return True  # upstream cannot know it: somebody brought its certificates
        try:
            self._refresh(platform, raw_tcbs, at)
        except UnavailableError as error:
            _LOGGER.info("the certificates of the platform %.32s are not renewed: %s", platform.key.qe_id, error)
            return error.status == NO_CACHE_DATA
        return True

    def _refresh(self, platform: Platform, raw_tcbs: tuple[RawTCB, ...], at: datetime) -> None:
        pck_set = self._fetcher.fetch(platform, raw_tcbs[0] if raw_tcbs else None, at, anew_since=at)
        for raw_tcb in raw_tcbs[1:]:
            if not pck_set.is_complete:  # a cache gives one at a time
                self._fetcher.fetch(platform, raw_tcb, at, anew_since=at)
        for raw_tcb in raw_tcbs if pck_set.is_complete else ():
            self._chooser.choose(pck_set, raw_tcb, at, self._chooser.family_tcb_info(pck_set.platform.fmspc, at))
