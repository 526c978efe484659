"""Why something could not be had, beside the check that failed for want of it."""

from collections.abc import Mapping
from dataclasses import replace

from verdictd.core.result import AppraisalResult
from verdictd.tees.dcap.requirements import NONE_AT_HAND


def explain_missing(result: AppraisalResult, reasons: Mapping[str, str]) -> AppraisalResult:
    """Put reasons, by the names of checks, beside the checks that found nothing to check."""
    if not reasons:
        return result
    checks = tuple(
        check._replace(found=f"{check.found} ({reasons[check.name]})")
        if check.name in reasons and check.found == NONE_AT_HAND
        else check
        for check in result.checks
    )
    return replace(result, checks=checks)
