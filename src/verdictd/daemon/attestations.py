"""The attestations that all workers remember, as one list, and followed as they happen."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from verdictd.daemon.attestation_messages import newest_within
from verdictd.daemon.proto import verdictd_pb2 as messages
from verdictd.daemon.proto.worker_pb2 import Frame, ListRequest
from verdictd.daemon.workers import Workers

_LIST_S: Final = 20.0
_MAX_BEHIND: Final = 10_000
"""How many attestations a follower may be behind before it misses some."""

_Follower = queue.Queue[messages.Attestation | None]


class Attestations:
    """What the workers remember and tell. Methods may be called from any thread."""

    def __init__(self, workers: Workers, limit: int) -> None:
        """Make a view on the workers.

        Args:
            workers: who judges.
            limit: how many attestations are remembered.
        """
        self._workers = workers
        self._limit = limit
        self._changing = threading.Lock()
        self._followers: tuple[_Follower, ...] = ()
        self._is_closed = False

    def find(self, id_prefix: str, limit: int) -> tuple[messages.Attestation, ...]:
        """Return the newest `limit` (0: all) whose id begins with `id_prefix`, the oldest of them first.

        Of those that are too many for one answer, the newest.
        """
        limit = min(limit, self._limit) if limit else self._limit
        request = ListRequest(id_prefix=id_prefix, limit=limit)
        answers = self._workers.ask_all(lambda: Frame(list=request), timeout_s=_LIST_S)
        found = [attestation for answer in answers.values() for attestation in answer.attestations.attestations]
        found.sort(key=lambda attestation: attestation.number)
        return newest_within(iter(reversed(found[-limit:])))

    def tell(self, attestation: messages.Attestation) -> None:
        """Tell those who follow of an attestation that was concluded."""
        for follower in self._followers:
            try:
                follower.put_nowait(attestation)
            except queue.Full:
                continue

    @contextmanager
    def follow(self, wait_s: float) -> Iterator[Iterator[messages.Attestation | None]]:
        """Give what is concluded from now on, and ``None`` after each `wait_s` without; ends when closed.

        A follower that is too slow misses some.
        """
        follower: _Follower = queue.Queue(_MAX_BEHIND)
        self._change(lambda followers: (*followers, follower))
        try:
            yield self._read(follower, wait_s)
        finally:
            self._change(lambda followers: tuple(other for other in followers if other is not follower))

    def close(self) -> None:
        """End all followers."""
        self._is_closed = True
        for follower in self._followers:
            try:
                follower.put_nowait(None)
            except queue.Full:
                continue

    def _read(self, follower: _Follower, wait_s: float) -> Iterator[messages.Attestation | None]:
        while not self._is_closed:
            try:
                yield follower.get(timeout=wait_s)
            except queue.Empty:
                yield None

    def _change(self, change: Callable[[tuple[_Follower, ...]], tuple[_Follower, ...]]) -> None:
        with self._changing:
            was_followed = bool(self._followers)
            self._followers = change(self._followers)
            if bool(self._followers) is not was_followed and not self._is_closed:
                self._workers.watch(is_on=bool(self._followers))
