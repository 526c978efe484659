"""What could not be had of AMD's just now: however often clients ask for it, upstream is not."""

from collections import OrderedDict
from datetime import datetime, timedelta
from threading import Lock
from typing import Final, NamedTuple

from verdictd.collateral.amd_names import AMDCertificateName
from verdictd.pccs.errors import UnavailableError

SHORTEST_PAUSE: Final = timedelta(seconds=10)
"""AMD's service gives about one certificate in this time to an address."""
LONGEST_PAUSE: Final = timedelta(minutes=1)
_MOST: Final = 4096


class _Refusal(NamedTuple):
    error: UnavailableError
    since: datetime
    until: datetime


class RecentRefusals:
    """Remembers refusals: each for as long again as its item could not be had, within bounds. Safe between threads."""

    def __init__(self, *, most: int = _MOST) -> None:
        """Start without any.

        Args:
            most: how many to remember.
        """
        self._most = most
        self._lock = Lock()
        self._refusals: OrderedDict[AMDCertificateName, _Refusal] = OrderedDict()

    def add(self, name: AMDCertificateName, error: UnavailableError, at: datetime) -> None:
        """Note that an item cannot be had."""
        with self._lock:
            before = self._refusals.pop(name, None)
            since = at if before is None else min(before.since, at)
            pause = min(max(at - since, SHORTEST_PAUSE), LONGEST_PAUSE)
            self._refusals[name] = _Refusal(error, since, at + pause)
            while len(self._refusals) > self._most:
                self._refusals.popitem(last=False)

    def find(self, name: AMDCertificateName, at: datetime) -> UnavailableError | None:
        """Return why an item cannot be had, if that was found out so lately that it is not asked for again."""
        with self._lock:
            refusal = self._refusals.get(name)
        if refusal is None or not refusal.until - LONGEST_PAUSE <= at < refusal.until:
            return None
        error = refusal.error
        return UnavailableError(
            error.message,
            status=error.status,
            problem=error.problem,
            remedy=error.remedy,
            retry_after_s=(refusal.until - at).total_seconds(),
        )

    def forget(self, name: AMDCertificateName) -> None:
        """Let an item be asked for at once."""
        with self._lock:
            self._refusals.pop(name, None)
