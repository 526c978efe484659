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

from verdictd.core.errors import MalformedError

ATTESTATIONS: Final = "attestations"
"""By TEE, verdict and the first check that failed."""
HANDSHAKES: Final = "handshakes"
"""By what became of them."""
DECISIONS: Final = "policy_decisions"
"""By outcome: allowed and refused, and what went wrong."""
REQUESTS: Final = "requests"
"""Of accepted peers, by whether they were answered."""
COUNTERS: Final[Mapping[str, tuple[str, ...]]] = {
    ATTESTATIONS: ("tee", "verdict", "failed_check"),
    HANDSHAKES: ("outcome",),
    DECISIONS: ("outcome",),
    REQUESTS: ("outcome",),
}
"""Each counter with its labels."""

HANDSHAKE_SECONDS: Final = "handshake_seconds"
JUDGEMENT_SECONDS: Final = "judgement_seconds"
DECISION_SECONDS: Final = "policy_decision_seconds"
HISTOGRAMS: Final = (HANDSHAKE_SECONDS, JUDGEMENT_SECONDS, DECISION_SECONDS)
BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds in seconds; what takes longer is in one more."""

_MAX_LABELS: Final = 256
OTHER: Final = "other"


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
        counter = self._counters[name]
        if labels not in counter and len(counter) >= _MAX_LABELS:
            labels = (OTHER,) * len(labels)
        counter[labels] += 1

    def observe(self, name: str, seconds: float) -> None:
        """Count a duration under one of `HISTOGRAMS`."""
        self._histograms[name].observe(seconds)

    def snapshot(self) -> bytes:
        """Write all of it; `Totals` reads it."""
        document = {
            "counters": {
                name: [[list(labels), count] for labels, count in counter.items()]
                for name, counter in self._counters.items()
            },
            "histograms": {name: [each.counts, each.total] for name, each in self._histograms.items()},
        }
        return json.dumps(document).encode("ascii")


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
    """
    counters: dict[str, Counter[tuple[str, ...]]] = {name: Counter() for name in COUNTERS}
    histograms = {name: Histogram() for name in HISTOGRAMS}
    try:
        for snapshot in snapshots:
            document = json.loads(snapshot)
            for name, labelled in COUNTERS.items():
                for labels, count in document["counters"][name]:
                    if len(labels) != len(labelled):
                        raise MalformedError(f"a worker counts {name} under {len(labels)} labels")
                    counters[name][tuple(str(label) for label in labels)] += int(count)
            for name, histogram in histograms.items():
                counts, total = document["histograms"][name]
                histogram.counts = [mine + int(its) for mine, its in zip(histogram.counts, counts, strict=True)]
                histogram.total += float(total)
    except (ValueError, KeyError, TypeError) as error:
        raise MalformedError(f"a worker's metrics cannot be read: {error!r}") from error
    return Totals(counters, histograms)
