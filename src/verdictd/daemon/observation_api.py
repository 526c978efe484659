"""The gRPC service by which an operator sees why: `verdictd.v1.AttestationService`."""

import json
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime
from threading import BoundedSemaphore

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from verdictd.appraisal.report import build_report
from verdictd.core.checks import Check, CheckResult
from verdictd.daemon.proto import verdictd_pb2 as messages
from verdictd.daemon.proto.verdictd_pb2_grpc import AttestationServiceServicer
from verdictd.daemon.records import AttestationHistory, AttestationRecord

MAX_FOLLOWERS = 8
"""How many may follow at a time; fewer than the client API has threads."""
MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""How large a list may be. Peers have a part in the size of a record, and must not keep others from being seen."""
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
        self._followers = BoundedSemaphore(MAX_FOLLOWERS)

    def ListAttestations(  # noqa: N802 - the name on the wire
        self, request: messages.ListAttestationsRequest, context: grpc.ServicerContext
    ) -> messages.ListAttestationsResponse:
        """Return remembered attestations, the oldest first; of those that are too many for one answer, the newest."""
        del context
        answer: deque[messages.Attestation] = deque()
        size = 0
        for record in reversed(self._history.find(request.id_prefix, request.limit)):
            message = encode_record(record)
            size += message.ByteSize()
            if size > MAX_ANSWER_BYTES:
                break
            answer.appendleft(message)
        return messages.ListAttestationsResponse(attestations=answer)

    def WatchAttestations(  # noqa: N802 - the name on the wire
        self, request: messages.WatchAttestationsRequest, context: grpc.ServicerContext
    ) -> Iterator[messages.Attestation]:
        """Stream attestations as they are concluded, until the caller or the daemon ends.

        The initial metadata are sent when nothing that is concluded can be missed any more. Each follower holds a
        thread, so that there may be only so many: uploads must find one too.
        """
        if not self._followers.acquire(blocking=False):
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{MAX_FOLLOWERS} follow already, end one of them")
        try:
            records = self._history.follow(_FOLLOWER_WAKES_S)
            context.send_initial_metadata(())
            for record in records:
                if not context.is_active():
                    return
                if record is not None and record.attestation_id.startswith(request.id_prefix):
                    yield encode_record(record)
        finally:
            self._followers.release()

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
