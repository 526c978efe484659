"""A handshake as spans: when each began and ended, what they say, and what they never say."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.daemon.concluded import ENDED_AT, PEER, attested, failed
from verdictd.appraisal.appraiser import CollateralWait
from verdictd.daemon.handshake_spans import (
    COLLATERAL,
    DECISION,
    HANDSHAKE,
    JUDGEMENT,
    ConcludedHandshake,
    Span,
    describe_handshake,
)


def walk(span: Span) -> Iterator[Span]:
    yield span
    for child in span.children:
        yield from walk(child)


def times(span: Span) -> tuple[float, float]:
    return tuple((at - ENDED_AT).total_seconds() for at in (span.started_at, span.ended_at))  # type: ignore[return-value]


def test_each_step_stands_where_it_was_made() -> None:
    root = describe_handshake(attested())
    (judgement,) = root.children
    collateral, decision = judgement.children
    assert [span.name for span in walk(root)] == [HANDSHAKE, JUDGEMENT, COLLATERAL, DECISION]
    assert times(root) == (-8, 0)
    assert times(judgement) == (-5, -1)
    assert times(collateral) == (-4.5, -2.5)
    assert times(decision) == (-2, -1)
    assert not [span for span in walk(root) if span.is_failed]


def test_what_is_said_of_an_accepted_peer() -> None:
    concluded = attested()
    assert concluded.record is not None
    root = describe_handshake(concluded)
    assert root.attributes == {
        "verdictd.outcome": "accepted",
        "verdictd.verdict": "accepted",
        "verdictd.tee": "sgx_ecdsa",
        "verdictd.attestation_id": concluded.record.attestation_id,
    }
    assert root.children[0].children[1].attributes == {
        "verdictd.policy.outcome": "allowed",
        "verdictd.policy.sha256": "aa",
        "verdictd.policy.reference_sha256": "bb",
    }


def test_of_a_refused_peer_the_check_that_refused_first() -> None:
    root = describe_handshake(attested(allow=False))
    assert root.attributes["verdictd.outcome"] == root.attributes["verdictd.verdict"] == "refused"
    assert root.attributes["verdictd.failed_check"] == "policy.decision"
    failures = {span.name: span.is_failed for span in walk(root)}
    assert failures == {HANDSHAKE: True, JUDGEMENT: True, COLLATERAL: False, DECISION: True}


def test_a_peer_that_was_turned_away_after_its_judgement_was_not_accepted() -> None:
    root = describe_handshake(attested(is_served=False))
    assert root.attributes["verdictd.outcome"] == root.attributes["verdictd.verdict"] == "refused"
    assert root.is_failed


def test_a_handshake_that_came_to_nothing_is_one_span() -> None:
    root = describe_handshake(failed())
    assert root.attributes == {"verdictd.outcome": "not_tls"}
    assert root.is_failed
    assert root.children == ()
    assert root.ended_at - root.started_at == timedelta(seconds=3)


@pytest.mark.parametrize("allow", [True, False])
def test_nothing_of_the_peer_or_its_evidence_is_said(allow: bool) -> None:
    concluded = attested(allow=allow)
    assert concluded.record is not None
    assert concluded.record.result is not None
    claims = [str(value) for value in concluded.record.result.claims.values() if len(str(value)) > 8]
    assert claims
    said = " ".join(f"{span.name} {span.attributes}" for span in walk(describe_handshake(concluded)))
    for secret in (PEER, PEER.partition(":")[0], *claims):
        assert secret not in said
    assert "secret" not in str(describe_handshake(failed()).attributes)


@pytest.mark.parametrize("after_s", [0.0, 3.9, 1e6])
@pytest.mark.parametrize("seconds", [0.0, 1e6])
def test_clocks_that_disagree_make_no_step_longer_than_what_it_is_in(after_s: float, seconds: float) -> None:
    concluded = attested()
    judgement = concluded.judgement
    assert judgement is not None
    assert judgement.decision is not None
    judgement = replace(
        judgement,
        appraised=replace(judgement.appraised, collateral_wait=CollateralWait(after_s, seconds)),
        decision=replace(judgement.decision, duration_s=seconds),
    )
    late = ConcludedHandshake(
        handshake=replace(concluded.handshake, seconds=0.5),
        ended_at=ENDED_AT - timedelta(seconds=3),
        judgement=judgement,
    )
    for span in walk(describe_handshake(late)):
        assert span.started_at <= span.ended_at
        for child in span.children:
            assert span.started_at <= child.started_at
            assert child.ended_at <= span.ended_at
