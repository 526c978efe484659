"""What holds for every result of an appraisal, whatever was appraised."""

import json

from fuzz.target import check_sentence
from verdictd.appraisal.report import build_report, describe_result, summarise
from verdictd.core.result import AppraisalResult
from verdictd.policy.json_document import encode_input
from verdictd.tees.sgx_ecdsa.claims import build_policy_input

MAX_REPORT_CHARACTERS = 64 * 1024
"""More than any report takes, custom claims apart, so that the history of attestations stays bounded."""


def check_result(result: AppraisalResult) -> None:
    """Require that a result is sound: each check once, allowed only if none refuses, and fit to be shown and judged."""
    names = [check.name for check in result.checks]
    assert names
    assert len(names) == len(set(names))
    assert result.allowed is (not result.refusals)
    for check in result.checks:
        check_sentence(check.sentence)
    check_sentence(summarise(result))
    describe_result(result).encode("utf-8")
    report = build_report(result)
    del report["custom_claims"]
    assert len(json.dumps(report, allow_nan=False)) <= MAX_REPORT_CHARACTERS
    if "mr_enclave" in result.claims:
        encode_input(build_policy_input(result.claims, result.custom_claims))
