"""The service by which an operator sees why: over a real channel, with bounded answers and followers."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from types import MappingProxyType

import grpc
import pytest

from tests.unit.appraisal.platforms import NOW, appraiser, identity
from tests.unit.appraisal.schema import violations
from tests.unit.daemon.test_records import record
from verdictd.appraisal.verifiers import SGX_VERIFIER
from verdictd.daemon import attestation_messages
from verdictd.daemon.attestation_messages import encode_record
from verdictd.daemon.attestations import Attestations
from verdictd.daemon.observation_api import MAX_FOLLOWERS, ObservationService
from verdictd.daemon.proto import verdictd_pb2 as messages
from verdictd.daemon.proto.verdictd_pb2_grpc import (
    AttestationServiceStub,
    add_AttestationServiceServicer_to_server,
)
from verdictd.daemon.proto.worker_pb2 import Frame
from verdictd.daemon.records import AttestationHistory, AttestationRecord
from verdictd.policy.decision import Decision, Outcome


@contextlib.contextmanager
def served(attestations: Attestations) -> Iterator[AttestationServiceStub]:
    server = grpc.server(ThreadPoolExecutor(MAX_FOLLOWERS + 2))
    add_AttestationServiceServicer_to_server(ObservationService(attestations, messages.GetStatusResponse), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
            yield AttestationServiceStub(channel)
    finally:
        attestations.close()
        server.stop(None).wait()


def judged() -> AttestationRecord:
    result = appraiser().appraise_certificate(identity(debug=True).certificate_der, SGX_VERIFIER, NOW)
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


class FakeWorkers:
    """Two workers that answer as real ones do, each with what it remembers."""

    def __init__(self, *memories: list[str]) -> None:
        numbers = count(1)
        self.memories = [
            [encode_record(record(AttestationHistory(1), name, number=next(numbers))) for name in memory]
            for memory in memories
        ]
        self.is_watched = threading.Event()

    def ask_all(self, make_frame: Callable[[], Frame], *, timeout_s: float) -> dict[int, Frame]:
        wanted = make_frame().list
        answers = {}
        for number, memory in enumerate(self.memories):
            found = [each for each in memory if each.id.startswith(wanted.id_prefix)][-wanted.limit :]
            answers[number] = Frame(attestations=messages.ListAttestationsResponse(attestations=found))
        return answers

    def watch(self, *, is_on: bool) -> None:
        (self.is_watched.set if is_on else self.is_watched.clear)()


def view(*memories: list[str], limit: int = 1000) -> Attestations:
    return Attestations(FakeWorkers(*memories), limit)  # type: ignore[arg-type]


def tell(attestations: Attestations, identifier: str) -> None:
    attestations.tell(encode_record(record(AttestationHistory(1), identifier)))


def test_what_the_workers_remember_is_one_list_the_oldest_first() -> None:
    with served(view(["aa11", "bb11"], ["aa22"])) as service:
        listed = service.ListAttestations(messages.ListAttestationsRequest()).attestations
        assert [(entry.number, entry.id) for entry in listed] == [(1, "aa11"), (2, "bb11"), (3, "aa22")]
        some = service.ListAttestations(messages.ListAttestationsRequest(id_prefix="aa", limit=1)).attestations
        assert [entry.id for entry in some] == ["aa22"]


def test_no_more_are_listed_than_are_to_be_remembered_in_all() -> None:
    assert [entry.number for entry in view(["aa"] * 5, ["bb"] * 5, limit=6).find("", 0)] == [5, 6, 7, 8, 9, 10]


def test_lists_are_cut_at_the_oldest_where_one_answer_cannot_hold_them(monkeypatch: pytest.MonkeyPatch) -> None:
    attestations = view([f"{number:08x}" for number in range(100)])
    with served(attestations) as service:
        everything = service.ListAttestations(messages.ListAttestationsRequest()).attestations
        assert [entry.number for entry in everything] == list(range(1, 101))
        enough = sum(entry.ByteSize() for entry in everything[-7:])
        monkeypatch.setattr(attestation_messages, "MAX_ANSWER_BYTES", enough)
        newest = service.ListAttestations(messages.ListAttestationsRequest()).attestations
        assert [entry.number for entry in newest] == list(range(94, 101))


def test_nothing_that_is_concluded_after_the_metadata_came_is_missed() -> None:
    attestations = view()
    with served(attestations) as service:
        stream = service.WatchAttestations(messages.WatchAttestationsRequest(id_prefix="aa"))
        stream.initial_metadata()
        for identifier in ("aa11", "bb11", "aa22"):
            tell(attestations, identifier)
        assert [next(stream).id, next(stream).id] == ["aa11", "aa22"]
        stream.cancel()


def test_workers_tell_only_while_somebody_follows() -> None:
    workers = FakeWorkers()
    attestations = Attestations(workers, 10)  # type: ignore[arg-type]
    with attestations.follow(0.01), attestations.follow(0.01):
        assert workers.is_watched.is_set()
    assert not workers.is_watched.is_set()


def test_followers_leave_threads_for_everybody_else() -> None:
    attestations = view()
    with served(attestations) as service:
        streams = [service.WatchAttestations(messages.WatchAttestationsRequest()) for _ in range(MAX_FOLLOWERS)]
        for stream in streams:
            stream.initial_metadata()
        one_more = service.WatchAttestations(messages.WatchAttestationsRequest())
        with pytest.raises(grpc.RpcError) as refused:
            next(one_more)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert service.ListAttestations(messages.ListAttestationsRequest(), timeout=5) is not None
        tell(attestations, "aa11")
        assert [next(stream).id for stream in streams] == ["aa11"] * MAX_FOLLOWERS
