"""How verdictd judges a peer: certificate and evidence, the guard against the shipped reference, the user's policy.

A judgement becomes a record only when the handshake is over: until then nothing shows that the peer holds its key.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from verdictd.appraisal.appraiser import AppraisedCertificate, Appraiser
from verdictd.appraisal.policy_step import Decide, apply_users_policy
from verdictd.appraisal.report import summarise
from verdictd.appraisal.verifiers import Verifiers
from verdictd.core.result import AppraisalResult
from verdictd.policy.decision import Decision
from verdictd.ratstls.certificate import attestation_id
from verdictd.ratstls.channel import PeerVerdict

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgingSettings:
    """With what peers are judged. Replaced as a whole when the daemon reloads; never changed.

    Attributes:
        appraiser: roots, acceptance and collateral.
        verifier: the verifiers that were named; they are enforced.
        decide: the active policy with the active reference values, for a kind of evidence.
        still_holds: whether a decision about a kind of evidence was made under what is active now.
        shipped_reference_remedy: what to do where the active reference for a kind of evidence is the shipped, empty
            one, and lets in anybody; ``None`` where it does not, or where any enclave is allowed. Asked anew for each
            peer, as references change while peers come.
        is_guarded: whether that is asked at all, so that it could ever refuse anyone.
    """

    appraiser: Appraiser
    verifier: Verifiers
    decide: Decide
    still_holds: Callable[[str, Decision], bool]
    shipped_reference_remedy: Callable[[str], str | None]
    is_guarded: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What was made of one certificate.

    Attributes:
        settings: with what it was judged.
        certificate: the certificate, in DER.
        result: every check, the user's policy included.
        appraised: what the evidence was judged with.
        decision: the policy's, where one was made.
        open_reference_remedy: what to do about the reference values where they refused the peer, being open.
        duration_s: how long it took.
    """

    settings: JudgingSettings
    certificate: bytes
    result: AppraisalResult
    appraised: AppraisedCertificate
    decision: Decision | None
    open_reference_remedy: str | None
    duration_s: float

    @property
    def attestation_id(self) -> str:
        """Under which both sides speak of it."""
        return attestation_id(self.certificate)


def judge_certificate(settings: JudgingSettings, certificate: bytes, at: datetime) -> Judgement:
    """Judge an untrusted certificate (DER) for an instant. The answer is a judgement, whatever the bytes."""
    started = time.monotonic()
    appraised = settings.appraiser.appraise_peer(certificate, settings.verifier, at)
    result, decision, remedy = appraised.result, None, None
    if not settings.verifier.is_null:
        remedy = settings.shipped_reference_remedy(result.tee)
        result, decision = apply_users_policy(result, settings.decide, remedy)
    return Judgement(
        settings=settings,
        certificate=certificate,
        result=result,
        appraised=appraised,
        decision=decision,
        open_reference_remedy=remedy,
        duration_s=time.monotonic() - started,
    )


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
        return self._settings.still_holds(self.judgement.result.tee, self.judgement.decision)
