"""A bounded memory of facts that never change, so that a platform seen before costs less.

Only two kinds of fact belong here: that a signature over given bytes verifies under a given key, and what given bytes
parse to. Validity in time, revocation and TCB status are judged anew at each appraisal and are never remembered.
"""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import TypeAlias, TypeVar, cast

T = TypeVar("T")
FactKey: TypeAlias = tuple[bytes | str | int, ...]
"""A word for the kind of fact, then everything that determines it."""

_UNKNOWN = object()


class FactMemory:
    """A least-recently-used map from the complete input of a pure computation to its result.

    Keys hold the input itself, not a digest, and are compared whole. A computation that raises is not remembered.
    Bounded by the number of facts and by the bytes of their keys. Safe to share between threads; two threads may
    compute the same fact at once, with the same result.
    """

    __slots__ = ("_bytes", "_facts", "_lock", "_max_bytes", "_max_facts")

    def __init__(self, *, max_facts: int = 8192, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._facts: OrderedDict[FactKey, object] = OrderedDict()
        self._lock = Lock()
        self._bytes = 0
        self._max_facts = max_facts
        self._max_bytes = max_bytes

    def recall(self, key: FactKey, compute: Callable[[], T]) -> T:
        """Return the fact for `key`, computing it if it is not remembered. `key` must determine the result."""
        with self._lock:
            fact = self._facts.get(key, _UNKNOWN)
            if fact is not _UNKNOWN:
                self._facts.move_to_end(key)
                return cast("T", fact)
        computed = compute()
        self.keep(key, computed)
        return computed

    def find(self, key: FactKey, kind: type[T]) -> T | None:
        """Return the fact for `key` if it is remembered."""
        with self._lock:
            fact = self._facts.get(key, _UNKNOWN)
            if fact is _UNKNOWN or not isinstance(fact, kind):
                return None
            self._facts.move_to_end(key)
            return fact

    def keep(self, key: FactKey, fact: object) -> None:
        """Remember a fact, for which there is `find`. `key` must determine it."""
        with self._lock:
            if key in self._facts:  # another thread may have come to the same fact meanwhile
                return
            self._facts[key] = fact
            self._bytes += _size(key)
            while len(self._facts) > self._max_facts or self._bytes > self._max_bytes:
                forgotten, _ = self._facts.popitem(last=False)
                self._bytes -= _size(forgotten)

    def __len__(self) -> int:
        with self._lock:  # while a fact is added there may be one too many
            return len(self._facts)


def _size(key: FactKey) -> int:
    return sum([8 if isinstance(part, int) else len(part) for part in key])
