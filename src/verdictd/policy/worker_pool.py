"""A fixed number of policy workers, each lent to one request at a time."""

import queue
from collections.abc import Iterator
from contextlib import contextmanager

from verdictd.core.errors import TransportError
from verdictd.policy.worker_process import WorkerProcess


class NoWorkerError(TransportError):
    """All workers were busy for too long."""


class WorkerPool:
    """The workers. The last one used is the next one used: it knows the pair. For any number of threads."""

    def __init__(self, workers: int, wait_s: float) -> None:
        """Make a pool whose workers start when first needed, or all at once with `start`.

        Args:
            workers: how many.
            wait_s: how long a request may wait for a free one.
        """
        self._workers = workers
        self._wait_s = wait_s
        self._is_closed = False
        self._free: list[WorkerProcess | None] = []
        """``None`` is a place whose worker is yet to be started."""
        # A ticket for each that is free: far cheaper to wait for than a queue that gives back in this order.
        self._tickets: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(workers):
            self._give_back(None)

    def start(self) -> None:
        """Start all workers and wait until they are ready. To be called before anything else uses the pool.

        Raises:
            WorkerLostError: one does not start, for example because the engine is not installed.
        """
        taken = [self._take(self._wait_s) for _ in range(self._workers)]
        try:
            for place, worker in enumerate(taken):
                taken[place] = _if_usable(worker) or WorkerProcess()
            for worker in taken:
                if worker is not None:
                    worker.wait_ready()
        finally:
            for worker in taken:
                self._give_back(_if_usable(worker))

    def close(self, patience_s: float) -> None:
        """End all workers, after the requests that they have. One that takes longer than that is left to itself."""
        self._is_closed = True
        for _ in range(self._workers):
            try:
                worker = self._take(patience_s)
            except queue.Empty:
                return
            if worker is not None:
                worker.end()

    @contextmanager
    def borrow(self) -> Iterator[WorkerProcess]:
        """Take a worker out of the free ones for a while, and put it, or a new one in its place, back.

        Raises:
            NoWorkerError: none became free in time.
            WorkerLostError, WorkerTimeoutError: none could be started.
        """
        if self._is_closed:
            raise RuntimeError("the policy runner is closed")
        try:
            worker = self._take(self._wait_s)
        except queue.Empty as error:
            raise NoWorkerError(f"all {self._workers} policy workers were busy for {self._wait_s} s") from error
        try:
            worker = _if_usable(worker) or WorkerProcess()
            worker.wait_ready()
            yield worker
        finally:
            self._give_back(_if_usable(worker))

    def _take(self, timeout_s: float) -> WorkerProcess | None:
        self._tickets.get(timeout=timeout_s)
        return self._free.pop()

    def _give_back(self, worker: WorkerProcess | None) -> None:
        self._free.append(worker)
        self._tickets.put(None)


def _if_usable(worker: WorkerProcess | None) -> WorkerProcess | None:
    """The worker, unless it ended by itself or must be ended."""
    if worker is None or worker.is_usable:
        return worker
    worker.end()
    return None
