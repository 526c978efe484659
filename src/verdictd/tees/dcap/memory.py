"""A bounded memory of facts that never change, so that a platform seen before costs less.

Only two kinds of fact belong here: that a signature over given bytes verifies under a given key, and what given bytes
parse to. Validity in time, revocation and TCB status are judged anew at each appraisal and are never remembered.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import TypeVar, cast

T = TypeVar("T")


class FactMemory:
    """A least-recently-used map from the complete input of a pure computation to its result.

    Keys hold the input itself, not a digest, and are compared whole. A computation that raises is not remembered.
    Safe to share between threads; two threads may compute the same fact at once, with the same result.
    """

    __slots__ = ("_facts", "_lock", "_max_facts")

    def __init__(self, max_facts: int = 4096) -> None:
        self._facts: OrderedDict[Hashable, object] = OrderedDict()
        self._lock = Lock()
        self._max_facts = max_facts

    def recall(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return the fact for `key`, computing it if it is not remembered. `key` must determine the result."""
        with self._lock:
            if key in self._facts:
                self._facts.move_to_end(key)
                return cast("T", self._facts[key])
        fact = compute()
        with self._lock:
            self._facts[key] = fact
            while len(self._facts) > self._max_facts:
                self._facts.popitem(last=False)
        return fact

    def __len__(self) -> int:
        return len(self._facts)
