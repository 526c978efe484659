"""Decisions while uploads replace what they are made under."""

import gc
import json
import threading
import time
from pathlib import Path

import pytest

from tests.unit.policy.rego import V1
from verdictd.core.result import JSONValue
from verdictd.policy.decision import Decision, Outcome
from verdictd.policy.decision_memory import DecisionMemory
from verdictd.policy.runner import PolicyRunner
from verdictd.policy.service import DecisionService
from verdictd.policy.store import PolicyStore

TEE = "sgx_ecdsa"
# Some tenths of a second of work, then the reference decides.
SLOW = (
    V1
    + "n := numbers.range(1, 900)\n"
    + "allow if { count([1 | some x in n; some y in n; x + y == 0]) == 0; input.mrEnclave in data.mrEnclave }\n"
).encode()


@pytest.fixture
def store(tmp_path: Path, runner: PolicyRunner) -> PolicyStore:
    store = PolicyStore(tmp_path, runner)
    store.open()
    return store


@pytest.fixture
def service(store: PolicyStore, runner: PolicyRunner) -> DecisionService:
    return DecisionService(store, runner)


def reference(*enclaves: str) -> bytes:
    return json.dumps({"mrEnclave": list(enclaves), "mrSigner": [], "productId": 0, "svn": 0}).encode()


def evidence(enclave: str) -> dict[str, JSONValue]:
    return {
        "mrEnclave": enclave,
        "mrSigner": "S",
        "productId": 0,
        "svn": 0,
        "sgx": {"filler": "ab" * 1800},
        "claims": {},
    }


def test_decides_under_what_is_in_force(store: PolicyStore, service: DecisionService) -> None:
    assert service.decide(TEE, evidence("A")).allow
    store.set_reference("sgxData", reference("B"))
    decision = service.decide(TEE, evidence("A"))
    assert not decision.allow
    assert '"A" is not among the 1 of the reference' in decision.reason
    assert service.decide(TEE, evidence("B")).allow


def test_evidence_that_nothing_judges_yet_is_refused(service: DecisionService) -> None:
    decision = service.decide("csv", {"measure": "x"})
    assert (decision.allow, decision.outcome) == (False, Outcome.UNUSABLE)
    assert decision.reason == ("there is no csvPolicy.rego; upload it: verdict --set-opa-policy csvPolicy.rego FILE")
    assert not service.still_holds("csv", decision)
    with pytest.raises(KeyError):
        service.decide("sgx_epid", {})


def test_decision_under_way_when_a_value_is_removed_is_made_anew(store: PolicyStore, service: DecisionService) -> None:
    store.set_pair("sgxPolicy.rego", SLOW, "sgxData", reference("A"))
    assert service.decide(TEE, evidence("A")).allow
    decisions: list[Decision] = []
    thread = threading.Thread(target=lambda: decisions.append(service.decide(TEE, evidence("A"))))
    thread.start()
    time.sleep(0.05)
    store.set_reference("sgxData", reference("B"))
    assert not decisions
    thread.join()
    assert not decisions[0].allow
    assert service.still_holds(TEE, decisions[0])


def test_decision_under_way_when_a_value_is_added_is_made_anew(store: PolicyStore, service: DecisionService) -> None:
    store.set_pair("sgxPolicy.rego", SLOW, "sgxData", reference("B"))
    decisions: list[Decision] = []
    thread = threading.Thread(target=lambda: decisions.append(service.decide(TEE, evidence("A"))))
    thread.start()
    time.sleep(0.05)
    store.set_reference("sgxData", reference("A"))
    assert not decisions
    thread.join()
    assert decisions[0].allow


def test_refused_upload_disturbs_no_decision(store: PolicyStore, service: DecisionService) -> None:
    store.set_reference("sgxData", reference("A"))
    decision = service.decide(TEE, evidence("A"))
    with pytest.raises(Exception, match="not known"):
        store.set_policy("sgxPolicy.rego", b"package policy\nallow := nosuch(1)\n")
    assert service.still_holds(TEE, decision)
    assert service.decide(TEE, evidence("A")).allow


def test_decision_says_whether_it_still_holds(store: PolicyStore, service: DecisionService) -> None:
    store.set_reference("sgxData", reference("A"))
    decision = service.decide(TEE, evidence("A"))
    assert service.still_holds(TEE, decision)
    store.set_reference("sgxData", reference("B"))
    assert not service.still_holds(TEE, decision)
    store.set_reference("sgxData", reference("A"))
    assert service.still_holds(TEE, decision)


