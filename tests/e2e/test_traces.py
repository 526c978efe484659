"""What a collector gets of a handshake with a running verdictd, and what becomes of verdictd where there is none."""

import os
from pathlib import Path

import pytest

from tests.e2e.processes import SCENARIO_FLAGS, run, verifier
from tests.unit.daemon.test_tracing import attributes, collector

TRUST = ["--trust-root", "platform/root-ca.pem", "--collateral", "collateral.json"]


def test_a_collector_gets_each_handshake(place: Path) -> None:
    with collector() as received, verifier(place, *TRUST, "--otlp-endpoint", received.url) as verdictd:
        verdictd.name_reference()
        assert verdictd.attest().returncode == 0
        spans = {span.name: span for span in received.wait_for_spans(4)}
    root, judgement = spans["verdictd.handshake"], spans["verdictd.judgement"]
    assert attributes(root)["verdictd.verdict"] == "accepted"
    for inner, outer in (("judgement", "handshake"), ("collateral", "judgement"), ("policy_decision", "judgement")):
        child, parent = spans[f"verdictd.{inner}"], spans[f"verdictd.{outer}"]
        assert child.parent_span_id == parent.span_id
        assert parent.start_time_unix_nano <= child.start_time_unix_nano < child.end_time_unix_nano
        assert child.end_time_unix_nano <= parent.end_time_unix_nano
    assert spans["verdictd.collateral"].end_time_unix_nano <= spans["verdictd.policy_decision"].start_time_unix_nano
    assert judgement.end_time_unix_nano - judgement.start_time_unix_nano < 60 * 10**9


def test_a_dead_collector_turns_nobody_away(place: Path) -> None:
    with verifier(place, *TRUST, "--otlp-endpoint", "http://127.0.0.1:9") as verdictd:
        verdictd.name_reference()
        for _ in range(2):
            assert verdictd.attest().returncode == 0
        verdictd.service.wait_for("traces may be lost", timeout_s=60)


def test_an_endpoint_that_cannot_be_used_keeps_it_from_starting(place: Path) -> None:
    with pytest.raises(AssertionError, match="--otlp-endpoint"), verifier(place, *TRUST, "--otlp-endpoint", "nowhere"):
        pass


def test_an_endpoint_in_the_environment_reaches_the_workers(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with collector() as received:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", received.url)
        with verifier(place, *TRUST) as verdictd:
            verdictd.name_reference()
            assert verdictd.attest().returncode == 0
            names = {span.name for span in received.wait_for_spans(4)}
    assert "verdictd.policy_decision" in names


def test_without_the_libraries_it_starts_only_where_nothing_is_to_be_traced(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "absent").mkdir()
    (place / "absent" / "opentelemetry.py").write_text("raise ImportError('absent')\n")
    monkeypatch.setenv("PYTHONPATH", str(place / "absent"), prepend=os.pathsep)
    fixed = ["--client-api", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--data-dir", "traced"]
    done = run("verdictd", *fixed, *SCENARIO_FLAGS, *TRUST, "--otlp-endpoint", "http://127.0.0.1:9", cwd=place)
    assert done.returncode == 2
    assert "pip install 'verdictd[otel]'" in done.stderr
    with verifier(place, *TRUST) as verdictd:
        verdictd.name_reference()
        assert verdictd.attest().returncode == 0
