"""When the sources were asked for an item, what came of it, and from when on they may be asked again."""

from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from typing import NamedTuple

from verdictd.collateral.deadline import MonotonicClock
from verdictd.collateral.items import ItemKey


class _Failure(NamedTuple):
    until: float
    reason: str


@dataclass(slots=True)
class _Record:
    asked_at: float = 0.0
    failures: dict[int, _Failure] = field(default_factory=dict)


class Attempts:
    """Remembers attempts, and at most so many. Safe to share between threads.

    Sources are given by their position in the service's list.
    """

    def __init__(
        self, *, retry_seconds: float, refresh_seconds: float, clock: MonotonicClock, max_keys: int = 4096
    ) -> None:
        """Start without any.

        Args:
            retry_seconds: how long a source is left alone about an item after it had none that was usable.
            refresh_seconds: after how long an item is due to be asked for again although it is still in time.
            clock: monotonic seconds.
            max_keys: of how many items to remember attempts.
        """
        self._retry_seconds = retry_seconds
        self._refresh_seconds = refresh_seconds
        self._clock = clock
        self._max_keys = max_keys
        self._records: OrderedDict[ItemKey, _Record] = OrderedDict()
        self._lock = Lock()

    def begin(self, key: ItemKey) -> None:
        """Note that the sources are being asked for an item."""
        with self._lock:
            self._records.setdefault(key, _Record()).asked_at = self._clock()
            self._records.move_to_end(key)
            while len(self._records) > self._max_keys:
                self._records.popitem(last=False)

    def failed(self, key: ItemKey, source: int, reason: str) -> None:
        """Note that a source had no usable item."""
        failure = _Failure(self._clock() + self._retry_seconds, reason)
        with self._lock:
            self._records.setdefault(key, _Record()).failures[source] = failure

    def succeeded(self, key: ItemKey) -> None:
        """Note that the item was found: earlier failures no longer matter."""
        with self._lock:
            self._records.setdefault(key, _Record()).failures.clear()

    def may_ask(self, key: ItemKey, source: int) -> bool:
        """Whether a source may be asked for an item (again)."""
        with self._lock:
            record = self._records.get(key)
            failure = None if record is None else record.failures.get(source)
        return failure is None or failure.until <= self._clock()

    def is_due(self, key: ItemKey) -> bool:
        """Whether the sources were asked for an item so long ago that they may have a newer one."""
        with self._lock:
            record = self._records.get(key)
        return record is not None and self._clock() - record.asked_at >= self._refresh_seconds

    def reasons(self, key: ItemKey) -> dict[int, str]:
        """Return why each source had no usable item when it was last asked."""
        with self._lock:
            record = self._records.get(key)
            failures = {} if record is None else dict(record.failures)
        return {source: failures[source].reason for source in sorted(failures)}

    def clear(self) -> None:
        """Forget all attempts."""
        with self._lock:
            self._records.clear()
