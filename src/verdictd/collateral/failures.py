"""Which source had no usable item, why, and from when on it may be asked for it again."""

from collections import OrderedDict
from threading import Lock
from typing import NamedTuple

from verdictd.collateral.deadline import MonotonicClock
from verdictd.collateral.items import ItemKey


class _Failure(NamedTuple):
    until: float
    reason: str


class Failures:
    """Remembers failures for a short while, and at most so many. Safe to share between threads.

    Sources are given by their position in the service's list.
    """

    def __init__(self, *, seconds: float, clock: MonotonicClock, max_keys: int = 4096) -> None:
        self._seconds = seconds
        self._clock = clock
        self._max_keys = max_keys
        self._failures: OrderedDict[ItemKey, dict[int, _Failure]] = OrderedDict()
        self._lock = Lock()

    def remember(self, key: ItemKey, source: int, reason: str) -> None:
        """Note that a source had no usable item now."""
        with self._lock:
            failure = _Failure(self._clock() + self._seconds, reason)
            self._failures[key] = {**self._failures.get(key, {}), source: failure}
            self._failures.move_to_end(key)
            while len(self._failures) > self._max_keys:
                self._failures.popitem(last=False)

    def may_ask(self, key: ItemKey, source: int) -> bool:
        """Whether a source may be asked for an item (again)."""
        with self._lock:
            failure = self._failures.get(key, {}).get(source)
        return failure is None or failure.until <= self._clock()

    def reasons(self, key: ItemKey) -> dict[int, str]:
        """Return why each source had no usable item when it was last asked."""
        with self._lock:
            return {source: failure.reason for source, failure in sorted(self._failures.get(key, {}).items())}

    def forget(self, key: ItemKey) -> None:
        """Forget the failures to find one item."""
        with self._lock:
            self._failures.pop(key, None)

    def clear(self) -> None:
        """Forget all failures."""
        with self._lock:
            self._failures.clear()
