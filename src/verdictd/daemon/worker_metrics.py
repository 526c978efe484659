"""What a worker counts, cheaply, and how the counts of several workers become one.

Labels come from what verdictd itself says; a peer chooses among them and cannot make new ones, and there is a bound on
how many are kept all the same.
"""

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from verdictd.core.errors import LimitExceededError, MalformedError

ATTESTATIONS: Final = "attestations"
"""By TEE, verdict and the first check that failed."""
HANDSHAKES: Final = "handshakes"
"""By what became of them."""
DECISIONS: Final = "policy_decisions"
"""By outcome: allowed and refused, and what went wrong."""
REQUESTS: Final = "requests"
"""Of accepted peers, by whether they were answered."""
ARCHIVED: Final = "archive_entries"
"""By what became of them: archived, dropped as the queue was full, failed to be written."""
COUNTERS: Final[Mapping[str, tuple[str, ...]]] = {
    ATTESTATIONS: ("tee", "verdict", "failed_check"),
    HANDSHAKES: ("outcome",),
    DECISIONS: ("outcome",),
    REQUESTS: ("outcome",),
    ARCHIVED: ("outcome",),
}
"""Each counter with its labels."""

HANDSHAKE_SECONDS: Final = "handshake_seconds"
JUDGEMENT_SECONDS: Final = "judgement_seconds"
DECISION_SECONDS: Final = "policy_decision_seconds"
COLLATERAL_SECONDS: Final = "collateral_wait_seconds"
HISTOGRAMS: Final = (HANDSHAKE_SECONDS, JUDGEMENT_SECONDS, DECISION_SECONDS, COLLATERAL_SECONDS)
BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds in seconds; what takes longer is in one more."""

MAX_LABELS: Final = 256
"""How many sets of labels a counter has; what comes after them counts as `OTHER`."""
MAX_LABEL_LENGTH: Final = 64
"""Of one label; what has a longer one counts as `OTHER`."""
OTHER: Final = "other"
MAX_SNAPSHOT_BYTES: Final = 1024 * 1024
_MAX_COUNT: Final = 2**63 - 1
_MAX_TOTAL_S: Final = float(2**63)


@dataclass(slots=True)
class Histogram:
    """How often something took how long.

    Attributes:
        counts: for each of `BUCKETS`, and for what is above, how often.
        total: of all, in seconds.
    """

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    total: float = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds


class WorkerMetrics:
    """Counters and histograms. For one thread."""

    def __init__(self) -> None:
        self._counters: dict[str, Counter[tuple[str, ...]]] = {name: Counter() for name in COUNTERS}
        self._histograms = {name: Histogram() for name in HISTOGRAMS}

    def count(self, name: str, *labels: str) -> None:
        """Count one under a counter of `COUNTERS`, with as many labels as it has."""
        _add(self._counters[name], labels, 1)

    def count_to(self, name: str, total: int, *labels: str) -> None:
        """Take over the total of what another part of the worker counts; a lower one than before changes nothing."""
        counter = self._counters[name]
        counter[labels] = max(total, counter[labels])

    def observe(self, name: str, seconds: float) -> None:
        """Count a duration under one of `HISTOGRAMS`."""
        self._histograms[name].observe(seconds)

    def snapshot(self) -> bytes:
        """Write all of it; `add_up` reads it."""
        return _encode(self._counters, self._histograms)


@dataclass(frozen=True, slots=True)
class Totals:
    """The counts of several workers as one.

    Attributes:
        counters: for each of `COUNTERS`, how often with which labels.
        histograms: each of `HISTOGRAMS`.
    """

    counters: Mapping[str, Mapping[tuple[str, ...], int]]
    histograms: Mapping[str, Histogram]

    def sum_where(self, name: str, position: int, label: str) -> int:
        """Add up a counter over all that have a label at a position."""
        return sum(count for labels, count in self.counters[name].items() if labels[position] == label)


def add_up(snapshots: Iterable[bytes]) -> Totals:
    """Add the snapshots of workers up.

    Raises:
        MalformedError: one is none.
        LimitExceededError: one is longer than `MAX_SNAPSHOT_BYTES`.
    """
    counters: dict[str, Counter[tuple[str, ...]]] = {name: Counter() for name in COUNTERS}
    histograms = {name: Histogram() for name in HISTOGRAMS}
    for snapshot in snapshots:
        if len(snapshot) > MAX_SNAPSHOT_BYTES:
            raise LimitExceededError(f"a worker's metrics are {len(snapshot)} bytes, the limit is {MAX_SNAPSHOT_BYTES}")
        try:
            document = json.loads(snapshot)
            for name, counter in counters.items():
                for labels, count in document["counters"][name]:
                    _add(counter, _read_labels(name, labels), _read_count(count))
            for name, histogram in histograms.items():
                _add_histogram(histogram, *document["histograms"][name])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise MalformedError(f"a worker's metrics cannot be read: {error!r:.200}") from error
    return Totals(counters, histograms)


def encode_totals(totals: Totals) -> bytes:
    """Write totals as a snapshot, so that more can be added to them."""
    return _encode(totals.counters, totals.histograms)


def _encode(counters: Mapping[str, Mapping[tuple[str, ...], int]], histograms: Mapping[str, Histogram]) -> bytes:
    document = {
        "counters": {
            name: [[list(labels), count] for labels, count in counter.items()] for name, counter in counters.items()
        },
        "histograms": {name: [each.counts, each.total] for name, each in histograms.items()},
    }
    return json.dumps(document).encode("ascii")


def _add(counter: Counter[tuple[str, ...]], labels: tuple[str, ...], count: int) -> None:
    if labels not in counter and (len(counter) >= MAX_LABELS or any(len(label) > MAX_LABEL_LENGTH for label in labels)):
        labels = (OTHER,) * len(labels)
    counter[labels] = min(counter[labels] + count, _MAX_COUNT)  # more could not be read again


def _read_labels(name: str, labels: object) -> tuple[str, ...]:
    if not isinstance(labels, list) or len(labels) != len(COUNTERS[name]):
        raise ValueError(f"{name} has the labels {', '.join(COUNTERS[name])}")
    if not all(isinstance(label, str) and len(label) <= MAX_LABEL_LENGTH for label in labels):
        raise ValueError(f"a label of {name} is no text of at most {MAX_LABEL_LENGTH} letters")
    return tuple(labels)


def _read_count(count: object) -> int:
    if type(count) is not int or not 0 <= count <= _MAX_COUNT:
        raise ValueError(f"a count is a number from 0 to {_MAX_COUNT}")
    return count


def _add_histogram(histogram: Histogram, counts: object, total: object) -> None:
    if not isinstance(counts, list):
        raise TypeError("a histogram is counts and a sum")
    added = [mine + _read_count(its) for mine, its in zip(histogram.counts, counts, strict=True)]
    histogram.counts = [min(count, _MAX_COUNT) for count in added]
    histogram.total = min(histogram.total + _read_total(total), _MAX_TOTAL_S)


def _read_total(total: object) -> float:
    if isinstance(total, bool) or not isinstance(total, int | float) or not 0 <= total <= _MAX_TOTAL_S:
        raise ValueError(f"a sum of durations is a number from 0 to {_MAX_TOTAL_S:.0f}")
    return total
