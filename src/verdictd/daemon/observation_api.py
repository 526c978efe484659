"""The gRPC service by which an operator sees why: `verdictd.v1.AttestationService`."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from verdictd.appraisal.report import build_report
from verdictd.core.checks import Check, CheckResult
from verdictd.daemon.proto import verdictd_pb2 as messages
from verdictd.daemon.proto.verdictd_pb2_grpc import AttestationServiceServicer
from verdictd.daemon.records import AttestationHistory, AttestationRecord

_FOLLOWER_WAKES_S = 1.0
_RESULTS = {
    CheckResult.PASS: messages.CHECK_RESULT_PASS,
    CheckResult.FAIL: messages.CHECK_RESULT_FAIL,
    CheckResult.NOT_MADE: messages.CHECK_RESULT_NOT_MADE,
}


class ObservationService(AttestationServiceServicer):
    """Reads the history and the daemon's status; changes nothing."""

    def __init__(self, history: AttestationHistory, status: Callable[[], messages.GetStatusResponse]) -> None:
        self._history = history
        self._status = status

    def ListAttestations(  # noqa: N802 - the name on the wire
        self, request: messages.ListAttestationsRequest, context: grpc.ServicerContext
    ) -> messages.ListAttestationsResponse:
        """Return remembered attestations, the oldest first."""
        del context
        records = self._history.find(request.id_prefix, request.limit)
        return messages.ListAttestationsResponse(attestations=[encode_record(record) for record in records])

    def WatchAttestations(  # noqa: N802 - the name on the wire
        self, request: messages.WatchAttestationsRequest, context: grpc.ServicerContext
    ) -> Iterator[messages.Attestation]:
        """Stream attestations as they are concluded, until the caller or the daemon ends."""
        for record in self._history.follow(_FOLLOWER_WAKES_S):
            if not context.is_active():
                return
            if record is not None and record.attestation_id.startswith(request.id_prefix):
                yield encode_record(record)

    def GetStatus(  # noqa: N802 - the name on the wire
        self, request: messages.GetStatusRequest, context: grpc.ServicerContext
    ) -> messages.GetStatusResponse:
        """Return what the daemon trusts, holds and does."""
        del request, context
        return self._status()


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
