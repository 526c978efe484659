"""When the policy is asked, and that nothing but its ``true`` lets anybody in."""

from dataclasses import replace

import pytest

from tests.unit.appraisal.platforms import NOW, appraiser, identity
from verdictd.appraisal.policy_step import (
    ACCEPTABILITY_CHECKS,
    POLICY_CHECK,
    REFERENCE_CHECK,
    apply_policy,
    apply_users_policy,
    skip_policy,
)
from verdictd.appraisal.verifiers import SGX_VERIFIER
from verdictd.core.checks import CheckResult
from verdictd.core.result import AppraisalResult, JSONValue
from verdictd.policy.decision import Decision, Outcome
from verdictd.tees.csv.requirements import REQUIREMENTS as CSV_REQUIREMENTS
from verdictd.tees.sev.requirements import REQUIREMENTS as SEV_REQUIREMENTS
from verdictd.tees.sev_snp.requirements import REQUIREMENTS as SNP_REQUIREMENTS
from verdictd.tees.tdx_ecdsa.verifier import REQUIREMENTS as TDX_REQUIREMENTS


def judged(*, debug: bool = False) -> AppraisalResult:
    certificate = identity(debug=debug, claims={"tenant": b"\x00\xff"}).certificate_der
    return appraiser().appraise_certificate(certificate, SGX_VERIFIER, NOW)


class Policy:
    def __init__(self, outcome: Outcome) -> None:
        self.asked: list[dict[str, JSONValue]] = []
        self._outcome = outcome

    def __call__(self, tee: str, given: dict[str, JSONValue]) -> Decision:
        assert tee == "sgx_ecdsa"
        self.asked.append(given)
        return Decision(allow=self._outcome is Outcome.ALLOWED, outcome=self._outcome, reason=f"it {self._outcome}")


def test_the_policy_sees_the_fields_of_the_original_all_that_was_appraised_and_the_claims_as_hex() -> None:
    policy = Policy(Outcome.ALLOWED)
    result, decision = apply_policy(judged(), policy)
    assert result.allowed
    assert decision is not None
    (given,) = policy.asked
    assert {"mrEnclave", "mrSigner", "productId", "svn", "sgx", "claims"} == set(given)
    assert given["claims"] == {"tenant": "00ff"}
    assert isinstance(given["sgx"], dict)


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.ALLOWED])
def test_every_other_outcome_refuses(outcome: Outcome) -> None:
    result, _ = apply_policy(judged(), Policy(outcome))
    assert [check.name for check in result.refusals] == [POLICY_CHECK]
    assert result.refusals[0].found == f"it {outcome}"
    assert result.refusals[0].remedy


def test_genuine_evidence_that_is_not_acceptable_is_judged_as_well_and_stays_refused() -> None:
    policy = Policy(Outcome.ALLOWED)
    result, _ = apply_policy(judged(debug=True), policy)
    assert [check.name for check in result.refusals] == ["enclave.debug"]
    assert len(policy.asked) == 1


@pytest.mark.parametrize("name", [check.name for check in judged().checks])
def test_after_any_check_that_makes_evidence_doubtful_the_policy_is_not_asked(name: str) -> None:
    checks = tuple(
        check._replace(result=CheckResult.FAIL) if check.name == name else check for check in judged().checks
    )
    policy = Policy(Outcome.ALLOWED)
    result, decision = apply_policy(replace(judged(), checks=checks), policy)
    assert not result.allowed
    assert bool(policy.asked) is (name in ACCEPTABILITY_CHECKS)
    assert (decision is None) is (name not in ACCEPTABILITY_CHECKS)
    if decision is None:
        assert name in result.checks[-1].found


def test_the_names_of_the_acceptable_failures_are_names_of_checks() -> None:
    required = TDX_REQUIREMENTS.keys() | CSV_REQUIREMENTS.keys() | SEV_REQUIREMENTS.keys() | SNP_REQUIREMENTS.keys()
    assert {check.name for check in judged().checks} | required >= ACCEPTABILITY_CHECKS


def test_no_policy_is_said_and_refuses_nothing() -> None:
    result = skip_policy(judged(), "none is named")
    assert result.allowed
    assert (result.checks[-1].name, result.checks[-1].found) == (POLICY_CHECK, "none is named")


def test_under_the_shipped_reference_the_policy_is_not_even_asked() -> None:
    policy = Policy(Outcome.ALLOWED)
    result, decision = apply_users_policy(judged(), policy, "name yours")
    assert [(check.name, check.remedy) for check in result.refusals] == [(REFERENCE_CHECK, "name yours")]
    assert (decision, policy.asked) == (None, [])


def test_under_reference_values_of_the_user_the_policy_decides() -> None:
    for outcome in (Outcome.ALLOWED, Outcome.REFUSED):
        result, decision = apply_users_policy(judged(), Policy(outcome), None)
        assert decision is not None
        assert result.allowed is decision.allow
        assert [check.name for check in result.checks][-2:] == [REFERENCE_CHECK, POLICY_CHECK]
