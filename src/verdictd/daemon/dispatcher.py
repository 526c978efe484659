"""Gives each accepted connection to the worker that has the fewest. Belongs to the supervisor's event loop."""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Final

from verdictd.daemon.handover import hand_over, take_tokens
from verdictd.daemon.worker_process import WorkerProcess

_LOGGER: Final = logging.getLogger(__name__)


class Dispatcher:
    """Knows which worker has which connections."""

    def __init__(self, release: Callable[[str], None]) -> None:
        """Make a dispatcher without workers.

        Args:
            release: called with a peer's host when its connection is over.
        """
        self._release = release
        self._loop = asyncio.get_running_loop()
        self._workers: list[WorkerProcess] = []
        self._next_token = 1

    @property
    def connections(self) -> int:
        """How many connections the workers have, handshaking ones included."""
        return sum(len(worker.tokens) for worker in self._workers)

    def note(self, worker: WorkerProcess) -> None:
        """Take a worker in that began to serve, or forget one that is gone."""
        if worker.is_serving and worker not in self._workers:
            self._workers.append(worker)
            self._loop.add_reader(worker.handover, self._take_back, worker)
        elif not worker.is_serving:
            self._forget(worker)

    def dispatch(self, accepted: socket.socket, peer: str, host: str) -> None:
        """Give a connection that was admitted to a worker; where none can take it, it is closed."""
        with accepted:
            for worker in sorted(self._workers, key=lambda worker: len(worker.tokens)):
                token = self._next_token
                if hand_over(worker.handover, accepted, peer, token):
                    self._next_token += 1
                    worker.tokens[token] = host
                    return
        self._release(host)
        _LOGGER.warning("no worker can take a connection: it is closed", extra={"peer": peer})

    def close(self) -> None:
        """Forget all workers."""
        for worker in list(self._workers):
            self._forget(worker)

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
