"""How verdictd judges a peer: certificate and evidence, the guard against the shipped reference, the user's policy.

A judgement becomes a record only when the handshake is over: until then nothing shows that the peer holds its key.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from verdictd.appraisal.appraiser import Appraiser
from verdictd.appraisal.policy_step import Decide, apply_policy
from verdictd.appraisal.report import summarise
from verdictd.appraisal.verifiers import VerifierName
from verdictd.core.checks import Check, CheckResult
from verdictd.core.result import AppraisalResult
from verdictd.daemon.records import AttestationHistory, AttestationRecord
from verdictd.policy.decision import Decision
from verdictd.ratstls.certificate import attestation_id
from verdictd.ratstls.channel import PeerAccepted, PeerRefused, PeerVerdict
from verdictd.ratstls.server import HandshakeOutcome

_LOGGER = logging.getLogger(__name__)
REFERENCE_CHECK = "policy.reference"

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgingSettings:
    """With what peers are judged. Replaced as a whole when the daemon reloads; never changed.

    Attributes:
        appraiser: roots, acceptance and collateral.
        verifier: the verifier that was named; it is enforced.
        decide: the active policy with the active reference values.
        still_holds: whether a decision was made under what is active now.
        shipped_reference_remedy: what to do where the active reference is the shipped, empty one; ``None`` where it is
            not, or where any enclave is allowed. Asked anew for each peer, as references change while peers come.
    """

    appraiser: Appraiser
    verifier: VerifierName
    decide: Decide
    still_holds: Callable[[Decision], bool]
    shipped_reference_remedy: Callable[[], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What was made of one certificate."""

    attestation_id: str
    result: AppraisalResult
    decision: Decision | None
    duration_s: float


def judge_certificate(settings: JudgingSettings, certificate: bytes, at: datetime) -> Judgement:
    """Judge an untrusted certificate (DER) for an instant. The answer is a judgement, whatever the bytes."""
    started = time.monotonic()
    result = settings.appraiser.appraise_certificate(certificate, settings.verifier, at)
    decision = None
    if settings.verifier is not VerifierName.NULL:
        result, decision = _apply_users_policy(settings, result)
    return Judgement(
        attestation_id=attestation_id(certificate),
        result=result,
        decision=decision,
        duration_s=time.monotonic() - started,
    )


def _apply_users_policy(settings: JudgingSettings, result: AppraisalResult) -> tuple[AppraisalResult, Decision | None]:
    remedy = settings.shipped_reference_remedy()
    expected = "reference values that name the user's own enclave or signer"
    if remedy is not None:
        found = "the shipped, empty reference, which would let in any genuine enclave of anybody"
        return result.with_checks(Check(REFERENCE_CHECK, CheckResult.FAIL, expected, found, remedy)), None
    result = result.with_checks(Check(REFERENCE_CHECK, CheckResult.PASS, expected, "set by the user"))
    return apply_policy(result, settings.decide)


class ConnectionJudge:
    """The judge of one connection. Called at most once, on a thread of the handshake pool."""

    __slots__ = ("_clock", "_settings", "judgement")

    def __init__(self, settings: JudgingSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self.judgement: Judgement | None = None

    def __call__(self, certificate: bytes) -> PeerVerdict:
        """Judge the peer's certificate, which its own handshake has not yet shown to be its own."""
        judgement = judge_certificate(self._settings, certificate, self._clock())
        self.judgement = judgement
        return PeerVerdict(
            attestation_id=judgement.attestation_id,
            allowed=judgement.result.allowed,
            reason=summarise(judgement.result),
            result=judgement.result,
        )

    def still_holds(self) -> bool:
        """Whether the judgement would be made under the same policy and reference values now."""
        if self.judgement is None or self.judgement.decision is None:
            return True
        return self._settings.still_holds(self.judgement.decision)


class Registrar:
    """Turns outcomes of handshakes into records and log lines."""

    def __init__(self, history: AttestationHistory, clock: Clock) -> None:
        self._history = history
        self._clock = clock

    def conclude(self, handshake: HandshakeOutcome, judgement: Judgement | None) -> None:
        """Record what became of a handshake. Handshakes without any certificate are logged and not recorded.

        A certificate that was refused before it could be judged is recorded as well: its peer was told the id.
        """
        accepted, sentence = _describe(handshake)
        if judgement is not None:
            identifier = judgement.attestation_id
        elif isinstance(handshake.outcome, PeerRefused):
            identifier = handshake.outcome.verdict.attestation_id
        else:
            level = logging.INFO if accepted else logging.WARNING
            _LOGGER.log(level, "handshake", extra={"peer": handshake.peer, "accepted": accepted, "why": sentence})
            return
        record = AttestationRecord(
            number=self._history.next_number(),
            attestation_id=identifier,
            at=self._clock(),
            peer=handshake.peer,
            accepted=accepted,
            sentence=sentence,
            result=None if judgement is None else judgement.result,
            decision=None if judgement is None else judgement.decision,
            duration_s=handshake.seconds if judgement is None else judgement.duration_s,
        )
        self._history.add(record)
        _log(record)


def _describe(handshake: HandshakeOutcome) -> tuple[bool, str]:
    outcome = handshake.outcome
    if isinstance(outcome, PeerAccepted):
        reason = "connected, not asked for evidence" if outcome.verdict is None else outcome.verdict.reason
        return True, f"{reason} ({outcome.protocol})"
    if isinstance(outcome, PeerRefused):
        return False, outcome.verdict.reason
    return False, f"{outcome.message}; {outcome.remedy}" if outcome.remedy else outcome.message


def _log(record: AttestationRecord) -> None:
    result = record.result
    refusals = () if result is None else result.refusals
    _LOGGER.log(
        logging.INFO if record.accepted else logging.WARNING,
        "attestation",
        extra={
            "id": record.attestation_id,
            "peer": record.peer,
            "verdict": "accepted" if record.accepted else "refused",
            "why": record.sentence,
            "tee": None if result is None else result.tee,
            "tcb_status": None if result is None else result.tcb_status,
            "failed_checks": [check.name for check in refusals],
            "duration_ms": round(record.duration_s * 1000, 1),
        },
    )
