"""Peers of a simulated platform, judged as verdictd judges them: accepted, and refused in every stage."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

from tests.unit.appraisal.platforms import NOW, Asked, identity, platform, roots
from tests.unit.appraisal.platforms import appraiser as plain_appraiser
from verdictd.appraisal.appraiser import Appraiser
from verdictd.appraisal.policy_step import apply_users_policy
from verdictd.appraisal.verifiers import NULL_VERIFIER, SGX_VERIFIER, Verifiers
from verdictd.archive.builder import JudgedPeer
from verdictd.core.result import JSONValue
from verdictd.policy.decision import Decision, Outcome
from verdictd.policy.pair import Document, PolicyPair
from verdictd.policy.pair_files import SHIPPED, load_shipped
from verdictd.policy.runner import PolicyRunner
from verdictd.ratstls.certificate_builder import build_identity
from verdictd.tees.dcap.acceptance import Acceptance, TCBStatus
from verdictd.tees.dcap.collateral import Collateral
from verdictd.tees.sgx_ecdsa.claims import build_evidence_fields

REMEDY = "name yours with --set-opa-reference"
OPEN = {"mrEnclave": [], "mrSigner": [], "productId": 0, "svn": 0}


@dataclass(frozen=True)
class Scenario:
    """How a peer comes to its verdict: its certificate, and what of the verifier is other than usual."""

    certificate: Callable[[], bytes]
    verifier: Verifiers = SGX_VERIFIER
    has_collateral: bool = True
    status: TCBStatus = TCBStatus.UP_TO_DATE
    reference: dict[str, object] | None = None
    is_guarded: bool = True
    usable: bool = True


def _identity(**arguments: object) -> bytes:
    return identity(**arguments).certificate_der  # type: ignore[arg-type]


def _replayed() -> bytes:
    heard = platform().quote(report_data=bytes(64))
    return build_identity(at=NOW, make_quote=lambda _: heard).certificate_der


SCENARIOS = {
    "accepted": Scenario(_identity),
    "accepted with claims": Scenario(partial(_identity, claims={"tenant": b"blue"})),
    "any enclave": Scenario(_identity, reference=OPEN, is_guarded=False),
    "not judged": Scenario(_identity, verifier=NULL_VERIFIER),
    "refused by the policy": Scenario(_identity, reference=OPEN | {"mrSigner": ["AA=="]}),
    "the shipped reference": Scenario(_identity, reference=OPEN),
    "no usable policy": Scenario(_identity, usable=False),
    "a debug enclave": Scenario(partial(_identity, debug=True)),
    "out of date": Scenario(_identity, status=TCBStatus.OUT_OF_DATE),
    "no collateral": Scenario(_identity, has_collateral=False),
    "somebody else's platform": Scenario(partial(_identity, of="somebody else's")),
    "replayed evidence": Scenario(_replayed),
    "no evidence": Scenario(lambda: build_identity(at=NOW).certificate_der),
    "no certificate": Scenario(lambda: b"\x30\x03nonsense"),
}
ACCEPTED = {"accepted", "accepted with claims", "any enclave", "not judged"}


@cache
def collateral_with(status: TCBStatus) -> Collateral:
    """The collateral of the platform; signed anew, it would be another each time."""
    return platform().with_tcb_status(status).collateral(NOW)


def make_pair(runner: PolicyRunner, reference: dict[str, object]) -> PolicyPair:
    policy = Document.of(SHIPPED.policy, load_shipped(SHIPPED.policy))
    return runner.make_pair(policy, Document.of(SHIPPED.reference, json.dumps(reference).encode()))


def signer(certificate: bytes) -> str:
    """What the policy is told of the signer of an accepted peer's enclave."""
    result = plain_appraiser().appraise_certificate(certificate, SGX_VERIFIER, NOW)
    return str(build_evidence_fields(result.claims)["mrSigner"])


def judge(runner: PolicyRunner, name: str, number: int = 1) -> JudgedPeer:
    """Judge a peer as `daemon.judging` does."""
    scenario = SCENARIOS[name]
    certificate = scenario.certificate()
    reference = scenario.reference or OPEN | {"mrSigner": [signer(_identity())]}
    pair = make_pair(runner, reference)
    asked = Asked(collateral_with(scenario.status))
    if not scenario.has_collateral:
        asked = Asked(Collateral(tcb_info=collateral_with(scenario.status).tcb_info), "the PCCS does not answer")
    appraiser = Appraiser(roots=roots(), acceptance=Acceptance(), find_collateral=asked)
    appraised = appraiser.appraise_peer(certificate, scenario.verifier, NOW)
    result, decision, remedy = appraised.result, None, None
    if scenario.verifier != NULL_VERIFIER:
        remedy = REMEDY if scenario.is_guarded and pair.admits_any_enclave else None
        decide = partial(runner.evaluate, pair) if scenario.usable else _deny
        result, decision = apply_users_policy(result, lambda _, given: decide(given), remedy)
    return JudgedPeer(
        number=number,
        peer=f"192.0.2.{number % 250}:4711",
        certificate=certificate,
        result=result,
        decision=decision,
        pair=pair if scenario.usable else None,
        collateral=appraised.collateral,
        roots=roots(),
        acceptance=appraiser.acceptance,
        verifier=scenario.verifier,
        is_guarded=scenario.is_guarded,
        open_reference_remedy=remedy,
    )


def _deny(given: dict[str, JSONValue]) -> Decision:
    return Decision(allow=False, outcome=Outcome.UNUSABLE, reason="there is no sgxPolicy.rego")
