"""What workers counted that have ended still counts, once, and no total ever goes back."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import cast

import pytest

from verdictd.daemon.bounded_http import CLIENT_TIMEOUT_S
from verdictd.daemon.figures import ANSWER_S, FigureCollector
from verdictd.daemon.proto.worker_pb2 import Figures, Frame
from verdictd.daemon.worker_metrics import ATTESTATIONS, WorkerMetrics
from verdictd.daemon.workers import Workers

HANG_S = 30.0


@dataclass(frozen=True, slots=True)
class Worker:
    number: int


class Running:
    """Workers as the collector sees them."""

    def __init__(self) -> None:
        self.metrics: dict[int, WorkerMetrics] = {}
        self.spoiled: set[int] = set()
        self.silent: set[int] = set()
        self.collections = 0
        self.may_answer = threading.Event()
        self.may_answer.set()

    def __iter__(self) -> Iterator[Worker]:
        return iter([Worker(number) for number in self.metrics])

    def ask_all(self, make_frame: Callable[[], Frame], *, timeout_s: float) -> dict[Worker, Frame]:
        assert make_frame().HasField("figures_request")
        assert timeout_s == ANSWER_S
        self.collections += 1
        assert self.may_answer.wait(HANG_S)
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


def test_whoever_asks_while_others_wait_shares_their_collection(running: Running) -> None:
    """Each would wait for a worker that is stuck, one after the other, and be hung up on before its turn."""
    clock = Arrivals()
    collector = FigureCollector(cast("Workers", running), clock)
    running.attest(1)
    running.may_answer.clear()
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(collector.counts)
        clock.wait_for(2)  # it came, and began to collect
        others = [pool.submit(collector.counts) for _ in range(7)]
        clock.wait_for(9)
        running.attest(1)
        running.may_answer.set()
        assert [each.result(HANG_S).accepted for each in (first, *others)] == [2] * 8
    assert running.collections == 2


def test_whoever_asks_after_a_collection_is_told_what_came_since(running: Running, collector: FigureCollector) -> None:
    for number in range(1, 4):
        running.attest(1)
        assert collector.counts().accepted == number
    assert running.collections == 3


def test_two_collections_end_before_a_client_is_hung_up_on() -> None:
    assert 2 * ANSWER_S <= CLIENT_TIMEOUT_S / 2


class Arrivals:
    """A clock that can be waited for: it ticks whenever somebody looks."""

    def __init__(self) -> None:
        self._ticks = 0
        self._changed = threading.Condition()

    def __call__(self) -> float:
        with self._changed:
            self._ticks += 1
            self._changed.notify_all()
            return float(self._ticks)

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._ticks >= count, HANG_S)
