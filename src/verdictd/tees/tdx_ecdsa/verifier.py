"""The appraisal of TDX evidence: a pure function of evidence, collateral, trust roots, acceptance and time."""

from datetime import datetime
from typing import Final

from verdictd.core.result import AppraisalResult
from verdictd.tees.dcap.acceptance import Acceptance
from verdictd.tees.dcap.collateral import Collateral
from verdictd.tees.dcap.context import AppraisalContext
from verdictd.tees.dcap.endorsements import VerifiedTCBInfo
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.platform import appraise_platform, describe_findings
from verdictd.tees.dcap.quote import Quote
from verdictd.tees.dcap.requirements import PLATFORM_REQUIREMENTS
from verdictd.tees.dcap.trust_roots import TrustRoots
from verdictd.tees.tdx_ecdsa.claims import build_claims
from verdictd.tees.tdx_ecdsa.replay import EVENT_LOG_REQUIREMENTS, check_event_log
from verdictd.tees.tdx_ecdsa.tcb_rule import TDXTCBRule, find_module
from verdictd.tees.tdx_ecdsa.td_report import TDReport, parse_td_quote

TEE: Final = "tdx_ecdsa"

REQUIREMENTS: Final = {
    "quote.format": "a TDX ECDSA quote of version 4 or 5",
    **PLATFORM_REQUIREMENTS,
    "tdx_module.mr_signer": "the TDX module's signer is the endorsed one",
    "tdx_module.attributes": "the TDX module's attributes are all zero, and the endorsed ones",
    "td.debug": "the TD is not under debug",
    **EVENT_LOG_REQUIREMENTS,
}
"""Every check of a TDX appraisal, in the order made, and what it requires."""

_MODULE_CHECKS: Final = ("tdx_module.mr_signer", "tdx_module.attributes")
_OF_THE_LOG: Final = frozenset(EVENT_LOG_REQUIREMENTS)
_OTHER_MODULE: Final = "let the platform run a TDX module of Intel's; no setting accepts another"


def appraise_tdx(
    evidence: bytes,
    *,
    collateral: Collateral,
    roots: TrustRoots,
    acceptance: Acceptance,
    at: datetime,
    memory: FactMemory | None = None,
    event_log: bytes | None = None,
) -> AppraisalResult:
    """Appraise a TDX quote. Whatever the bytes, the answer is a result that lists every check of `REQUIREMENTS`.

    What it does not check: that the evidence belongs to the peer (its key binding, `ratstls.binding`), and that the TD
    is the one expected (reference values, `policy`): MRTD, RTMRs, configuration, owner, and attributes but for debug.

    Args:
        evidence: an untrusted quote.
        collateral: raw and untrusted, with TCB info and QE identity of TDX; each item is verified here.
        roots: what the operator trusts; the chains of quote and collateral must end in the same one.
        acceptance: what of a genuine platform is acceptable.
        at: the instant to appraise for; aware.
        memory: remembers facts that never change (signatures hold); the result does not depend on it.
        event_log: an untrusted log of what was measured into the TD's registers, as the peer sent it. One that is given
            has to give RTMR0 to RTMR2 of the quote; without one nothing is said of them but their values.
    Spec:
        Intel SGX/TDX DCAP Quote Verification Library; Intel PCS API v4.
    """
    facts = FactMemory() if memory is None else memory
    context = AppraisalContext(roots=roots, acceptance=acceptance, at=at, memory=facts, requirements=REQUIREMENTS)
    quote = context.attempt("quote.format", lambda: parse_td_quote(evidence))
    if quote is None:
        context.skip("the quote cannot be read", *(name for name in list(REQUIREMENTS)[1:] if name not in _OF_THE_LOG))
        check_event_log(event_log, None, context)
        return AppraisalResult(tee=TEE, checks=context.finish(), at=at)
    return _appraise_quote(quote, collateral, event_log, context)


def _appraise_quote(
    quote: Quote[TDReport], collateral: Collateral, event_log: bytes | None, context: AppraisalContext
) -> AppraisalResult:
    report = quote.report
    kind = "1.0" if report.tee_tcb_svn2 is None else "1.5"
    context.passed("quote.format", f"version {quote.version}, TDX {kind}")
    findings = appraise_platform(quote, collateral, context, tee_id="TDX", qe_id="TD_QE", rule=TDXTCBRule(report))
    _check_module(report, findings.tcb_info, context)
    _check_debug(report, context)
    log = check_event_log(event_log, report, context)
    return describe_findings(TEE, findings, collateral, context, claims=build_claims(quote, findings, log))


def _check_module(report: TDReport, tcb_info: VerifiedTCBInfo | None, context: AppraisalContext) -> None:
    """Check that the TDX module is one that Intel endorses. Its level counts with the TCB's."""
    module = None if tcb_info is None else find_module(tcb_info.info, report.tee_tcb_svn)
    if module is None:
        why = "there is no TCB info that holds for this platform"
        version = report.tee_tcb_svn[1]
        context.skip(why if tcb_info is None else f"no TDX module of version {version} is endorsed", *_MODULE_CHECKS)
        return
    found, endorsed = report.mr_signer_seam.hex(), module.mr_signer.hex()
    context.require(
        found == endorsed,
        "tdx_module.mr_signer",
        found if found == endorsed else f"{found}, endorsed is {endorsed}",
        _OTHER_MODULE,
    )
    attributes, expected = report.seam_attributes, module.attributes.hex()
    context.require(
        not any(attributes) and attributes.hex() == expected,
        "tdx_module.attributes",
        f"{attributes.hex()}, endorsed is {expected}" if attributes.hex() != expected else attributes.hex(),
        _OTHER_MODULE,
    )


def _check_debug(report: TDReport, context: AppraisalContext) -> None:
    if report.is_debug and context.acceptance.allow_debug:
        context.passed("td.debug", "under debug, accepted by --allow-debug")
        return
    context.require(
        not report.is_debug,
        "td.debug",
        f"under debug (attributes {report.td_attributes.hex()}): its host can read its memory"
        if report.is_debug
        else "not under debug",
        "launch the TD without debug, or accept it with --allow-debug",
    )
