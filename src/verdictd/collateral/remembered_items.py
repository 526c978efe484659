"""Items that are asked for by name and remembered for a while, where any peer can name what is not there.

Of an SEV-SNP or CSV report the name of the certificate has to be believed before anything of it can be verified. So
whoever connects chooses what is asked for: how often that may happen has a limit, and what is not there crowds out
nothing that is.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import BoundedSemaphore, Lock
from typing import Final, Generic, NamedTuple, TypeVar

from verdictd.collateral.deadline import Deadline, MonotonicClock
from verdictd.core.errors import VerdictdError

Name = TypeVar("Name", bound=Hashable)
Fetch = Callable[[Name, Deadline], bytes]
"""Gives untrusted bytes for a name, or raises `VerdictdError` where they are not to be had."""

KEPT_S: Final = 3600.0
"""For which what was had is not asked for again: AMD's service gives about one certificate in ten seconds."""
PAUSE_S: Final = 30.0
"""For which what could not be had is not asked for again."""
BURST: Final = 30
"""How many questions may be asked at once; one more each second."""
_MOST_HELD: Final = 1024
_MOST_MISSING: Final = 256


class Item(NamedTuple):
    """What came of a question: the content, or the reason why there is none."""

    content: bytes | None
    reason: str = ""


class _Kept(NamedTuple):
    item: Item
    until: float


class RememberedItems(Generic[Name]):
    """Asks for items, and remembers what came of it. Safe to share between threads."""

    def __init__(self, fetch: Fetch[Name], *, max_waiting: int = 8, ticks: MonotonicClock = time.monotonic) -> None:
        """Make it; nothing is asked yet.

        Args:
            fetch: asks.
            max_waiting: how many may wait for an answer at once; others are told so.
            ticks: monotonic seconds.
        """
        self._fetch = fetch
        self._free = BoundedSemaphore(max_waiting)
        self._ticks = ticks
        self._lock = Lock()
        self._held: OrderedDict[Name, _Kept] = OrderedDict()
        self._missing: OrderedDict[Name, _Kept] = OrderedDict()
        self._allowance = float(BURST)
        self._allowed_at = ticks()

    def get(self, name: Name, deadline: Deadline) -> Item:
        """Return an item: one that is remembered, or what is answered until the deadline."""
        with self._lock:
            for kept in (self._held.get(name), self._missing.get(name)):
                if kept is not None and kept.until > self._ticks():
                    return kept.item
        if not self._free.acquire(blocking=False):
            return Item(None, "too many wait for such answers already")
        try:
            if not self._spend():
                return Item(None, "too many different ones were asked for within a minute")
            return self._ask(name, deadline)
        finally:
            self._free.release()

    def _spend(self) -> bool:
        with self._lock:
            now = self._ticks()
            self._allowance = min(float(BURST), self._allowance + now - self._allowed_at)
            self._allowed_at = now
            if self._allowance < 1:
                return False
            self._allowance -= 1
            return True

    def _ask(self, name: Name, deadline: Deadline) -> Item:
        try:
            item = Item(self._fetch(name, deadline))
        except VerdictdError as error:
            item = Item(None, str(error))
            self._keep(self._missing, name, _Kept(item, self._ticks() + PAUSE_S), _MOST_MISSING)
            return item
        self._keep(self._held, name, _Kept(item, self._ticks() + KEPT_S), _MOST_HELD)
        return item

    def _keep(self, kept: OrderedDict[Name, _Kept], name: Name, what: _Kept, most: int) -> None:
        with self._lock:
            self._missing.pop(name, None)
            kept[name] = what
            kept.move_to_end(name)
            while len(kept) > most:
                kept.popitem(last=False)
