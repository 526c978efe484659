"""A handshake as spans of a trace: what took how long, and what came of it. Nothing of the evidence is in them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from verdictd.daemon.judging import Judgement
from verdictd.daemon.records import AttestationRecord
from verdictd.daemon.registrar import name_outcome
from verdictd.ratstls.connection_server import HandshakeOutcome

HANDSHAKE: Final = "verdictd.handshake"
JUDGEMENT: Final = "verdictd.judgement"
COLLATERAL: Final = "verdictd.collateral"
DECISION: Final = "verdictd.policy_decision"
ACCEPTED, REFUSED = "accepted", "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcludedHandshake:
    """A handshake and what is known of it when it is over.

    Attributes:
        handshake: what became of it.
        ended_at: when it was over (aware).
        record: the record of its attestation; ``None`` where there was none.
        judgement: of the peer's certificate, likewise.
    """

    handshake: HandshakeOutcome
    ended_at: datetime
    record: AttestationRecord | None = None
    judgement: Judgement | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One span.

    Attributes:
        name: what was done.
        started_at, ended_at: when (aware).
        attributes: what came of it.
        is_failed: whether it ended as it should not.
        children: what was done within it, in the order of time.
    """

    name: str
    started_at: datetime
    ended_at: datetime
    attributes: Mapping[str, str] = field(default_factory=dict)
    is_failed: bool = False
    children: tuple["Span", ...] = ()


def describe_handshake(concluded: ConcludedHandshake) -> Span:
    """Describe a handshake, with its judgement within it where there was one."""
    handshake, record = concluded.handshake, concluded.record
    outcome = name_outcome(handshake)
    if record is not None and not record.accepted and outcome == ACCEPTED:
        outcome = REFUSED  # its peer was turned away after all, as what it was judged by had been replaced
    attributes = {"verdictd.outcome": outcome}
    if record is not None:
        attributes |= _describe_attestation(record)
    judgement = None if concluded.judgement is None else _describe_judgement(concluded.judgement)
    started_at = concluded.ended_at - timedelta(seconds=handshake.seconds)
    return Span(
        name=HANDSHAKE,
        started_at=started_at if judgement is None else min(started_at, judgement.started_at),
        ended_at=concluded.ended_at if judgement is None else max(concluded.ended_at, judgement.ended_at),
        attributes=attributes,
        is_failed=outcome != ACCEPTED,
        children=() if judgement is None else (judgement,),
    )


def _describe_attestation(record: AttestationRecord) -> dict[str, str]:
    attributes = {
        "verdictd.attestation_id": record.attestation_id,
        "verdictd.verdict": ACCEPTED if record.accepted else REFUSED,
    }
    if record.result is not None:
        attributes["verdictd.tee"] = record.result.tee
        if record.result.refusals:
            attributes["verdictd.failed_check"] = record.result.refusals[0].name
    return attributes


def _describe_judgement(judgement: Judgement) -> Span:
    started_at = judgement.result.at
    ended_at = started_at + timedelta(seconds=judgement.duration_s)
    return Span(
        name=JUDGEMENT,
        started_at=started_at,
        ended_at=ended_at,
        attributes={"verdictd.tee": judgement.result.tee},
        is_failed=not judgement.result.allowed,
        children=tuple(_describe_steps(judgement, started_at, ended_at)),
    )


def _describe_steps(judgement: Judgement, started_at: datetime, ended_at: datetime) -> Iterator[Span]:
    wait, decision = judgement.appraised.collateral_wait, judgement.decision
    if wait is not None:
        asked_at = min(ended_at, started_at + timedelta(seconds=wait.after_s))
        yield Span(
            name=COLLATERAL,
            started_at=asked_at,
            ended_at=min(ended_at, asked_at + timedelta(seconds=wait.seconds)),
        )
    if decision is not None:  # the last step of a judgement
        yield Span(
            name=DECISION,
            started_at=max(started_at, ended_at - timedelta(seconds=decision.duration_s)),
            ended_at=ended_at,
            attributes={
                "verdictd.policy.outcome": decision.outcome.value,
                "verdictd.policy.sha256": decision.policy_digest,
                "verdictd.policy.reference_sha256": decision.reference_digest,
            },
            is_failed=not decision.allow,
        )
