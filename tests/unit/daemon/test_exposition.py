"""Metrics as Prometheus reads them: read back with its own parser."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from verdictd.collateral.held import HeldItem
from verdictd.collateral.items import ItemKind
from verdictd.daemon.exposition import MAX_ITEMS, Exposition, MetricsSources, PolicyInForce
from verdictd.daemon.worker_metrics import (
    ATTESTATIONS,
    BUCKETS,
    COUNTERS,
    HISTOGRAMS,
    JUDGEMENT_SECONDS,
    WorkerMetrics,
    add_up,
)
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.tees.dcap.trust_roots import TrustRoots, parse_trust_roots

MANUAL = Path(__file__).resolve().parents[3] / "docs" / "observability.md"
STARTED_AT = datetime(2026, 1, 31, tzinfo=UTC)
PLATFORM = SimulatedPlatform.create(at=STARTED_AT)


def sources(metrics: WorkerMetrics | None = None, held: Sequence[HeldItem] = ()) -> MetricsSources:
    snapshot = (metrics or WorkerMetrics()).snapshot()
    return MetricsSources(
        totals=lambda: add_up([snapshot]),
        collateral=lambda _: tuple(held),
        connections=lambda: 3,
        turned_away=lambda: 4,
        workers=lambda: 2,
        audit_records=lambda: 77,
        started_at=STARTED_AT,
    )


def scrape(given: MetricsSources) -> list[Sample]:
    text = Exposition(given).write().decode()
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def value(samples: list[Sample], metric: str, /, **labels: str) -> float:
    (found,) = [sample.value for sample in samples if sample.name == metric and sample.labels == labels]
    return found


def test_attestations_are_told_by_tee_verdict_and_failed_check() -> None:
    metrics = WorkerMetrics()
    metrics.count(ATTESTATIONS, "sgx_ecdsa", "refused", "tcb.status")
    metrics.count(ATTESTATIONS, "sgx_ecdsa", "refused", "tcb.status")
    samples = scrape(sources(metrics))
    labels = {"tee": "sgx_ecdsa", "verdict": "refused", "failed_check": "tcb.status"}
    assert value(samples, "verdictd_attestations_total", **labels) == 2


def test_what_is_asked_at_the_scrape() -> None:
    samples = scrape(sources())
    assert value(samples, "verdictd_connections") == 3
    assert value(samples, "verdictd_connections_turned_away_total") == 4
    assert value(samples, "verdictd_workers") == 2
    assert value(samples, "verdictd_audit_records") == 77
    assert value(samples, "verdictd_start_time_seconds") == STARTED_AT.timestamp()


def test_the_buckets_of_a_histogram_add_up() -> None:
    metrics = WorkerMetrics()
    for seconds in (BUCKETS[0] / 2, BUCKETS[3], 1000.0):
        metrics.observe(JUDGEMENT_SECONDS, seconds)
    samples = scrape(sources(metrics))
    name = "verdictd_judgement_seconds"
    counts = [sample.value for sample in samples if sample.name == f"{name}_bucket"]
    assert len(counts) == len(BUCKETS) + 1
    assert counts == sorted(counts)
    assert counts[0] == 1
    assert counts[-2:] == [2, 3]
    assert value(samples, f"{name}_count") == 3
    assert value(samples, f"{name}_sum") == pytest.approx(1000 + BUCKETS[0] / 2 + BUCKETS[3])


def test_policies_and_roots_are_told_where_they_are_known() -> None:
    assert not [sample for sample in scrape(sources()) if "policy_" in sample.name and "info" in sample.name]
    policy = PolicyInForce(tee="sgx_ecdsa", policy_digest="aa", reference_digest="bb", is_usable=False)
    samples = scrape(replace(sources(), policies=lambda: [policy], trust_roots=lambda: 5))
    labels = {"tee": "sgx_ecdsa", "policy_sha256": "aa", "reference_sha256": "bb"}
    assert value(samples, "verdictd_policy_info", **labels) == 1
    assert value(samples, "verdictd_policy_usable", tee="sgx_ecdsa") == 0
    assert value(samples, "verdictd_trust_roots") == 5


def held(**changes: Any) -> HeldItem:
    root = TrustRoots(parse_trust_roots(PLATFORM.trust_root_pem, "test")).roots[0]
    now = datetime.now(UTC)
    item = HeldItem(
        kind=ItemKind.TCB_INFO,
        name="TCB info",
        source="file",
        root=root,
        issue_date=now - timedelta(hours=2),
        next_update=now + timedelta(hours=9),
        expires_at=now + timedelta(hours=3),
        sequence=(1, now),
        in_time=True,
    )
    return replace(item, **changes)


def test_collateral_is_told_by_its_age_and_what_is_left_of_it() -> None:
    samples = scrape(sources(held=[held()]))
    labels = {"kind": "tcb_info", "name": "TCB info", "root": held().root.fingerprint[:16], "from": "source"}
    assert value(samples, "verdictd_collateral_age_seconds", **labels) == pytest.approx(7200, abs=60)
    assert value(samples, "verdictd_collateral_expires_seconds", **labels) == pytest.approx(10800, abs=60)


def test_no_sample_is_there_twice_though_roots_and_peers_have_items_of_one_name() -> None:
    """Prometheus takes nothing of a scrape that holds one twice."""
    other = TrustRoots(parse_trust_roots(SimulatedPlatform.create(at=STARTED_AT).trust_root_pem, "other")).roots[0]
    samples = scrape(sources(held=[held(), held(root=other), held(source="peer")]))
    told = [(sample.name, tuple(sample.labels.items())) for sample in samples if "collateral_age" in sample.name]
    assert len(told) == len(set(told)) == 3


def test_however_much_is_held_so_much_is_told() -> None:
    many = [held(name=str(number)) for number in range(MAX_ITEMS + 1)]
    samples = scrape(sources(held=many))
    assert len([sample for sample in samples if sample.name == "verdictd_collateral_age_seconds"]) == MAX_ITEMS


def test_the_manual_names_every_metric_there_is() -> None:
    policy = PolicyInForce(tee="sgx_ecdsa", policy_digest="", reference_digest="", is_usable=True)
    given = replace(sources(), policies=lambda: [policy], trust_roots=lambda: 1)
    text = Exposition(given).write().decode()
    names = {line.split(" ")[2] for line in text.splitlines() if line.startswith("# TYPE verdictd_")}
    assert len(names) >= len(COUNTERS) + len(HISTOGRAMS) + 8
    manual = MANUAL.read_text()
    assert not {name for name in names if f"| `{name}`" not in manual}
