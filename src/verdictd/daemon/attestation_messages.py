"""Attestations as messages, for the operator."""

import json
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from verdictd.appraisal.report import build_report
from verdictd.core.checks import Check, CheckResult
from verdictd.daemon.proto import verdictd_pb2 as messages
from verdictd.daemon.records import AttestationRecord

MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
"""How large a list may be. Peers have a part in the size of a record, and must not keep others from being seen."""
_RESULTS = {
    CheckResult.PASS: messages.CHECK_RESULT_PASS,
    CheckResult.FAIL: messages.CHECK_RESULT_FAIL,
    CheckResult.NOT_MADE: messages.CHECK_RESULT_NOT_MADE,
}


def encode_record(record: AttestationRecord) -> messages.Attestation:
    """Write a record as a message."""
    result, decision = record.result, record.decision
    verdict = messages.VERDICT_ALLOW if record.accepted else messages.VERDICT_DENY
    message = messages.Attestation(
        id=record.attestation_id,
        number=record.number,
        concluded_at=encode_instant(record.at),
        peer_address=record.peer,
        tee="none" if result is None else result.tee,
        verdict=verdict,
        sentence=record.sentence,
        duration=Duration(nanos=int(record.duration_s * 1e9) % 10**9, seconds=int(record.duration_s)),
        policy_parse_info_json="" if decision is None else json.dumps(dict(decision.parse_info)),
    )
    if result is not None:
        message.checks.extend(_encode_check(check) for check in result.checks)
        message.claims_json = json.dumps(dict(result.claims))
        message.collateral_sources.update(result.sources)
        message.tcb_status = result.tcb_status or ""
        message.advisory_ids.extend(result.advisory_ids)
        message.report_json = json.dumps(build_report(result, decision))
    return message


def encode_instant(instant: datetime) -> Timestamp:
    """Write an aware instant as a message."""
    message = Timestamp()
    message.FromDatetime(instant)
    return message


def _encode_check(check: Check) -> messages.Check:
    return messages.Check(
        name=check.name,
        result=_RESULTS[check.result],
        expected=check.expected,
        found=check.found,
        remedy=check.remedy,
        mandatory=check.mandatory,
    )


def newest_within(newest_first: Iterator[messages.Attestation]) -> tuple[messages.Attestation, ...]:
    """Return as many as fit into one answer, the oldest first."""
    chosen: deque[messages.Attestation] = deque()
    size = 0
    for attestation in newest_first:
        size += attestation.ByteSize()
        if size > MAX_ANSWER_BYTES:
            break
        chosen.appendleft(attestation)
    return tuple(chosen)
