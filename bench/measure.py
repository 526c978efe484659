"""Times two implementations on the same inputs, in turns, so that whatever else the machine does meets both alike."""

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from statistics import median
from time import perf_counter_ns
from typing import Generic, TypeVar

Input = TypeVar("Input")

WARM_UP = 30
RUNS_IN_TURN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest(Generic[Input]):
    """One row of the table: what is measured, against whom, and the ratio that it must not exceed.

    `ours` and `peer` raise unless they accept their input: a refusal may stop early, and its time would say nothing.
    """

    name: str
    inputs: Sequence[Input]
    ours: Callable[[Input], object]
    peer_name: str
    peer: Callable[[Input], object]
    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Medians, in `unit`; `at_least` where the ratio has to reach its limit, not to stay below it."""

    name: str
    ours: float
    peer_name: str
    peer: float
    limit: float
    at_least: bool = False
    unit: str = "us"

    @property
    def ratio(self) -> float:
        return self.ours / self.peer

    @property
    def is_within(self) -> bool:
        return self.ratio >= self.limit if self.at_least else self.ratio <= self.limit


def measure(contest: Contest[Input], runs: int) -> Measurement:
    """Run both sides `runs` times, each on the same inputs, after a warm-up.

    They change turns every few runs: often enough that both meet the same machine, seldom enough that most runs find
    the processor's caches as their own side left them. The warm-up takes its inputs from the end: where there are
    enough of them, no timed run meets one that was seen. As with `timeit`, the garbage collector rests meanwhile.
    """
    for item in contest.inputs[-WARM_UP:]:
        contest.ours(item)
        contest.peer(item)
    ours: list[float] = []
    peer: list[float] = []
    items = islice(cycle(contest.inputs), runs)
    gc.collect()
    gc.disable()
    try:
        while turn := list(islice(items, RUNS_IN_TURN)):
            ours += [_time(contest.ours, item) for item in turn]
            peer += [_time(contest.peer, item) for item in turn]
    finally:
        gc.enable()
    return Measurement(
        name=contest.name, ours=median(ours), peer_name=contest.peer_name, peer=median(peer), limit=contest.limit
    )


def _time(function: Callable[[Input], object], item: Input) -> float:
    started = perf_counter_ns()
    function(item)
    return (perf_counter_ns() - started) / 1000
