"""What the workers have counted, as one: also what those counted that are gone."""

import threading
from dataclasses import dataclass

from verdictd.daemon.proto.worker_pb2 import FiguresRequest, Frame
from verdictd.daemon.worker_metrics import ATTESTATIONS, Totals, add_up
from verdictd.daemon.workers import Workers

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

    def totals(self) -> Totals:
        """Collect them now. Of a worker that ended, what it said last counts: no total ever goes back."""
        with self._collecting:
            answers = self._workers.ask_all(lambda: Frame(figures_request=FiguresRequest()))
            self._snapshots |= {worker.number: answer.figures.metrics for worker, answer in answers.items()}
            return add_up(self._snapshots.values())

    def counts(self) -> Counts:
        """Count the verdicts."""
        totals = self.totals()
        return Counts(totals.sum_where(ATTESTATIONS, 1, ACCEPTED), totals.sum_where(ATTESTATIONS, 1, REFUSED))
