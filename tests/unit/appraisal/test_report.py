"""Results as JSON, after their schema, and in words."""

import json
from dataclasses import replace
from types import MappingProxyType

import pytest

from tests.unit.appraisal.platforms import NOW, Asked, appraiser, identity
from tests.unit.appraisal.schema import violations
from verdictd.appraisal.report import build_report, describe_result, summarise
from verdictd.appraisal.verifiers import SGX_VERIFIER
from verdictd.core.checks import Check, CheckResult
from verdictd.core.result import AppraisalResult
from verdictd.policy.decision import Decision, Outcome
from verdictd.ratstls.certificate_builder import build_identity
from verdictd.tees.dcap.collateral import Collateral

ALLOWED = Decision(allow=True, outcome=Outcome.ALLOWED, reason="it is", parse_info=MappingProxyType({"svn": (1, None)}))


def results() -> dict[str, AppraisalResult]:
    def judge(certificate: bytes, asked: Asked | None = None) -> AppraisalResult:
        return appraiser(asked).appraise_certificate(certificate, SGX_VERIFIER, NOW)

    return {
        "accepted": judge(identity(claims={"tenant": b"\xff"}).certificate_der),
        "debug": judge(identity(debug=True).certificate_der),
        "no evidence": judge(build_identity(at=NOW).certificate_der),
        "no certificate": judge(b""),
        "no collateral": judge(identity().certificate_der, Asked(Collateral(), "none")),
    }


@pytest.mark.parametrize("name", list(results()))
@pytest.mark.parametrize("decision", [None, ALLOWED])
def test_reports_keep_their_schema(name: str, decision: Decision | None) -> None:
    result = results()[name]
    report = json.loads(json.dumps(build_report(result, decision), allow_nan=False))
    assert violations(report) == []
    assert report["verdict"] == ("allow" if name == "accepted" else "deny")
    assert [check["name"] for check in report["checks"]] == [check.name for check in result.checks]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("verdict", "maybe"),
        ("at", "yesterday"),
        ("checks", [{"name": "x"}]),
        ("custom_claims", {"a": "xyz"}),
        ("policy", {"allow": "yes", "parseInfo": {}}),
        ("advisory_ids", ["A", "A"]),
        ("evaluation_data_number", True),
    ],
)
def test_the_schema_would_tell(member: str, value: object) -> None:
    report = json.loads(json.dumps(build_report(results()["accepted"])))
    assert violations(report | {member: value})
    del report[member]
    assert violations(report)


def test_a_refusal_is_summarised_by_what_failed_before_what_was_not_made() -> None:
    checks = (
        Check("a", CheckResult.NOT_MADE, "x", "no collateral"),
        Check("b", CheckResult.FAIL, "x", "wrong", "do this"),
        Check("c", CheckResult.FAIL, "x", "wrong too"),
    )
    result = AppraisalResult(tee="sgx_ecdsa", at=NOW, checks=checks)
    assert summarise(result) == "refused: check b failed: found wrong, expected x; do this (2 more checks refused)"
    assert (
        summarise(replace(result, checks=checks[:1]))
        == "refused: check a was not made: found no collateral, expected x"
    )
    assert summarise(replace(result, checks=checks[:2])).endswith("(1 more check refused)")


def test_a_result_without_checks_allows_nothing() -> None:
    result = AppraisalResult(tee="sgx_ecdsa", at=NOW, checks=())
    assert summarise(result) == "refused: no check was made"
    assert describe_result(result).endswith("REFUSED")


def test_words_for_a_person_end_with_the_verdict_and_name_every_reason() -> None:
    accepted = describe_result(results()["accepted"])
    assert accepted.endswith("\nALLOWED")
    assert "FAIL" not in accepted
    refused = describe_result(results()["debug"])
    assert refused.endswith("\nREFUSED")
    assert "enclave.debug: FAIL\n    expected: " in refused
    assert "    remedy:   build and sign" in refused