def test_endless_replacement_denies(store: PolicyStore, runner: PolicyRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    # Each look finds another pair in force.
    pairs = []
    for number in range(2):
        store.set_reference("sgxData", reference("A", str(number)))
        pairs.append(store.active(TEE))
    looks = iter(range(1000))
    monkeypatch.setattr(store, "active", lambda _: pairs[next(looks) % 2])
    decision = DecisionService(store, runner).decide(TEE, evidence("A"))
    assert (decision.allow, decision.outcome) == (False, Outcome.UNSETTLED)
    assert "replaced 16 times" in decision.reason


DECISIONS = 40_000
THREADS = 8
UPLOADS = 20
"""At least so many; as many as come between the decisions."""
ENCLAVES = ("A", "B", "C", "D")
# What is let in under each reference in turn. "D" never is.
SETS = (("A",), ("B",), ("A", "C"), ("B", "C"), ("C",), ("A", "B"))


class History:
    """What was decided and uploaded, and when: `begun` and `done` are taken from one clock around each."""

    def __init__(self) -> None:
        self.decisions: list[list[tuple[int, int, str, Decision]]] = [[] for _ in range(THREADS)]
        self.uploads: list[tuple[int, int, str]] = []
        self.allowed_under: dict[str, tuple[str, ...]] = {}

    def upload(self, store: PolicyStore, stop: threading.Event) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            enclaves = SETS[number % len(SETS)]
            # Each upload has another digest, though sets come again.
            content = json.dumps({**json.loads(reference(*enclaves)), "upload": number}).encode()
            begun = time.monotonic_ns()
            (document,) = store.set_reference("sgxData", content).documents
            self.uploads.append((begun, time.monotonic_ns(), document.digest))
            self.allowed_under[document.digest] = enclaves
            time.sleep(0.002)

    def decide(self, service: DecisionService, place: int) -> None:
        given = {enclave: evidence(enclave) for enclave in ENCLAVES}
        number = 0
        while number < DECISIONS // THREADS or len(self.uploads) < UPLOADS:
            number += 1
            if number % 40 == 0:
                time.sleep(0.002)  # lets uploads come between, however busy the machine is
            enclave = ENCLAVES[(number + place) % len(ENCLAVES)]
            begun = time.monotonic_ns()
            decision = service.decide(TEE, given[enclave])
            self.decisions[place].append((begun, time.monotonic_ns(), enclave, decision))

    def judge(self) -> list[Decision]:
        upload_begun = {digest: begun for begun, _, digest in self.uploads}
        replaced = {digest: self.uploads[place + 1][1] for place, (_, _, digest) in enumerate(self.uploads[:-1])}
        made = [record for of_one in self.decisions for record in of_one]
        for begun, done, enclave, decision in made:
            assert decision.outcome in {Outcome.ALLOWED, Outcome.REFUSED}
            # The verdict is the one of the reference that the decision names.
            assert decision.allow is (enclave in self.allowed_under[decision.reference_digest])
            # That reference was being put in force before the decision was done,
            assert upload_begun[decision.reference_digest] < done
            # and no upload that replaced it had returned before the decision began.
            assert begun < replaced.get(decision.reference_digest, done)
        return [decision for *_, decision in made]


@pytest.mark.timeout(300)
def test_no_number_of_peers_and_updates_mixes_decisions(tmp_path: Path) -> None:
    gc.collect()  # engines of tests before this one end here, and not in one of its threads
    history = History()
    stop = threading.Event()
    with PolicyRunner(workers=2, deadline_s=20, wait_s=60) as runner:
        store = PolicyStore(tmp_path, runner)
        store.open()
        service = DecisionService(store, runner)
        uploader = threading.Thread(target=history.upload, args=(store, stop))
        uploader.start()
        while not history.uploads:
            time.sleep(0.001)
        deciders = [threading.Thread(target=history.decide, args=(service, place)) for place in range(THREADS)]
        for thread in deciders:
            thread.start()
        for thread in deciders:
            thread.join()
        stop.set()
        uploader.join()
    decisions = history.judge()
    assert len(decisions) >= DECISIONS
    assert len(history.uploads) >= UPLOADS
    assert {decision.allow for decision in decisions} == {True, False}
    assert len({decision.reference_digest for decision in decisions}) > UPLOADS // 2


def test_upload_does_not_wait_for_decisions_where_it_has_a_runner_of_its_own(tmp_path: Path) -> None:
    with PolicyRunner(workers=1) as uploads, PolicyRunner(workers=1, wait_s=0.01) as decisions:
        store = PolicyStore(tmp_path, uploads)
        store.open()
        service = DecisionService(store, decisions)
        with decisions._pool.borrow():
            store.set_pair("sgxPolicy.rego", SLOW, "sgxData", reference("A"))
            assert service.decide(TEE, evidence("A")).outcome is Outcome.BUSY
        assert service.decide(TEE, evidence("A")).allow


def test_remembered_decision_is_made_under_what_is_in_force(tmp_path: Path) -> None:
    memory = DecisionMemory()
    with PolicyRunner(workers=1, memory=memory) as runner:
        store = PolicyStore(tmp_path, runner)
        store.open()
        service = DecisionService(store, runner)
        for enclave, expected in (("A", True), ("B", False), ("A", True), ("B", False)):
            store.set_reference("sgxData", reference(enclave))
            decisions = [service.decide(TEE, evidence("A")) for _ in range(2)]
            assert [decision.allow for decision in decisions] == [expected] * 2
            assert all(service.still_holds(TEE, decision) for decision in decisions)
    assert len(memory) == 2
