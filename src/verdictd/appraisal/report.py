"""An Attestation Result for others: as JSON (its schema is in docs/appraisal-result.schema.json), and in words."""

from datetime import UTC, datetime

from verdictd.core.checks import Check, CheckResult
from verdictd.core.result import AppraisalResult, JSONValue
from verdictd.policy.decision import Decision

SCHEMA = "verdictd.appraisal/1"
_MARKS = {CheckResult.PASS: "pass", CheckResult.FAIL: "FAIL", CheckResult.NOT_MADE: "not made"}


def build_report(result: AppraisalResult, decision: Decision | None = None) -> dict[str, JSONValue]:
    """Write a result as JSON values. Instants are UTC, 2026-01-31T00:00:00Z; bytes are lower-case hex."""
    return {
        "schema": SCHEMA,
        "verdict": "allow" if result.allowed else "deny",
        "tee": result.tee,
        "tcb_status": result.tcb_status,
        "tcb_date": _format_instant(result.tcb_date),
        "advisory_ids": list(result.advisory_ids),
        "evaluation_data_number": result.evaluation_data_number,
        "earliest_expiry": _format_instant(result.earliest_expiry),
        "at": _format_instant(result.at),
        "checks": [_build_check(check) for check in result.checks],
        "claims": dict(result.claims),
        "custom_claims": {name: value.hex() for name, value in result.custom_claims.items()},
        "collateral_sources": dict(result.sources),
        "policy": None if decision is None else _build_decision(decision),
    }


def describe_result(result: AppraisalResult) -> str:
    """Write a result for a person: every check a line, then the verdict with its reasons and remedies."""
    width = max((len(check.name) for check in result.checks), default=0)
    lines = [f"{_MARKS[check.result]:>8}  {check.name:<{width}}  {check.found}" for check in result.checks]
    lines.append("")
    for check in result.refusals:
        if check.result is CheckResult.FAIL:
            lines.extend(_describe_failure(check))
    lines.extend(_describe_omissions(result))
    if result.tcb_status is not None:
        advisories = ", ".join(result.advisory_ids) or "none"
        lines.append(f"TCB status {result.tcb_status}, advisories {advisories}")
    if result.earliest_expiry is not None:
        lines.append(f"this verdict's collateral and certificates hold until {_format_instant(result.earliest_expiry)}")
    lines.append("ALLOWED" if result.allowed else "REFUSED")
    return "\n".join(lines)


def summarise(result: AppraisalResult) -> str:
    """Write a verdict as one sentence: for a refusal its first reason, and how many more there are."""
    if result.allowed:
        return f"{result.tee} evidence accepted"
    refusals = result.refusals
    if not refusals:
        return "refused: no check was made"
    # What failed comes before what could not be made for want of it.
    first = next((check for check in refusals if check.result is CheckResult.FAIL), refusals[0])
    others = len(refusals) - 1
    more = f" ({others} more check{'s' if others > 1 else ''} refused)" if others else ""
    return f"refused: {first.sentence}{more}"


def _describe_failure(check: Check) -> list[str]:
    lines = [f"{check.name}: FAIL", f"    expected: {check.expected}", f"    found:    {check.found}"]
    if check.remedy:
        lines.append(f"    remedy:   {check.remedy}")
    return lines


def _describe_omissions(result: AppraisalResult) -> list[str]:
    """Name the checks that refuse because they were not made, by why not: they follow from a failure."""
    by_reason: dict[str, list[str]] = {}
    for check in result.refusals:
        if check.result is CheckResult.NOT_MADE:
            by_reason.setdefault(check.found, []).append(check.name)
    return [f"not made, as {reason}: {', '.join(names)}" for reason, names in by_reason.items()]


def _build_decision(decision: Decision) -> JSONValue:
    return {
        "allow": decision.allow,
        "parseInfo": {name: list(pair) for name, pair in decision.parse_info.items()},
        "policy_digest": decision.policy_digest,
        "reference_digest": decision.reference_digest,
    }


def _build_check(check: Check) -> JSONValue:
    return {
        "name": check.name,
        "result": check.result.value,
        "expected": check.expected,
        "found": check.found,
        "remedy": check.remedy,
        "mandatory": check.mandatory,
    }


def _format_instant(instant: datetime | None) -> str | None:
    return None if instant is None else f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
