"""The appraisal of SGX evidence: a pure function of evidence, collateral, trust roots, acceptance and time."""

from datetime import datetime

from verdictd.core.result import AppraisalResult
from verdictd.tees.dcap.acceptance import Acceptance
from verdictd.tees.dcap.collateral import Collateral
from verdictd.tees.dcap.context import AppraisalContext
from verdictd.tees.dcap.enclave_report import EnclaveReport
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.platform import appraise_platform, describe_findings
from verdictd.tees.dcap.quote import Quote, parse_quote
from verdictd.tees.dcap.requirements import PLATFORM_REQUIREMENTS
from verdictd.tees.dcap.tcb_level import SGXTCBRule
from verdictd.tees.dcap.trust_roots import TrustRoots
from verdictd.tees.sgx_ecdsa.claims import build_claims

TEE = "sgx_ecdsa"
_RULE = SGXTCBRule()

REQUIREMENTS = {
    "quote.format": "an SGX ECDSA quote of version 3, 4 or 5",
    **PLATFORM_REQUIREMENTS,
    "enclave.debug": "the enclave is not a debug enclave",
}
"""Every check of an SGX appraisal, in the order made, and what it requires."""


def appraise_sgx(
    evidence: bytes,
    *,
    collateral: Collateral,
    roots: TrustRoots,
    acceptance: Acceptance,
    at: datetime,
    memory: FactMemory | None = None,
) -> AppraisalResult:
    """Appraise an SGX quote. Whatever the bytes, the answer is a result that lists every check of `REQUIREMENTS`.

    What it does not check: that the evidence belongs to the peer (its key binding, `ratstls.binding`), and that the
    enclave is the one expected (reference values, `policy`).

    Args:
        evidence: an untrusted quote.
        collateral: raw and untrusted; each item is verified here.
        roots: what the operator trusts; the chains of quote and collateral must end in the same one.
        acceptance: what of a genuine platform is acceptable.
        at: the instant to appraise for; aware.
        memory: remembers facts that never change (signatures hold); the result does not depend on it.
    Spec:
        Intel SGX/TDX DCAP Quote Verification Library; Intel PCS API v4.
    """
    facts = FactMemory() if memory is None else memory
    context = AppraisalContext(roots=roots, acceptance=acceptance, at=at, memory=facts, requirements=REQUIREMENTS)
    quote = context.attempt("quote.format", lambda: parse_quote(evidence))
    if quote is None:
        context.skip("the quote cannot be read", *list(REQUIREMENTS)[1:])
        return AppraisalResult(tee=TEE, checks=context.finish(), at=at)
    return _appraise_quote(quote, collateral, context)


def _appraise_quote(quote: Quote[EnclaveReport], collateral: Collateral, context: AppraisalContext) -> AppraisalResult:
    context.passed("quote.format", f"version {quote.version}")
    findings = appraise_platform(quote, collateral, context, tee_id="SGX", qe_id="QE", rule=_RULE)
    if quote.report.is_debug and context.acceptance.allow_debug:
        context.passed("enclave.debug", "a debug enclave, accepted by --allow-debug")
    else:
        context.require(
            not quote.report.is_debug,
            "enclave.debug",
            "a debug enclave, whose memory its host can read" if quote.report.is_debug else "not a debug enclave",
            "build and sign the enclave for production, or accept it with --allow-debug",
        )
    return describe_findings(TEE, findings, collateral, context, claims=build_claims(quote, findings))
