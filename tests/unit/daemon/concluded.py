"""Handshakes that are over, with real judgements, for the tests of what is told of them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tests.unit.appraisal.platforms import NOW, appraiser, identity
from verdictd.appraisal.appraiser import CollateralWait
from verdictd.appraisal.verifiers import SGX_VERIFIER
from verdictd.daemon.handshake_spans import ConcludedHandshake
from verdictd.daemon.judging import Judgement, JudgingSettings, judge_certificate
from verdictd.daemon.records import AttestationRecord
from verdictd.policy.decision import Decision, Outcome
from verdictd.ratstls.channel import ChannelFailed, Failure, PeerAccepted, PeerRefused, PeerVerdict
from verdictd.ratstls.connection_server import HandshakeOutcome

PEER = "192.0.2.7:4711"
ENDED_AT = NOW + timedelta(seconds=10)
WAIT = CollateralWait(0.5, 2.0)


def judgement(*, allow: bool = True) -> Judgement:
    """A judgement that took 4 seconds: collateral from 0.5 to 2.5, the policy from 3 to 4."""
    outcome = Outcome.ALLOWED if allow else Outcome.REFUSED
    decision = Decision(
        allow=allow, outcome=outcome, reason="", policy_digest="aa", reference_digest="bb", duration_s=1.0
    )
    settings = JudgingSettings(
        appraiser=appraiser(),
        verifier=SGX_VERIFIER,
        decide=lambda _tee, _given: decision,
        still_holds=lambda _tee, _decision: True,
        shipped_reference_remedy=lambda _: None,
    )
    made = judge_certificate(settings, identity().certificate_der, NOW)
    assert made.appraised.collateral_wait is not None
    result = replace(made.result, at=ENDED_AT - timedelta(seconds=5))
    return replace(made, result=result, duration_s=4.0, appraised=replace(made.appraised, collateral_wait=WAIT))


def attested(*, allow: bool = True, is_served: bool | None = None) -> ConcludedHandshake:
    """A handshake of 8 seconds with a judgement in it; `is_served` where that is not as it was judged."""
    made = judgement(allow=allow)
    verdict = PeerVerdict(attestation_id=made.attestation_id, allowed=allow, reason="", result=made.result)
    accepted = allow if is_served is None else is_served
    return ConcludedHandshake(
        handshake=HandshakeOutcome(
            peer=PEER,
            outcome=PeerAccepted(verdict=verdict, protocol="TLSv1.3") if allow else PeerRefused(verdict=verdict),
            seconds=8.0,
        ),
        ended_at=ENDED_AT,
        record=AttestationRecord(
            number=1,
            attestation_id=made.attestation_id,
            at=ENDED_AT,
            peer=PEER,
            accepted=accepted,
            sentence="",
            result=made.result,
            decision=made.decision,
            duration_s=made.duration_s,
        ),
        judgement=made,
    )


def failed() -> ConcludedHandshake:
    """A handshake of 3 seconds that came to nothing before any certificate."""
    outcome = ChannelFailed(failure=Failure.NOT_TLS, message="secret of the peer")
    return ConcludedHandshake(
        handshake=HandshakeOutcome(peer=PEER, outcome=outcome, seconds=3.0), ended_at=datetime.now(UTC)
    )
