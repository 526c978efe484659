"""What workers count: bounded however many labels come, added up without loss, and refused where it cannot be read."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdictd.core.errors import LimitExceededError, MalformedError
from verdictd.daemon.worker_metrics import (
    ARCHIVED,
    ATTESTATIONS,
    BUCKETS,
    COUNTERS,
    HANDSHAKE_SECONDS,
    HANDSHAKES,
    MAX_LABEL_LENGTH,
    MAX_LABELS,
    MAX_SNAPSHOT_BYTES,
    OTHER,
    WorkerMetrics,
    add_up,
    encode_totals,
)


def test_the_counts_of_several_workers_are_one() -> None:
    first, second = WorkerMetrics(), WorkerMetrics()
    first.count(ATTESTATIONS, "sgx_ecdsa", "accepted", "")
    second.count(ATTESTATIONS, "sgx_ecdsa", "accepted", "")
    second.count(ATTESTATIONS, "sgx_ecdsa", "refused", "tcb.status")
    totals = add_up([first.snapshot(), second.snapshot()])
    assert totals.counters[ATTESTATIONS] == {
        ("sgx_ecdsa", "accepted", ""): 2,
        ("sgx_ecdsa", "refused", "tcb.status"): 1,
    }
    assert totals.sum_where(ATTESTATIONS, 1, "accepted") == 2
    assert totals.counters[HANDSHAKES] == {}


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0.0, 0), (BUCKETS[0], 0), (BUCKETS[0] * 1.01, 1), (BUCKETS[-1], -2), (1e6, -1)]
)
def test_a_duration_is_counted_in_the_bucket_that_ends_at_or_above_it(seconds: float, bucket: int) -> None:
    metrics = WorkerMetrics()
    metrics.observe(HANDSHAKE_SECONDS, seconds)
    histogram = add_up([metrics.snapshot()]).histograms[HANDSHAKE_SECONDS]
    assert histogram.counts[bucket] == 1
    assert sum(histogram.counts) == 1
    assert histogram.total == seconds


def test_labels_beyond_the_limit_count_as_other_and_nothing_is_lost() -> None:
    metrics = WorkerMetrics()
    for number in range(MAX_LABELS + 5):
        metrics.count(HANDSHAKES, str(number))
    metrics.count(HANDSHAKES, "0")
    counted = add_up([metrics.snapshot()]).counters[HANDSHAKES]
    assert counted[OTHER,] == 5
    assert counted["0",] == 2
    assert len(counted) == MAX_LABELS + 1


def test_labels_of_all_workers_together_are_bounded_as_well() -> None:
    workers = [WorkerMetrics(), WorkerMetrics()]
    for prefix, metrics in enumerate(workers):
        for number in range(MAX_LABELS):
            metrics.count(HANDSHAKES, f"{prefix}.{number}")
    counted = add_up([metrics.snapshot() for metrics in workers]).counters[HANDSHAKES]
    assert len(counted) == MAX_LABELS + 1
    assert sum(counted.values()) == 2 * MAX_LABELS


def test_a_label_that_is_too_long_counts_as_other_and_the_worker_can_still_be_read() -> None:
    metrics = WorkerMetrics()
    metrics.count(HANDSHAKES, "a" * MAX_LABEL_LENGTH)
    metrics.count(HANDSHAKES, "a" * (MAX_LABEL_LENGTH + 1))
    counted = add_up([metrics.snapshot()]).counters[HANDSHAKES]
    assert counted == {("a" * MAX_LABEL_LENGTH,): 1, (OTHER,): 1}


def test_whatever_workers_claim_the_totals_can_be_added_up_again() -> None:
    """Those of workers that ended are read with each scrape: too large ones would end all figures for good."""
    most, longest = 2**63 - 1, float(2**63)
    counted = with_handshakes([[["accepted"], most]])
    measured = with_histogram([[most, *ZEROES[1:]], longest])
    ended = encode_totals(add_up([counted, measured, counted, measured]))
    totals = add_up([ended, counted, measured])
    assert totals.counters[HANDSHAKES] == {("accepted",): most}
    histogram = totals.histograms[HANDSHAKE_SECONDS]
    assert histogram.counts[0] == most
    assert histogram.total == longest


def test_a_total_that_is_taken_over_never_goes_back() -> None:
    metrics = WorkerMetrics()
    seen = []
    for total in (3, 7, 5):
        metrics.count_to(ARCHIVED, total, "dropped")
        seen.append(add_up([metrics.snapshot()]).counters[ARCHIVED]["dropped",])
    assert seen == [3, 7, 7]


_EVENTS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["a", "b", ""]), st.floats(0, 100)), max_size=40)


@given(_EVENTS, st.integers(0, 4))
def test_however_workers_are_grouped_the_totals_are_the_same(events: list[tuple[int, str, float]], ended: int) -> None:
    workers = [WorkerMetrics() for _ in range(4)]
    for number, label, seconds in events:
        workers[number].count(HANDSHAKES, label)
        workers[number].observe(HANDSHAKE_SECONDS, seconds)
    snapshots = [worker.snapshot() for worker in workers]
    at_once = add_up(snapshots)
    in_two_steps = add_up([encode_totals(add_up(snapshots[:ended])), *snapshots[ended:]])
    assert in_two_steps.counters == at_once.counters
    for name, histogram in at_once.histograms.items():
        assert in_two_steps.histograms[name].counts == histogram.counts
        assert in_two_steps.histograms[name].total == pytest.approx(histogram.total)


def damaged(change: Callable[[Any], object]) -> bytes:
    metrics = WorkerMetrics()
    metrics.count(HANDSHAKES, "accepted")
    document = json.loads(metrics.snapshot())
    change(document)
    return json.dumps(document).encode()


def with_handshakes(entry: object) -> bytes:
    return damaged(lambda document: document["counters"].update(handshakes=entry))


def with_histogram(entry: object) -> bytes:
    return damaged(lambda document: document["histograms"].update(handshake_seconds=entry))


ZEROES = [0] * (len(BUCKETS) + 1)


@pytest.mark.parametrize(
    "snapshot",
    [
        b"",
        b"\xff",
        b"[]",
        b"7",
        b"{}",
        b"[" * 100_000,
        damaged(lambda document: document["counters"].pop(HANDSHAKES)),
        damaged(lambda document: document["histograms"].pop(HANDSHAKE_SECONDS)),
        with_handshakes(7),
        with_handshakes([[["accepted"]]]),
        with_handshakes([[["accepted", "twice"], 1]]),
        with_handshakes([["a", 1]]),
        with_handshakes([[[7], 1]]),
        with_handshakes([[["a" * (MAX_LABEL_LENGTH + 1)], 1]]),
        with_handshakes([[["accepted"], -1]]),
        with_handshakes([[["accepted"], 1.0]]),
        with_handshakes([[["accepted"], True]]),
        with_handshakes([[["accepted"], float("inf")]]),
        with_handshakes([[["accepted"], 2**63]]),
        with_histogram([ZEROES]),
        with_histogram([ZEROES[:-1], 0.0]),
        with_histogram([[*ZEROES, 0], 0.0]),
        with_histogram([[-1, *ZEROES[1:]], 0.0]),
        with_histogram([ZEROES, -1.0]),
        with_histogram([ZEROES, float("nan")]),
        with_histogram([ZEROES, float("inf")]),
        with_histogram([ZEROES, "1"]),
        with_histogram([ZEROES, True]),
        with_histogram([ZEROES, 2.0**64]),
        with_histogram([ZEROES, 10**400]),
    ],
    ids=lambda snapshot: snapshot[:40].decode("ascii", "replace") + str(len(snapshot)),
)
def test_what_is_no_snapshot_is_malformed(snapshot: bytes) -> None:
    with pytest.raises(MalformedError, match="metrics"):
        add_up([snapshot])


def test_a_snapshot_has_its_limit_and_the_largest_there_can_be_is_within_it() -> None:
    metrics = WorkerMetrics()
    for name, labels in COUNTERS.items():
        for number in range(MAX_LABELS):
            metrics.count(name, *(f"{number:0{MAX_LABEL_LENGTH}}" for _ in labels))
    assert len(add_up([metrics.snapshot()]).counters[ATTESTATIONS]) == MAX_LABELS
    with pytest.raises(LimitExceededError, match=str(MAX_SNAPSHOT_BYTES)):
        add_up([metrics.snapshot() + b" " * MAX_SNAPSHOT_BYTES])


@given(st.binary(max_size=200))
def test_any_bytes_are_totals_or_one_of_our_errors(data: bytes) -> None:
    with pytest.raises(MalformedError):
        add_up([data])
