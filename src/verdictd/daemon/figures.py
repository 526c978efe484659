"""What the workers have counted, as one: also what those counted that are gone."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from verdictd.core.errors import VerdictdError
from verdictd.daemon.proto.worker_pb2 import FiguresRequest, Frame
from verdictd.daemon.worker_metrics import ATTESTATIONS, Totals, add_up, encode_totals
from verdictd.daemon.workers import Workers

_LOGGER: Final = logging.getLogger(__name__)
ANSWER_S: Final = 2.0
"""In which a worker has to say what it counted; of one that does not, what it said last counts."""
ACCEPTED, REFUSED = "accepted", "refused"


@dataclass(frozen=True, slots=True)
class Counts:
    """How many attestations were accepted and refused since the start."""

    accepted: int
    refused: int


class FigureCollector:
    """Asks the workers for their figures. Methods may be called from any thread."""

    def __init__(self, workers: Workers, clock: Callable[[], float] = time.monotonic) -> None:
        self._workers = workers
        self._clock = clock
        self._collecting = threading.Lock()
        self._snapshots: dict[int, bytes] = {}
        self._ended: tuple[bytes, ...] = ()
        self._collected: Totals | None = None
        self._began_at = float("-inf")
        self._answering = 0

    def totals(self) -> Totals:
        """Collect them now. Of a worker that ended, what it said last counts: no total ever goes back.

        A collection that began after this call came is as good: with a worker that does not answer, callers wait for
        two collections at most, however many they are.
        """
        came_at = self._clock()
        with self._collecting:
            if self._collected is None or self._began_at < came_at:
                began_at = self._clock()
                self._collected = self._collect()
                self._began_at = began_at
            return self._collected

    @property
    def answering(self) -> int:
        """How many workers answered when they were asked last, by `totals`."""
        return self._answering

    def _collect(self) -> Totals:
        answers = self._workers.ask_all(lambda: Frame(figures_request=FiguresRequest()), timeout_s=ANSWER_S)
        self._answering = len(answers)
        for worker, answer in answers.items():
            self._take(worker.number, answer.figures.metrics)
        running = {worker.number for worker in self._workers}
        if ended := [self._snapshots.pop(number) for number in self._snapshots.keys() - running]:
            self._ended = (encode_totals(add_up((*self._ended, *ended))),)
        return add_up((*self._ended, *self._snapshots.values()))

    def _take(self, number: int, snapshot: bytes) -> None:
        """Take what a worker says, unless it cannot be read: then what it said before stays."""
        try:
            add_up((snapshot,))
        except VerdictdError as error:
            _LOGGER.error("a worker's figures are not counted", extra={"worker": number, "why": str(error)})  # noqa: TRY400
        else:
            self._snapshots[number] = snapshot

    def counts(self) -> Counts:
        """Count the verdicts."""
        totals = self.totals()
        return Counts(totals.sum_where(ATTESTATIONS, 1, ACCEPTED), totals.sum_where(ATTESTATIONS, 1, REFUSED))
