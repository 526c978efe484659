"""Every recorded TDX quote gets the recorded verdict; where the oracle refuses by a rule of its own, that is said."""

import hashlib
import random
from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from tests.recorded.cases import Case, tdx_cases
from tests.vectors import needs_vectors
from verdictd.core.checks import CheckResult
from verdictd.core.result import AppraisalResult
from verdictd.tees.dcap.acceptance import Acceptance, TCBStatus
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.trust_roots import TrustRoots, intel_trust_root
from verdictd.tees.tdx_ecdsa.replay import EVENT_LOG_REQUIREMENTS
from verdictd.tees.tdx_ecdsa.td_report import parse_td_quote
from verdictd.tees.tdx_ecdsa.verifier import REQUIREMENTS, appraise_tdx

pytestmark = needs_vectors
INTEL = TrustRoots((intel_trust_root(),))
LENIENT = Acceptance(tcb_statuses=frozenset(TCBStatus), allow_debug=True)
NO_LEVEL: Final = "No matching TCB level found"
RULES_OF_ITS_OWN: Final = {
    "Debug mode is enabled": "td.debug",
    "Invalid MR service TD": "",  # Intel's library reports MRSERVICETD, and leaves it to policy
    "SEPT_VE_DISABLE is not enabled": "",  # an attribute that Linux looks at itself: a claim here, for policy
}
"""Why the oracle judges no further, and what refuses here, if anything."""
each_case = pytest.mark.parametrize("case", tdx_cases(), ids=lambda case: case.name)


def appraise(case: Case, acceptance: Acceptance = LENIENT, memory: FactMemory | None = None) -> AppraisalResult:
    return appraise_tdx(
        case.quote, collateral=case.collateral, roots=INTEL, acceptance=acceptance, at=case.at, memory=memory
    )


def test_there_are_as_many_cases_as_were_recorded() -> None:
    assert len(tdx_cases()) == 130
    assert len({case.quote_path for case in tdx_cases()}) == 31


@each_case
def test_status_and_advisories_are_the_oracles(case: Case) -> None:
    result = appraise(case)
    if case.oracle_status is not None:
        assert result.tcb_status == case.oracle_status
        assert frozenset(result.advisory_ids) == case.oracle_advisories
        made = [check.result for check in result.checks if check.name not in EVENT_LOG_REQUIREMENTS]
        assert made == [CheckResult.PASS] * (len(REQUIREMENTS) - len(EVENT_LOG_REQUIREMENTS))
    elif NO_LEVEL in case.oracle_error:
        failed = [check.name for check in result.refusals if check.result is CheckResult.FAIL]
        assert failed == ["tcb.level"]
    else:
        (rule,) = [rule for rule in RULES_OF_ITS_OWN if rule in case.oracle_error]
        assert result.allowed
        strict = appraise(case, replace(LENIENT, allow_debug=False))
        assert [check.name for check in strict.refusals] == ([RULES_OF_ITS_OWN[rule]] if RULES_OF_ITS_OWN[rule] else [])


@each_case
def test_strict_defaults_refuse_for_the_status_and_debug_alone(case: Case) -> None:
    if NO_LEVEL in case.oracle_error:
        return
    result = appraise(case, Acceptance())
    expected = set() if result.tcb_status == "UpToDate" else {"tcb.status"}
    assert {check.name for check in result.refusals} == expected | ({"td.debug"} if case.is_debug else set())
    assert [check.name for check in result.checks] == list(REQUIREMENTS)


@each_case
def test_any_flipped_bit_of_the_quotes_signed_bytes_is_refused(case: Case) -> None:
    quote, collateral, memory = case.quote, case.collateral, FactMemory()
    size = len(parse_td_quote(quote).signed)
    signed_bits = [
        *range(size * 8),
        *range((size + 4) * 8, (size + 4 + 128) * 8),
        *range((size + 4 + 128 + 6) * 8, (size + 4 + 128 + 6 + 448) * 8),
    ]
    for bit in random.Random(hashlib.sha256(quote).digest()).sample(signed_bits, 25):
        damaged = bytearray(quote)
        damaged[bit // 8] ^= 1 << bit % 8
        result = appraise_tdx(
            bytes(damaged), collateral=collateral, roots=INTEL, acceptance=LENIENT, at=case.at, memory=memory
        )
        assert not result.allowed, f"bit {bit} is flipped and nobody noticed"


@each_case
def test_expired_collateral_is_refused_and_can_be_accepted(case: Case) -> None:
    later = replace(case, at=case.at + timedelta(days=400))
    expired = {check.name for check in appraise(later).refusals}
    assert {"tcb_info.validity", "qe_identity.validity", "pck_crl.validity"} <= expired
    lenient = appraise(later, replace(LENIENT, allow_expired_collateral=True))
    assert lenient.allowed is (NO_LEVEL not in case.oracle_error)


@each_case
def test_what_is_remembered_does_not_change_a_result(case: Case) -> None:
    memory = FactMemory()
    fresh = appraise(case)
    for _ in range(2):
        assert fresh == appraise(case, memory=memory)
