"""Counts the requests that the simulated service gets: how often it was asked for what, and how often at once."""

import json
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final, NamedTuple

_MAX_ENTRIES: Final = 10_000


class Entry(NamedTuple):
    """A request that was answered, with the status; 0 where the connection was reset instead."""

    method: str
    target: str
    status: int


class RequestLog:
    """Remembers requests. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: Counter[str] = Counter()
        self._present: Counter[str] = Counter()
        self._most: Counter[str] = Counter()
        self._entries: deque[Entry] = deque(maxlen=_MAX_ENTRIES)

    @contextmanager
    def counting(self, path: str) -> Iterator[None]:
        """Count a request of a path as one that is being answered, from now until the end of the block."""
        with self._lock:
            self._counts[path] += 1
            self._present[path] += 1
            self._most[path] = max(self._most[path], self._present[path])
        try:
            yield
        finally:
            with self._lock:
                self._present[path] -= 1

    def note(self, entry: Entry) -> None:
        """Remember how a request was answered; the latest 10,000 are kept."""
        with self._lock:
            self._entries.append(entry)

    def counts(self) -> dict[str, int]:
        """Return how many requests of each path there were, those included that are being answered."""
        with self._lock:
            return dict(self._counts)

    def most_at_once(self) -> dict[str, int]:
        """Return how many requests of each path were being answered at the same time, at most."""
        with self._lock:
            return dict(self._most)

    def entries(self) -> tuple[Entry, ...]:
        """Return the requests that were answered, in the order of their ends."""
        with self._lock:
            return tuple(self._entries)

    def clear(self) -> None:
        """Forget all; requests that are being answered still count as present."""
        with self._lock:
            self._counts.clear()
            self._most.clear()
            self._entries.clear()

    def encode(self) -> bytes:
        """Write all of it as JSON: ``counts``, ``most_at_once`` and ``requests``."""
        return json.dumps(
            {
                "counts": self.counts(),
                "most_at_once": self.most_at_once(),
                "requests": [entry._asdict() for entry in self.entries()],
            }
        ).encode("ascii")
