"""What workers counted that have ended still counts, once, and no total ever goes back."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import pytest

from verdictd.daemon.figures import FigureCollector
from verdictd.daemon.proto.worker_pb2 import Figures, Frame
from verdictd.daemon.worker_metrics import ATTESTATIONS, WorkerMetrics
from verdictd.daemon.workers import Workers


@dataclass(frozen=True, slots=True)
class Worker:
    number: int


class Running:
    """Workers as the collector sees them."""

    def __init__(self) -> None:
        self.metrics: dict[int, WorkerMetrics] = {}
        self.spoiled: set[int] = set()
        self.silent: set[int] = set()

    def __iter__(self) -> Iterator[Worker]:
        return iter([Worker(number) for number in self.metrics])

    def ask_all(self, make_frame: Callable[[], Frame]) -> dict[Worker, Frame]:
        assert make_frame().HasField("figures_request")
        return {
            Worker(number): Frame(
                figures=Figures(metrics=b"nonsense" if number in self.spoiled else metrics.snapshot())
            )
            for number, metrics in self.metrics.items()
            if number not in self.silent
        }

    def attest(self, number: int) -> None:
        self.metrics.setdefault(number, WorkerMetrics()).count(ATTESTATIONS, "sgx_ecdsa", "accepted", "")


@pytest.fixture
def running() -> Running:
    return Running()


@pytest.fixture
def collector(running: Running) -> FigureCollector:
    return FigureCollector(cast("Workers", running))


def test_a_worker_that_was_replaced_still_counts_and_only_once(running: Running, collector: FigureCollector) -> None:
    seen = []
    for number in range(1, 200):  # each is gone when the next one attests
        running.metrics = {}
        running.attest(number)
        seen.append(collector.counts().accepted)
    assert seen == list(range(1, 200))
    assert len(collector._snapshots) <= 2, "what ended is kept for each worker there ever was"
    assert collector.counts().refused == 0


def test_a_worker_that_does_not_answer_counts_with_what_it_said_last(
    running: Running, collector: FigureCollector
) -> None:
    running.attest(1)
    running.attest(2)
    assert collector.counts().accepted == 2
    running.attest(2)
    running.silent = {1}
    assert collector.counts().accepted == 3


def test_a_worker_that_says_nonsense_takes_nothing_from_the_others(
    running: Running, collector: FigureCollector, caplog: pytest.LogCaptureFixture
) -> None:
    running.attest(1)
    running.attest(2)
    assert collector.counts().accepted == 2
    running.spoiled = {2}
    assert collector.counts().accepted == 2
    assert "not counted" in caplog.text
