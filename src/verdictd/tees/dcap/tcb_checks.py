"""Checks of a genuine platform's TCB against what the operator accepts."""

from collections.abc import Mapping
from typing import TypeAlias

from verdictd.tees.dcap.acceptance import TCBStatus
from verdictd.tees.dcap.context import AppraisalContext
from verdictd.tees.dcap.endorsements import VerifiedCRL, VerifiedQEIdentity, VerifiedTCBInfo
from verdictd.tees.dcap.pck import VerifiedPCK
from verdictd.tees.dcap.qe_identity import QETCBLevel
from verdictd.tees.dcap.tcb_info import TCBLevel
from verdictd.tees.dcap.tcb_level import ReachedTCB, TCBRule
from verdictd.tees.timed_checklist import format_instant

Endorsement: TypeAlias = VerifiedTCBInfo | VerifiedQEIdentity | VerifiedCRL


def check_tcb(
    pck: VerifiedPCK | None,
    tcb_info: VerifiedTCBInfo | None,
    qe_level: QETCBLevel | None,
    rule: TCBRule,
    context: AppraisalContext,
) -> tuple[ReachedTCB | None, TCBStatus | None]:
    """Find the platform's TCB level and check that its status, converged with the QE's, is accepted."""
    if pck is None or tcb_info is None:
        context.skip("there is no TCB info that holds for this platform", "tcb.level", "tcb.status")
        return None, None
    reached = rule.find(tcb_info.info, pck.platform)
    if reached is None:
        shortfall = rule.describe_shortfall(tcb_info.info, pck.platform)
        context.failed(
            "tcb.level", f"none; {shortfall}", "update the platform's BIOS and microcode; no setting accepts it"
        )
        context.skip("the platform reaches no TCB level", "tcb.status")
        return None, None
    level = reached.level
    context.passed("tcb.level", f"the level of {level.date.date()}, {level.status}")
    if qe_level is None:
        context.skip("the quoting enclave reaches no TCB level", "tcb.status")
        return reached, None
    status = rule.converge(reached, qe_level.status)
    if status is not None and status in context.acceptance.tcb_statuses:
        context.passed("tcb.status", status.value)
    else:
        _refuse_status(status, reached, qe_level, rule.describe_shortfall(tcb_info.info, pck.platform), context)
    return reached, status


def check_advisories(
    tcb_info: VerifiedTCBInfo | None,
    level: TCBLevel | None,
    qe_level: QETCBLevel | None,
    advisory_ids: tuple[str, ...],
    context: AppraisalContext,
) -> None:
    """Check that no advisory which the operator denies applies to the platform or its quoting enclave.

    Where some are denied, TCB info must be of the version that names advisories: silence would let all of them pass.
    """
    if tcb_info is None or level is None or qe_level is None:
        context.skip("without TCB levels it is not known which advisories apply", "tcb.advisories")
        return
    denied = context.acceptance.denied_advisories.intersection(advisory_ids)
    if context.acceptance.denied_advisories and not denied and not tcb_info.info.names_advisories:
        context.failed(
            "tcb.advisories",
            f"not known: TCB info of version {tcb_info.info.version} names no advisories",
            "fetch TCB info of version 3 (API v4, --pccs-url), or no longer deny advisories with --deny-advisory",
        )
        return
    found = ", ".join(sorted(denied)) if denied else f"{len(advisory_ids)} apply, none of them denied"
    context.require(
        not denied, "tcb.advisories", found, "update the platform, or no longer deny them with --deny-advisory"
    )


def check_freshness(
    tcb_info: VerifiedTCBInfo | None,
    qe_identity: VerifiedQEIdentity | None,
    items: Mapping[str, Endorsement | None],
    context: AppraisalContext,
) -> int | None:
    """Check the evaluation data number, and the age of all collateral: `items`, by what to call each.

    Returns:
        The lower evaluation data number of TCB info and QE identity; ``None`` where one of them does not hold.
    """
    number = None
    if tcb_info is None or qe_identity is None:
        context.skip("TCB info or QE identity does not hold", "tcb.evaluation_data_number")
    else:
        number = min(tcb_info.info.evaluation_data_number, qe_identity.identity.evaluation_data_number)
        required = context.acceptance.min_evaluation_data_number
        context.require(
            number >= required,
            "tcb.evaluation_data_number",
            f"{number}, required at least {required}",
            "fetch newer collateral, or lower --min-evaluation-data-number",
        )
    _check_age(items, context)
    return number


def _check_age(items: Mapping[str, Endorsement | None], context: AppraisalContext) -> None:
    limit = context.acceptance.max_collateral_age
    if limit is None:
        context.passed("collateral.age", "no limit is set but each item's expiry")
        return
    issue_dates = {name: item.issue_date for name, item in items.items() if item is not None}
    if not issue_dates:
        context.skip("no collateral holds", "collateral.age")
        return
    name, oldest = min(issue_dates.items(), key=lambda item: item[1])
    context.require(
        context.at - oldest <= limit,
        "collateral.age",
        f"{name} was issued at {format_instant(oldest)}, the limit is {limit.days} days",
        "fetch newer collateral, or raise --max-collateral-age",
    )


def _refuse_status(
    status: TCBStatus | None, reached: ReachedTCB, qe_level: QETCBLevel, shortfall: str, context: AppraisalContext
) -> None:
    """Say what the status is, what made it so, and which flag would accept it."""
    level = reached.level
    parts = [f"platform {level.status} since {level.date.date()}"]
    parts += [each for each in (shortfall, reached.details) if each]
    if qe_level.status is not TCBStatus.UP_TO_DATE:
        parts.append(f"quoting enclave {qe_level.status} since {qe_level.date.date()}")
    advisory_ids = {*level.advisory_ids, *reached.advisory_ids, *qe_level.advisory_ids}
    if advisory_ids:
        parts.append(f"advisories {', '.join(sorted(advisory_ids))}")
    if status is None:
        context.failed("tcb.status", f"no status Intel defines ({'; '.join(parts)})", "update the platform")
        return
    accepted = ",".join(sorted({*context.acceptance.tcb_statuses, status}))
    context.failed(
        "tcb.status",
        f"{status} ({'; '.join(parts)})",
        f"update the platform's BIOS, microcode and DCAP software, or accept it with --accept-tcb-status {accepted}",
    )
