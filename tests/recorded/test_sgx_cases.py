"""Every recorded SGX quote gets the recorded verdict, and is refused for the recorded reasons alone."""

import hashlib
import random
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.recorded.cases import Case, sgx_cases
from tests.vectors import needs_vectors
from verdictd.core.checks import CheckResult
from verdictd.core.result import AppraisalResult
from verdictd.tees.dcap.acceptance import ANY_STATUS_BUT_REVOKED, Acceptance, TCBStatus
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.tcb_level import converge
from verdictd.tees.dcap.trust_roots import TrustRoots, intel_trust_root
from verdictd.tees.sgx_ecdsa.verifier import REQUIREMENTS, appraise_sgx

pytestmark = needs_vectors
INTEL = TrustRoots((intel_trust_root(),))
LENIENT = Acceptance(tcb_statuses=ANY_STATUS_BUT_REVOKED, allow_debug=True)
each_case = pytest.mark.parametrize("case", sgx_cases(), ids=lambda case: case.name)


def appraise(case: Case, acceptance: Acceptance = LENIENT) -> AppraisalResult:
    return appraise_sgx(case.quote, collateral=case.collateral, roots=INTEL, acceptance=acceptance, at=case.at)


def test_there_are_as_many_cases_as_were_recorded() -> None:
    assert len(sgx_cases()) == 66
    assert len({case.quote_path for case in sgx_cases()}) == 26


@each_case
def test_status_is_the_recorded_one(case: Case) -> None:
    result = appraise(case)
    assert result.tcb_status == converge(TCBStatus(case.platform_status), TCBStatus(case.qe_status))
    if case.oracle_status is not None:
        assert result.tcb_status == case.oracle_status


@each_case
def test_advisories_are_the_oracles(case: Case) -> None:
    if case.oracle_advisories is None:
        # the oracle gave none: it refuses debug enclaves and does not read TCB info of version 2
        assert case.is_debug or "sgxtcbcomponents" not in case.collateral_json
        return
    assert set(appraise(case).advisory_ids) == case.oracle_advisories


@each_case
def test_strict_defaults_refuse_for_the_status_and_debug_alone(case: Case) -> None:
    result = appraise(case, Acceptance())
    expected = {"tcb.status"} | ({"enclave.debug"} if case.is_debug else set())
    assert {check.name for check in result.refusals} == expected
    assert [check.name for check in result.checks] == list(REQUIREMENTS)


@each_case
def test_the_flags_that_the_refusal_names_accept_it(case: Case) -> None:
    strict = appraise(case, Acceptance())
    (refusal,) = [check for check in strict.refusals if check.name == "tcb.status"]
    statuses = refusal.remedy.rpartition("--accept-tcb-status ")[2].split(",")
    acceptance = Acceptance(
        tcb_statuses=frozenset(map(TCBStatus, statuses)),
        allow_debug=any("--allow-debug" in check.remedy for check in strict.refusals),
    )
    assert appraise(case, acceptance).allowed


@each_case
def test_any_flipped_bit_of_the_quotes_signed_bytes_is_refused(case: Case) -> None:
    quote, collateral, memory = case.quote, case.collateral, FactMemory()
    chosen = random.Random(hashlib.sha256(quote).digest())
    signed_bits = [*range(432 * 8), *range(436 * 8, (436 + 128) * 8), *range(564 * 8, (564 + 448) * 8)]
    for bit in chosen.sample(signed_bits, 60):
        damaged = bytearray(quote)
        damaged[bit // 8] ^= 1 << bit % 8
        result = appraise_sgx(
            bytes(damaged), collateral=collateral, roots=INTEL, acceptance=LENIENT, at=case.at, memory=memory
        )
        assert not result.allowed, f"bit {bit} is flipped and nobody noticed"


@each_case
def test_any_flipped_bit_of_the_collaterals_signed_bytes_is_refused(case: Case) -> None:
    genuine = case.collateral
    assert genuine.tcb_info
    assert genuine.qe_identity
    assert genuine.pck_crl
    assert genuine.root_ca_crl
    chosen = random.Random(case.name)
    for _ in range(6):
        for damaged in (
            replace(genuine, tcb_info=replace(genuine.tcb_info, body=flip(genuine.tcb_info.body, chosen))),
            replace(genuine, qe_identity=replace(genuine.qe_identity, body=flip(genuine.qe_identity.body, chosen))),
            replace(genuine, pck_crl=replace(genuine.pck_crl, der=flip(genuine.pck_crl.der, chosen))),
            replace(genuine, root_ca_crl=replace(genuine.root_ca_crl, der=flip(genuine.root_ca_crl.der, chosen))),
        ):
            result = appraise_sgx(case.quote, collateral=damaged, roots=INTEL, acceptance=LENIENT, at=case.at)
            assert not result.allowed


def flip(data: bytes, chosen: random.Random) -> bytes:
    damaged = bytearray(data)
    damaged[chosen.randrange(len(data))] ^= 1 << chosen.randrange(8)
    return bytes(damaged)


@each_case
def test_expired_collateral_is_refused_and_can_be_accepted(case: Case) -> None:
    later = replace(case, at=case.at + timedelta(days=400))
    result = appraise(later)
    expired = {check.name for check in result.refusals}
    assert {"tcb_info.validity", "qe_identity.validity", "pck_crl.validity"} <= expired
    assert all(name.endswith(".validity") for name in expired)
    assert appraise(later, replace(LENIENT, allow_expired_collateral=True)).allowed


@each_case
def test_what_is_remembered_does_not_change_a_result(case: Case) -> None:
    memory = FactMemory()
    fresh = appraise(case)
    for _ in range(2):
        assert fresh == appraise_sgx(
            case.quote, collateral=case.collateral, roots=INTEL, acceptance=LENIENT, at=case.at, memory=memory
        )
    early = case.at - timedelta(days=4000)
    again = appraise_sgx(
        case.quote, collateral=case.collateral, roots=INTEL, acceptance=LENIENT, at=early, memory=memory
    )
    assert not again.allowed, "validity in time is judged anew, whatever is remembered"


@each_case
def test_all_bytes_of_a_genuine_case_hold_without_exception(case: Case) -> None:
    result = appraise(case)
    assert [check.result for check in result.checks] == [CheckResult.PASS] * len(REQUIREMENTS)
