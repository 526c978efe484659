"""Which TCB evaluation data numbers the vendor has published: the document, and the days it tells.

Spec: Intel PCS API v4, "Retrieve TCB Evaluation Data Numbers".
"""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from verdictd.simulator.documents import encode_instant
from verdictd.simulator.state import PlatformState
from verdictd.tees.dcap.collateral import SignedDocument

_SINCE_STANDARD = timedelta(days=400)
"""The standard update is the newest one whose recovery is a year old or more; clients may work that out themselves."""
_SINCE_EARLY = timedelta(days=30)
_BETWEEN_RECOVERIES = timedelta(days=90)


def recovery_days(state: PlatformState) -> tuple[tuple[int, datetime], ...]:
    """Return each number that is published with the day of its TCB recovery, the newest first."""
    standard = _midnight(state.created_at - _SINCE_STANDARD)
    early = ((state.early.number, _midnight(state.created_at - _SINCE_EARLY)),) if state.early else ()
    older = (state.standard, *(entry for entry in reversed(state.past) if entry.number < state.standard.number))
    return (*early, *((entry.number, standard - age * _BETWEEN_RECOVERIES) for age, entry in enumerate(older)))


def encode_evaluation_numbers(
    tee_id: str, entries: Sequence[tuple[int, datetime]], *, issue_date: datetime, next_update: datetime
) -> bytes:
    """Write the text.

    Args:
        tee_id: ``SGX`` or ``TDX``.
        entries: as `recovery_days` gives them. The TCB that came of a recovery dates from the day after it.
        issue_date: when it says it was issued.
        next_update: until when it says it is good.
    """
    document = {
        "id": tee_id,
        "version": 1,
        "issueDate": encode_instant(issue_date),
        "nextUpdate": encode_instant(next_update),
        "tcbEvalNumbers": [
            {
                "tcbEvaluationDataNumber": number,
                "tcbRecoveryEventDate": encode_instant(day),
                "tcbDate": encode_instant(day + timedelta(days=1)),
            }
            for number, day in entries
        ],
    }
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def encode_signed_numbers(document: SignedDocument) -> bytes:
    """Write the signed text as the service sends it."""
    return b'{"tcbEvaluationDataNumbers":%b,"signature":"%b"}' % (
        document.body,
        document.signature.hex().encode("ascii"),
    )


def _midnight(instant: datetime) -> datetime:
    return instant.replace(hour=0, minute=0, second=0, microsecond=0)
