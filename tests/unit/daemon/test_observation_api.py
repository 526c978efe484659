"""The service by which an operator sees why: over a real channel, with bounded answers and followers."""

import contextlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import MappingProxyType

import grpc
import pytest

from tests.unit.appraisal.platforms import NOW, appraiser, identity
from tests.unit.appraisal.schema import violations
from tests.unit.daemon.test_records import record
from verdictd.appraisal.verifiers import VerifierName
from verdictd.daemon import observation_api
from verdictd.daemon.observation_api import MAX_FOLLOWERS, ObservationService, encode_record
from verdictd.daemon.proto import verdictd_pb2 as messages
from verdictd.daemon.proto.verdictd_pb2_grpc import (
    AttestationServiceStub,
    add_AttestationServiceServicer_to_server,
)
from verdictd.daemon.records import AttestationHistory, AttestationRecord
from verdictd.policy.decision import Decision, Outcome


@contextlib.contextmanager
def served(history: AttestationHistory) -> Iterator[AttestationServiceStub]:
    server = grpc.server(ThreadPoolExecutor(MAX_FOLLOWERS + 2))
    add_AttestationServiceServicer_to_server(ObservationService(history, messages.GetStatusResponse), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
            yield AttestationServiceStub(channel)
    finally:
        history.close()
        server.stop(None).wait()


def judged() -> AttestationRecord:
    result = appraiser().appraise_certificate(identity(debug=True).certificate_der, VerifierName.SGX_ECDSA, NOW)
    decision = Decision(
        allow=True, outcome=Outcome.ALLOWED, reason="it is", parse_info=MappingProxyType({"svn": (1, None)})
    )
    plain = record(AttestationHistory(1), "0badcafe", accepted=False)
    return replace(plain, result=result, decision=decision, duration_s=1.25)


def test_a_record_is_told_whole() -> None:
    made = judged()
    message = encode_record(made)
    assert made.result is not None
    assert (message.id, message.verdict) == ("0badcafe", messages.VERDICT_DENY)
    assert [check.name for check in message.checks] == [check.name for check in made.result.checks]
    failed = [check for check in message.checks if check.result == messages.CHECK_RESULT_FAIL]
    assert [check.name for check in failed] == ["enclave.debug"]
    assert failed[0].remedy
    assert json.loads(message.policy_parse_info_json) == {"svn": [1, None]}
    assert set(message.collateral_sources) == set(made.result.sources)
    assert message.duration.ToTimedelta().total_seconds() == 1.25
    assert violations(json.loads(message.report_json)) == []


def test_a_record_without_a_judgement_is_told_as_far_as_it_goes() -> None:
    message = encode_record(record(AttestationHistory(1), "0badcafe", accepted=False))
    assert (message.tee, message.report_json, list(message.checks)) == ("none", "", [])


def test_lists_are_cut_at_the_oldest_where_one_answer_cannot_hold_them(monkeypatch: pytest.MonkeyPatch) -> None:
    history = AttestationHistory(100)
    for number in range(100):
        record(history, f"{number:08x}")
    with served(history) as service:
        everything = service.ListAttestations(messages.ListAttestationsRequest()).attestations
        assert [entry.number for entry in everything] == list(range(1, 101))
        monkeypatch.setattr(observation_api, "MAX_ANSWER_BYTES", sum(entry.ByteSize() for entry in everything[-7:]))
        newest = service.ListAttestations(messages.ListAttestationsRequest()).attestations
        assert [entry.number for entry in newest] == list(range(94, 101))


def test_nothing_that_is_concluded_after_the_metadata_came_is_missed() -> None:
    history = AttestationHistory(100)
    with served(history) as service:
        stream = service.WatchAttestations(messages.WatchAttestationsRequest(id_prefix="aa"))
        stream.initial_metadata()
        for identifier in ("aa11", "bb11", "aa22"):
            record(history, identifier)
        assert [next(stream).id, next(stream).id] == ["aa11", "aa22"]
        stream.cancel()


def test_followers_leave_threads_for_everybody_else() -> None:
    history = AttestationHistory(100)
    with served(history) as service:
        streams = [service.WatchAttestations(messages.WatchAttestationsRequest()) for _ in range(MAX_FOLLOWERS)]
        for stream in streams:
            stream.initial_metadata()
        one_more = service.WatchAttestations(messages.WatchAttestationsRequest())
        with pytest.raises(grpc.RpcError) as refused:
            next(one_more)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert service.ListAttestations(messages.ListAttestationsRequest(), timeout=5) is not None
        record(history, "aa11")
        assert [next(stream).id for stream in streams] == ["aa11"] * MAX_FOLLOWERS
