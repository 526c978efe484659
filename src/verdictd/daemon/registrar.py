"""What becomes of each handshake, for those who ask later: the audit log, the history, the log."""

import logging
from collections.abc import Callable

from verdictd.archive.builder import digest_attestation
from verdictd.audit import records
from verdictd.audit.log import AuditLog
from verdictd.audit.records import Digests
from verdictd.daemon.judging import Clock, Judgement
from verdictd.daemon.records import AttestationHistory, AttestationRecord
from verdictd.daemon.refusal_limit import RefusalLimit
from verdictd.ratstls.channel import PeerAccepted, PeerRefused
from verdictd.ratstls.connection_server import HandshakeOutcome

_LOGGER = logging.getLogger(__name__)

Show = Callable[[AttestationRecord, Judgement | None], None]
"""Told of each record, with the judgement it is of where there was one."""


class Registrar:
    """Turns outcomes of handshakes into records and log lines. The audit log comes first: what is not in it, is not."""

    def __init__(
        self, audit: AuditLog, history: AttestationHistory, clock: Clock, show: Show, *, refusals_per_minute: int
    ) -> None:
        """Make a registrar.

        Args:
            audit: where each attestation is recorded before its peer is served.
            history: what is remembered for the operator.
            clock: tells the time (aware).
            show: told of each record.
            refusals_per_minute: how many refusals are recorded one by one; of more, how many they were.
        """
        self._refusals = RefusalLimit(refusals_per_minute)
        self._audit = audit
        self._history = history
        self._clock = clock
        self._show = show

    def conclude(self, handshake: HandshakeOutcome, judgement: Judgement | None) -> None:
        """Record what became of a handshake. Handshakes without any certificate are logged and not recorded.

        A certificate that was refused before it could be judged is recorded as well: its peer was told the id. Of more
        refusals than are recorded in a minute, only how many they were is.

        Raises:
            VerdictdError: the audit log cannot be written; the peer must not be served.
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
        if not accepted and not self._admits_refusal():
            return
        duration_s = handshake.seconds if judgement is None else judgement.duration_s
        number = self._audit.append(
            records.attestation(
                attestation_id=identifier,
                peer=handshake.peer,
                accepted=accepted,
                sentence=sentence,
                result=None if judgement is None else judgement.result,
                digests=Digests(certificate="", collateral={}) if judgement is None else _digest(judgement),
                duration_s=duration_s,
            )
        )
        record = AttestationRecord(
            number=number,
            attestation_id=identifier,
            at=self._clock(),
            peer=handshake.peer,
            accepted=accepted,
            sentence=sentence,
            result=None if judgement is None else judgement.result,
            decision=None if judgement is None else judgement.decision,
            duration_s=duration_s,
        )
        self._history.add(record)
        self._show(record, judgement)
        _log(record)

    def record_skipped(self) -> None:
        """Record how many refusals were not recorded one by one, where there were any.

        Raises:
            VerdictdError: the audit log cannot be written.
        """
        skipped = self._refusals.take_skipped()
        if skipped is not None:
            self._audit.append(
                records.refusals(count=skipped.count, first_at=skipped.first_at, last_at=skipped.last_at)
            )
            _LOGGER.warning("refusals were not recorded one by one", extra={"count": skipped.count})

    def _admits_refusal(self) -> bool:
        was_skipping = self._refusals.is_skipping
        if self._refusals.admits(self._clock()):
            self.record_skipped()
            return True
        if not was_skipping:
            _LOGGER.warning("too many peers are refused: more are only counted (--max-refusals-per-minute)")
        return False


def _digest(judgement: Judgement) -> Digests:
    appraised = judgement.appraised
    return digest_attestation(judgement.certificate, appraised.evidence, appraised.collateral, judgement.decision)


def name_outcome(handshake: HandshakeOutcome) -> str:
    """Name what became of a handshake, for counting."""
    match handshake.outcome:
        case PeerAccepted():
            return "accepted"
        case PeerRefused():
            return "refused"
        case failed:
            return failed.failure.value


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
