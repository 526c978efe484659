"""Gives each accepted connection to the worker that has the fewest. Belongs to the supervisor's event loop."""

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from verdictd.daemon.handover import hand_over, take_tokens
from verdictd.daemon.worker_process import WorkerProcess

_LOGGER: Final = logging.getLogger(__name__)
_TRY_AGAIN_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class _Admitted:
    """A connection that no worker has yet."""

    accepted: socket.socket
    peer: str
    host: str


class Dispatcher:
    """Knows which worker has which connections.

    Workers that have much to do take connections late, and their queues are short: what comes meanwhile waits here, in
    its order. As it has been admitted, it is counted, and so there are never more than may connect.
    """

    def __init__(self, release: Callable[[str], None]) -> None:
        """Make a dispatcher without workers.

        Args:
            release: called with a peer's host when its connection is over.
        """
        self._release = release
        self._loop = asyncio.get_running_loop()
        self._workers: list[WorkerProcess] = []
        self._next_token = 1
        self._waiting: deque[_Admitted] = deque()

    @property
    def connections(self) -> int:
        """How many connections there are, handshaking ones included, and those that wait for a worker."""
        return sum(len(worker.tokens) for worker in self._workers) + len(self._waiting)

    def note(self, worker: WorkerProcess) -> None:
        """Take a worker in that began to serve, or forget one that is gone."""
        if worker.is_serving and worker not in self._workers:
            self._workers.append(worker)
            self._loop.add_reader(worker.handover, self._take_back, worker)
        elif not worker.is_serving:
            self._forget(worker)

    def dispatch(self, accepted: socket.socket, peer: str, host: str) -> None:
        """Give an admitted connection to a worker, as soon as one can take it; where there is none, close it."""
        admitted = _Admitted(accepted, peer, host)
        if not self._waiting and self._give(admitted):
            return
        self._waiting.append(admitted)
        if len(self._waiting) == 1:
            self._loop.call_later(_TRY_AGAIN_S, self._give_waiting)

    def close(self) -> None:
        """Forget all workers, and close what waits for one."""
        for worker in list(self._workers):
            self._forget(worker)
        while self._waiting:
            self._drop(self._waiting.popleft())

    def _give_waiting(self) -> None:
        while self._waiting:
            if not self._give(self._waiting[0]):
                self._loop.call_later(_TRY_AGAIN_S, self._give_waiting)
                return
            self._waiting.popleft()

    def _give(self, admitted: _Admitted) -> bool:
        """Get rid of a connection; whether that was possible."""
        if not self._workers:
            self._drop(admitted)
            return True
        for worker in sorted(self._workers, key=lambda worker: len(worker.tokens)):
            token = self._next_token
            if hand_over(worker.handover, admitted.accepted, admitted.peer, token):
                self._next_token += 1
                worker.tokens[token] = admitted.host
                admitted.accepted.close()
                return True
        return False

    def _drop(self, admitted: _Admitted) -> None:
        admitted.accepted.close()
        self._release(admitted.host)
        _LOGGER.warning("there is no worker to take a connection: it is closed", extra={"peer": admitted.peer})

    def _take_back(self, worker: WorkerProcess) -> None:
        for token in take_tokens(worker.handover):
            host = worker.tokens.pop(token, None)
            if host is not None:
                self._release(host)

    def _forget(self, worker: WorkerProcess) -> None:
        if worker in self._workers:
            self._workers.remove(worker)
            self._loop.remove_reader(worker.handover)
        worker.handover.close()
        for host in worker.tokens.values():
            self._release(host)
        worker.tokens.clear()
