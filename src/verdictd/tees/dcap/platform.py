"""The appraisal of the platform behind a quote, as SGX and TDX share it: every check, in order.

A step whose input is missing logs its checks as not made, so that one failure hides none of the others.
"""

from collections.abc import Mapping
from typing import NamedTuple

from verdictd.core.result import AppraisalResult, JSONValue
from verdictd.tees.dcap.acceptance import TCBStatus
from verdictd.tees.dcap.collateral import Collateral
from verdictd.tees.dcap.context import AppraisalContext
from verdictd.tees.dcap.document_checks import check_qe_identity, check_tcb_info
from verdictd.tees.dcap.endorsements import VerifiedQEIdentity, VerifiedTCBInfo
from verdictd.tees.dcap.pck import VerifiedPCK
from verdictd.tees.dcap.pck_checks import check_pck, check_pck_revocation, check_root_ca_crl
from verdictd.tees.dcap.qe_identity import QETCBLevel
from verdictd.tees.dcap.quote import Quote
from verdictd.tees.dcap.quote_checks import check_qe, check_qe_report, check_quote_signature
from verdictd.tees.dcap.tcb_checks import check_advisories, check_freshness, check_tcb
from verdictd.tees.dcap.tcb_info import TCBLevel
from verdictd.tees.dcap.tcb_level import TCBRule


class PlatformFindings(NamedTuple):
    """What the steps verified; ``None`` where a check before it failed.

    Trust: each part holds by itself. The platform is acceptable only if no check in the log refuses.

    Attributes:
        pck: the PCK certificate.
        level, qe_level: the TCB levels that the platform and its quoting enclave reach.
        status: their converged status.
        advisory_ids: what applies at those levels; sorted, once each.
        evaluation_data_number: the lower one of TCB info and QE identity.
    """

    pck: VerifiedPCK | None
    tcb_info: VerifiedTCBInfo | None
    qe_identity: VerifiedQEIdentity | None
    level: TCBLevel | None
    qe_level: QETCBLevel | None
    status: TCBStatus | None
    advisory_ids: tuple[str, ...]
    evaluation_data_number: int | None


def appraise_platform(
    quote: Quote[object],
    collateral: Collateral,
    context: AppraisalContext,
    *,
    tee_id: str,
    qe_id: str,
    rule: TCBRule,
) -> PlatformFindings:
    """Make every check of `requirements.PLATFORM_REQUIREMENTS`, each exactly once.

    Args:
        quote: parsed, unauthenticated.
        collateral: raw, untrusted.
        context: settings, instant and log.
        tee_id: what TCB info must be for, ``SGX`` or ``TDX``.
        qe_id: what QE identity must be for, ``QE`` or ``TD_QE``.
        rule: how the TEE's TCB is compared with levels.
    """
    pck = check_pck(quote, context)
    root_crl = check_root_ca_crl(collateral, pck, context)
    pck_crl = check_pck_revocation(collateral, pck, root_crl, context)
    tcb_info = check_tcb_info(collateral, pck, root_crl, context, tee_id=tee_id)
    qe_identity = check_qe_identity(collateral, pck, root_crl, context, qe_id=qe_id)
    check_qe_report(quote, pck, context)
    qe_level = check_qe(quote, qe_identity, context)
    check_quote_signature(quote, pck, context)
    reached, status = check_tcb(pck, tcb_info, qe_level, rule, context)
    level = None if reached is None else reached.level
    known = (level, reached, qe_level)
    advisory_ids = tuple(sorted({advisory for found in known if found is not None for advisory in found.advisory_ids}))
    check_advisories(tcb_info, level, qe_level, advisory_ids, context)
    items = {"TCB info": tcb_info, "QE identity": qe_identity, "root CA CRL": root_crl, "PCK CRL": pck_crl}
    return PlatformFindings(
        pck=pck,
        tcb_info=tcb_info,
        qe_identity=qe_identity,
        level=level,
        qe_level=qe_level,
        status=status,
        advisory_ids=advisory_ids,
        evaluation_data_number=check_freshness(tcb_info, qe_identity, items, context),
    )


def describe_findings(
    tee: str,
    findings: PlatformFindings,
    collateral: Collateral,
    context: AppraisalContext,
    *,
    claims: Mapping[str, JSONValue],
) -> AppraisalResult:
    """Put the result of an appraisal together, all checks of which have been made."""
    return AppraisalResult(
        tee=tee,
        checks=context.finish(),
        at=context.at,
        tcb_status=findings.status,
        advisory_ids=findings.advisory_ids,
        claims=claims,
        tcb_date=findings.level.date if findings.level else None,
        evaluation_data_number=findings.evaluation_data_number,
        earliest_expiry=min(context.expiries) if context.expiries else None,
        sources=_name_sources(collateral),
    )


def _name_sources(collateral: Collateral) -> dict[str, str]:
    items = {
        "tcb_info": collateral.tcb_info,
        "qe_identity": collateral.qe_identity,
        "pck_crl": collateral.pck_crl,
        "root_ca_crl": collateral.root_ca_crl,
    }
    return {name: item.source for name, item in items.items() if item is not None}
