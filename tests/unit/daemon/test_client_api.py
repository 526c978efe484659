"""The original's policy service and ours, with real workers: answers, refusals, and what is on disk after them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from verdictd.core.result import JSONValue
from verdictd.daemon.client_api import OPAService, PairService
from verdictd.daemon.policies import Policies
from verdictd.daemon.proto import clientapi_pb2 as original
from verdictd.daemon.proto import verdictd_pb2 as messages
from verdictd.policy.decision import Decision, Outcome
from verdictd.policy.pair_files import load_shipped
from verdictd.policy.service import DecisionService

CONTEXT: Any = None
"""The services never look at it."""
POLICY = b"package policy\ndefault allow = false\nallow { input.svn >= data.svn }\n"
REFERENCE = b'{"mrEnclave": ["AA=="], "mrSigner": [], "productId": 0, "svn": 1}'
EVIDENCE: dict[str, JSONValue] = {"mrEnclave": "AA==", "mrSigner": "BB==", "productId": 0, "svn": 1}


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Policies]:
    opened = Policies(tmp_path_factory.mktemp("data"))
    assert opened.open() == ()
    yield opened
    opened.close()


@pytest.fixture
def service(policies: Policies) -> OPAService:
    """The service, with what is shipped in force."""
    pair = [load_shipped("sgxPolicy.rego"), load_shipped("sgxData")]
    policies.store.set_pair("sgxPolicy.rego", pair[0], "sgxData", pair[1])
    return OPAService(policies.store)


def decide(policies: Policies, given: dict[str, JSONValue]) -> Decision:
    """Decide under what is in force, as a worker does that was told of it."""
    return DecisionService(policies.store, policies.runner).decide("sgx_ecdsa", given)


def files(policies: Policies) -> dict[str, bytes]:
    return {name: policies.store.export(name) for name in policies.store.names()}


def test_what_is_set_is_in_force_and_exported_byte_for_byte(service: OPAService, policies: Policies) -> None:
    assert policies.is_open()
    content = REFERENCE + b"  \n"
    answer = service.setOpaReference(original.SetOpaReferenceRequest(name=b"sgxData", content=content), CONTEXT)
    assert answer.status == b"OK"
    exported = service.exportOpaReference(original.ExportOpaReferenceRequest(name=b"sgxData"), CONTEXT)
    assert (exported.status, exported.content) == (b"OK", content)
    assert not policies.is_open()
    assert decide(policies, EVIDENCE).allow
    assert not decide(policies, EVIDENCE | {"mrEnclave": "CC=="}).allow
    policy = service.SetOpaPolicy(original.SetOpaPolicyRequest(name=b"sgxPolicy.rego", content=POLICY), CONTEXT)
    assert policy.status == b"OK"
    assert decide(policies, EVIDENCE | {"mrEnclave": "CC=="}).allow


@pytest.mark.parametrize(
    "name", [b"../sgxData", b"", b"\xff", b".hidden", b"a/b", b"x" * 65, b"sgxData\x00", b"sgxPolicy.rego"]
)
def test_names_that_are_none_are_refused(service: OPAService, policies: Policies, name: bytes) -> None:
    before = files(policies)
    answer = service.setOpaReference(original.SetOpaReferenceRequest(name=name, content=REFERENCE), CONTEXT)
    assert answer.status not in {b"OK", b""}
    assert files(policies) == before
    if name != b"sgxPolicy.rego":
        exported = service.exportOpaPolicy(original.ExportOpaPolicyRequest(name=name), CONTEXT)
        assert exported.status != b"OK"
        assert exported.content == b""


@pytest.mark.parametrize(
    "content", [b"", b"package policy\n", b"package policy\nallow { nonsense(1) }\n", b"\xff", b"x" * (1024 * 1024 + 1)]
)
def test_policies_that_are_refused_leave_what_was_there(
    service: OPAService, policies: Policies, content: bytes
) -> None:
    before = files(policies)
    decision = decide(policies, EVIDENCE)
    answer = service.SetOpaPolicy(original.SetOpaPolicyRequest(name=b"sgxPolicy.rego", content=content), CONTEXT)
    assert answer.status not in {b"OK", b""}
    assert files(policies) == before
    assert DecisionService(policies.store, policies.runner).still_holds("sgx_ecdsa", decision)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"policy": {}}', b"\xff", b'{"a": 1, "a": 2}', b"[" * 100_000])
def test_references_that_are_refused_leave_what_was_there(
    service: OPAService, policies: Policies, content: bytes
) -> None:
    before = files(policies)
    answer = service.setOpaReference(original.SetOpaReferenceRequest(name=b"sgxData", content=content), CONTEXT)
    assert answer.status not in {b"OK", b""}
    assert files(policies) == before


@pytest.mark.parametrize(
    ("policy", "reference"), [(b"package policy\n", REFERENCE), (POLICY, b"[]"), (b"", b""), (POLICY, b'{"policy": 1}')]
)
def test_a_pair_is_set_whole_or_not_at_all(
    service: OPAService, policies: Policies, policy: bytes, reference: bytes
) -> None:
    before = files(policies)
    request = messages.SetPairRequest(
        policy_name="sgxPolicy.rego", policy=policy, reference_name="sgxData", reference=reference
    )
    answer = PairService(policies.store).SetPair(request, CONTEXT)
    assert answer.WhichOneof("outcome") == "error"
    assert answer.error.message
    assert files(policies) == before
    request.policy, request.reference = POLICY, REFERENCE
    answer = PairService(policies.store).SetPair(request, CONTEXT)
    assert answer.WhichOneof("outcome") == "ok"
    assert files(policies) | {"sgxPolicy.rego": POLICY, "sgxData": REFERENCE} == files(policies)


def request(*, policy: bytes | None = None, reference: bytes | None = None, given: bytes) -> original.TestOpaRequest:
    """What to test: stored where nothing is given."""
    return original.TestOpaRequest(
        policyname=b"sgxPolicy.rego",
        policycontent=policy or b"",
        policylocal=policy is not None,
        referencename=b"sgxData",
        referencecontent=reference or b"",
        referencelocal=reference is not None,
        input=given,
    )


@pytest.mark.parametrize("policy", [None, POLICY])
@pytest.mark.parametrize("reference", [None, REFERENCE])
def test_testing_answers_and_changes_nothing(
    service: OPAService, policies: Policies, policy: bytes | None, reference: bytes | None
) -> None:
    before = files(policies)
    for svn in (0, 1):
        given = EVIDENCE | {"svn": svn}
        wanted = request(policy=policy, reference=reference, given=json.dumps(given).encode())
        answer = json.loads(service.TestOpa(wanted, CONTEXT).status)
        assert answer["allow"] is (reference is None or svn == 1)
        assert answer["parseInfo"]["svn"] == [svn, 0 if reference is None else 1]
    assert files(policies) == before


@pytest.mark.parametrize(
    ("policy", "reference", "given"),
    [
        (b"package policy\n", None, b"{}"),
        (None, b"[]", b"{}"),
        (None, None, b""),
        (None, None, b"[]"),
        (None, None, b"{" * 100_000),
        (None, None, b'{"svn": NaN}'),
    ],
)
def test_what_cannot_be_tested_answers_with_a_sentence_and_never_with_a_decision(
    service: OPAService, policy: bytes | None, reference: bytes | None, given: bytes
) -> None:
    status = service.TestOpa(request(policy=policy, reference=reference, given=given), CONTEXT).status.decode()
    assert status
    assert not status.startswith("{")


def test_an_undefined_decision_is_null_as_the_original_answers(service: OPAService) -> None:
    undefined = b"package policy\nallow { input.svn > 100 }\n"
    answer = service.TestOpa(request(policy=undefined, given=json.dumps(EVIDENCE).encode()), CONTEXT)
    assert json.loads(answer.status)["allow"] is None


def test_status_describes_what_judges_and_what_is_wrong_with_it(policies: Policies, service: OPAService) -> None:
    (pair,) = policies.describe("name yours")
    assert (pair.tee, pair.policy_name, pair.reference_name) == ("sgx_ecdsa", "sgxPolicy.rego", "sgxData")
    assert pair.problem == "name yours"
    service.setOpaReference(original.SetOpaReferenceRequest(name=b"sgxData", content=REFERENCE), CONTEXT)
    (pair,) = policies.describe("name yours")
    assert pair.problem == ""
    assert len(pair.reference_digest) == 64


def test_a_file_that_somebody_broke_refuses_every_peer_and_says_why(tmp_path: Path) -> None:
    policies = Policies(tmp_path)
    policies.open()
    try:
        before = decide(policies, EVIDENCE)
        assert before.allow
        (tmp_path / "opa" / "sgxData").write_text("[]")
        (unusable,) = policies.store.reload()
        assert "sgxData" in unusable.reason
        decision = decide(policies, EVIDENCE)
        assert (decision.allow, decision.outcome) == (False, Outcome.UNUSABLE)
        assert not DecisionService(policies.store, policies.runner).still_holds("sgx_ecdsa", before)
        assert not policies.is_open()
        assert "sgxData" in policies.describe("")[0].problem
    finally:
        policies.close()
