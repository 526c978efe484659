"""`verdict appraise --attestation ID`: judge an archived attestation again, with all that it was judged by then."""

import argparse
import json
from collections.abc import Iterator
from datetime import datetime
from typing import TextIO

from verdictd.appraisal.report import build_report, describe_result
from verdictd.archive.replay import CheckDifference, Replay, compare, judge_again, open_replay
from verdictd.cli.verdict.archive_client import fetch_attestation
from verdictd.core.checks import CheckResult
from verdictd.core.errors import ConfigError
from verdictd.core.result import AppraisalResult
from verdictd.policy.service import evaluate_once
from verdictd.tees.timed_checklist import format_instant

SCHEMA = "verdictd.replay/1"
_ACCEPTED, _REFUSED = 0, 1
_OF_THEN = (
    "policy",
    "reference",
    "accept_tcb_status",
    "allow_debug",
    "allow_expired_collateral",
    "deny_advisory",
    "min_evaluation_data_number",
    "max_collateral_age",
    "trust_root",
    "collateral",
    "pccs_url",
    "alibaba_region",
    "alibaba_vpc",
)
"""Flags of `verdict appraise` for which the archive has the value of then."""


def run_archived(arguments: argparse.Namespace, out: TextIO, at: datetime | None) -> int:
    """Judge an archived attestation again and say whether the verdict is the one that is recorded.

    Args:
        arguments: of `verdict appraise`.
        out: for the result.
        at: the instant to judge it for; ``None`` for the one it was judged for.
    Returns:
        0 where it is accepted, 1 where it is refused, whatever is recorded.
    Raises:
        VerdictdError: it is not archived, or what is archived cannot be used.
    """
    given = [f"--{name.replace('_', '-')}" for name in _OF_THEN if getattr(arguments, name) is not None]
    if given:
        raise ConfigError(
            f"{given[0]} is given beside --attestation, which is judged with the settings, the collateral and the"
            " policy of then",
            remedy="to judge it with others, take its evidence from the archive, or use verdict policy try",
        )
    replay = open_replay(fetch_attestation(arguments.client_api, arguments.attestation))
    result, decision = judge_again(replay, at or replay.entry.at, evaluate_once)
    differences = compare(replay.recorded, result)
    if arguments.json:
        out.write(json.dumps(_build(replay, result, differences, build_report(result, decision)), indent=4) + "\n")
    else:
        out.writelines(f"{line}\n" for line in _describe(replay, result, differences))
    return _ACCEPTED if result.allowed else _REFUSED


def _describe(replay: Replay, result: AppraisalResult, differences: tuple[CheckDifference, ...]) -> Iterator[str]:
    entry = replay.entry
    for root in replay.roots.roots:
        kind = "" if root.is_intel else ", NOT Intel's"
        yield f"trusted then: {root.label} (sha256 {root.fingerprint}{kind})"
    yield describe_result(result)
    yield ""
    yield f"attestation {entry.attestation_id} of {entry.peer}, audit record {entry.number}"
    yield f"recorded: {_verdict(allowed=entry.is_allowed)}, judged for {format_instant(entry.at)}"
    yield f"again:    {_verdict(allowed=result.allowed)}, judged for {format_instant(result.at)}"
    found = {check.name: check.found for check in result.checks}
    for difference in differences:
        then, now = _name(difference.recorded), _name(difference.found)
        why = f" ({found[difference.name]})" if difference.name in found else ""
        yield f"DIFFERENT: {difference.name}: recorded {then}, again {now}{why}"
    if result.allowed is not entry.is_allowed:
        yield "DIFFERENT: the verdict is not the one that is recorded"
    else:
        yield "the verdict is the one that is recorded"


def _build(
    replay: Replay, result: AppraisalResult, differences: tuple[CheckDifference, ...], report: object
) -> dict[str, object]:
    entry = replay.entry
    return {
        "schema": SCHEMA,
        "attestation": entry.attestation_id,
        "number": entry.number,
        "peer": entry.peer,
        "judged_for": entry.at.isoformat(),
        "recorded_verdict": "allow" if entry.is_allowed else "deny",
        "same_verdict": result.allowed is entry.is_allowed,
        "trust_roots": [{"label": root.label, "sha256": root.fingerprint} for root in replay.roots.roots],
        "differences": [
            {
                "name": difference.name,
                "recorded": None if difference.recorded is None else difference.recorded.value,
                "found": None if difference.found is None else difference.found.value,
            }
            for difference in differences
        ],
        "appraisal": report,
    }


def _verdict(*, allowed: bool) -> str:
    return "ALLOWED" if allowed else "REFUSED"


def _name(result: CheckResult | None) -> str:
    return "no such check" if result is None else result.value
