"""When the sources were asked for an item, what came of it, and from when on they may be asked again."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from random import SystemRandom
from threading import Lock
from typing import Final, NamedTuple

from verdictd.collateral.deadline import MonotonicClock
from verdictd.collateral.items import ItemKey

LONGEST_PAUSE_S: Final = 600.0
"""After which a source is asked again about an item, however often it failed."""
LONGEST_RETRY_AFTER_S: Final = 3600.0
"""For which a source that says so itself is left alone at most."""
_SHORTEST_SHARE: Final = 0.8
"""Of a period, its least part: that many verifiers which started together do not ask together."""
_RANDOM: Final = SystemRandom()


class _Failure(NamedTuple):
    until: float
    reason: str
    times: int


@dataclass(slots=True)
class _Record:
    due_at: float
    failures: dict[int, _Failure] = field(default_factory=dict)
    last_failure: str = ""


class Attempts:
    """Remembers attempts, and at most so many. Safe to share between threads.

    Sources are given by their position in the service's list.
    """

    def __init__(
        self,
        *,
        retry_seconds: float,
        refresh_seconds: float,
        clock: MonotonicClock,
        random: Callable[[], float] = _RANDOM.random,
        max_keys: int = 4096,
    ) -> None:
        """Start without any.

        Args:
            retry_seconds: how long a source is left alone about an item after it had none that was usable; twice as
                long after each further time, up to `LONGEST_PAUSE_S`, and a random part less.
            refresh_seconds: after how long an item is due to be asked for again although it is still in time, a random
                part less.
            clock: monotonic seconds.
            random: gives numbers from 0 to 1.
            max_keys: of how many items to remember attempts.
        """
        self._retry_seconds = retry_seconds
        self._refresh_seconds = refresh_seconds
        self._clock = clock
        self._random = random
        self._max_keys = max_keys
        self._records: OrderedDict[ItemKey, _Record] = OrderedDict()
        self._lock = Lock()

    def begin(self, key: ItemKey) -> None:
        """Note that the sources are being asked for an item."""
        with self._lock:
            record = self._record(key)
            record.due_at = self._clock() + self._shorten(self._refresh_seconds)
            self._records.move_to_end(key)
            while len(self._records) > self._max_keys:
                self._records.popitem(last=False)

    def failed(self, key: ItemKey, source: int, reason: str, *, retry_after_s: float | None = None) -> None:
        """Note that a source had no usable item, and for how long it wishes to be left alone where it says so."""
        now = self._clock()
        with self._lock:
            record = self._record(key)
            times = record.failures[source].times + 1 if source in record.failures else 1
            pause = min(self._retry_seconds * 2 ** min(times - 1, 32), LONGEST_PAUSE_S)
            pause = pause if times == 1 else self._shorten(pause)
            if retry_after_s is not None:
                pause = max(pause, min(retry_after_s, LONGEST_RETRY_AFTER_S))
            record.failures[source] = _Failure(now + pause, reason, times)
            record.last_failure = reason

    def succeeded(self, key: ItemKey, *, left_s: float) -> None:
        """Note that the item was found: earlier failures no longer matter.

        Args:
            key: which.
            left_s: for how long it is of use; it is due again in half of that, though not before a failed one would be.
        """
        period = min(self._refresh_seconds, max(left_s / 2, self._retry_seconds))
        with self._lock:
            record = self._record(key)
            record.due_at = self._clock() + self._shorten(period)
            record.failures.clear()
            record.last_failure = ""

    def may_ask(self, key: ItemKey, source: int) -> bool:
        """Whether a source may be asked for an item (again)."""
        with self._lock:
            record = self._records.get(key)
            failure = None if record is None else record.failures.get(source)
        return failure is None or failure.until <= self._clock()

    def is_due(self, key: ItemKey) -> bool:
        """Whether the sources were asked for an item so long ago that they may have a newer one, or failed to."""
        with self._lock:
            record = self._records.get(key)
        if record is None:
            return False
        return bool(record.failures) or self._clock() >= record.due_at

    def was_asked(self, key: ItemKey) -> bool:
        """Whether the sources were asked for an item at all."""
        with self._lock:
            return key in self._records

    def due_in(self, key: ItemKey) -> float | None:
        """In how many seconds the sources are asked again; ``None`` where they were not asked yet."""
        with self._lock:
            record = self._records.get(key)
        if record is None:
            return None
        instants = [failure.until for failure in record.failures.values()] or [record.due_at]
        return max(0.0, min(instants) - self._clock())

    def last_failure(self, key: ItemKey) -> str:
        """Why the last attempt failed; empty where none did, or where one has succeeded since."""
        with self._lock:
            record = self._records.get(key)
        return "" if record is None else record.last_failure

    def forgive(self, key: ItemKey) -> None:
        """Let every source be asked for an item at once: the operator wants it."""
        with self._lock:
            record = self._records.get(key)
            if record is not None:
                record.failures.clear()

    def _record(self, key: ItemKey) -> _Record:
        return self._records.setdefault(key, _Record(self._clock()))

    def _shorten(self, seconds: float) -> float:
        return seconds * (_SHORTEST_SHARE + (1 - _SHORTEST_SHARE) * self._random())

    def reasons(self, key: ItemKey) -> dict[int, str]:
        """Return why each source had no usable item when it was last asked."""
        with self._lock:
            record = self._records.get(key)
            failures = {} if record is None else dict(record.failures)
        return {source: failures[source].reason for source in sorted(failures)}
