"""The last step of an appraisal: the user's policy with the user's reference values."""

from collections.abc import Callable

from verdictd.appraisal.tee_claims import claims_of
from verdictd.core.checks import Check, CheckResult
from verdictd.core.result import AppraisalResult, JSONValue
from verdictd.policy.decision import Decision

Decide = Callable[[str, dict[str, JSONValue]], Decision]
"""Evaluates the policy for a kind of evidence, and an input made of it."""

POLICY_CHECK = "policy.decision"
REFERENCE_CHECK = "policy.reference"
POLICY_CHECKS = frozenset({POLICY_CHECK, REFERENCE_CHECK})
"""The checks that are the user's own; all others are about the evidence."""
_EXPECTED = "the policy's rule allow to be exactly true"

ACCEPTABILITY_CHECKS = frozenset(
    {
        "certificate.validity",
        "pck.validity",
        "root_ca_crl.validity",
        "pck_crl.validity",
        "tcb_info.validity",
        "qe_identity.validity",
        "tcb.status",
        "tcb.advisories",
        "tcb.evaluation_data_number",
        "collateral.age",
        "enclave.debug",
        "td.debug",
        "guest.debug",
        "guest.migration_agent",
        "guest.vmpl",
        "pek.firmware",
        "key.validity",
        "crl.validity",
        "tcb.minimum",
        "tcb.committed",
        "tcb.mitigations",
    }
)
"""Checks whose failure leaves the evidence genuine. After any other, a policy would judge what nobody vouches for."""


def apply_policy(result: AppraisalResult, decide: Decide) -> tuple[AppraisalResult, Decision | None]:
    """Let the policy judge genuine evidence, also where it is refused already, so that a refusal names every reason.

    Args:
        result: an appraisal of evidence.
        decide: evaluates the policy for an input; it returns a denial rather than raising.
    Returns:
        The result with the check `POLICY_CHECK` appended, and the decision where one was made.
    """
    fatal = [check.name for check in result.refusals if check.name not in ACCEPTABILITY_CHECKS]
    if fatal:
        why = f"the evidence is not known to be genuine ({fatal[0]})"
        return result.with_checks(Check(POLICY_CHECK, CheckResult.NOT_MADE, _EXPECTED, why)), None
    decision = decide(result.tee, claims_of(result.tee).build_policy_input(result.claims, result.custom_claims))
    outcome = CheckResult.PASS if decision.allow is True else CheckResult.FAIL
    remedy = "" if decision.allow is True else "compare evidence and reference values: verdict attestations shows both"
    return result.with_checks(Check(POLICY_CHECK, outcome, _EXPECTED, decision.reason, remedy)), decision


def apply_users_policy(
    result: AppraisalResult, decide: Decide, open_reference_remedy: str | None
) -> tuple[AppraisalResult, Decision | None]:
    """Do as `apply_policy`, unless the reference values are the shipped ones, under which nobody is let in.

    Args:
        result: an appraisal of evidence.
        decide: evaluates the policy for an input; it returns a denial rather than raising.
        open_reference_remedy: what to do where the reference values in force are the shipped, empty ones; ``None``
            where they are not, or where any enclave is allowed.
    """
    expected = "reference values that name the user's own enclave or signer"
    if open_reference_remedy is not None:
        found = "the shipped, empty reference, which would let in any genuine enclave of anybody"
        check = Check(REFERENCE_CHECK, CheckResult.FAIL, expected, found, open_reference_remedy)
        return result.with_checks(check), None
    return apply_policy(
        result.with_checks(Check(REFERENCE_CHECK, CheckResult.PASS, expected, "set by the user")), decide
    )


def skip_policy(result: AppraisalResult, why: str) -> AppraisalResult:
    """Record that no policy was asked for, which refuses nothing but is said."""
    check = Check(POLICY_CHECK, CheckResult.NOT_MADE, _EXPECTED, why, mandatory=False)
    return result.with_checks(check)
