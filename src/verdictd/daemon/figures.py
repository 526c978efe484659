"""What the workers have counted, as one: also what those counted that are gone."""

import logging
import threading
from dataclasses import dataclass
from typing import Final

from verdictd.core.errors import VerdictdError
from verdictd.daemon.proto.worker_pb2 import FiguresRequest, Frame
from verdictd.daemon.worker_metrics import ATTESTATIONS, Totals, add_up, encode_totals
from verdictd.daemon.workers import Workers

_LOGGER: Final = logging.getLogger(__name__)
ACCEPTED, REFUSED = "accepted", "refused"


@dataclass(frozen=True, slots=True)
class Counts:
    """How many attestations were accepted and refused since the start."""

    accepted: int
    refused: int


class FigureCollector:
    """Asks the workers for their figures. Methods may be called from any thread."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._collecting = threading.Lock()
        self._snapshots: dict[int, bytes] = {}
        self._ended: tuple[bytes, ...] = ()

    def totals(self) -> Totals:
        """Collect them now. Of a worker that ended, what it said last counts: no total ever goes back."""
        with self._collecting:
            answers = self._workers.ask_all(lambda: Frame(figures_request=FiguresRequest()))
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
