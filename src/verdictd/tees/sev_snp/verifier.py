"""The appraisal of SEV-SNP evidence: a pure function of evidence, endorsements, trust roots, acceptance and time."""

from datetime import datetime

from verdictd.core.result import AppraisalResult
from verdictd.tees.amd.roots import AMDRoots
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.sev_snp.acceptance import SNPAcceptance
from verdictd.tees.sev_snp.claims import build_claims
from verdictd.tees.sev_snp.context import SNPContext
from verdictd.tees.sev_snp.endorsements import SelectedEndorsements, SNPEndorsements, select_endorsements
from verdictd.tees.sev_snp.evidence import parse_evidence
from verdictd.tees.sev_snp.guest_checks import check_guest, check_signing_key
from verdictd.tees.sev_snp.key_checks import check_chain, check_key, check_revocation, check_signature
from verdictd.tees.sev_snp.report import SNPReport
from verdictd.tees.sev_snp.requirements import REQUIREMENTS
from verdictd.tees.sev_snp.tcb_checks import check_tcbs

TEE = "sev_snp"


def appraise_snp(
    evidence: bytes,
    *,
    endorsements: SNPEndorsements,
    roots: AMDRoots,
    acceptance: SNPAcceptance,
    at: datetime,
    memory: FactMemory | None = None,
) -> AppraisalResult:
    """Appraise an SEV-SNP report. Whatever the bytes, the answer is a result that lists every check of `REQUIREMENTS`.

    What it does not check: that the evidence belongs to the peer (its key binding, `ratstls.binding`), and that the
    guest is the one expected (reference values, `policy`).

    Args:
        evidence: an untrusted report, alone or with the certificate table of an extended guest request.
        endorsements: raw and untrusted; each item is verified here. What is not at hand is taken from the evidence.
        roots: what the operator trusts.
        acceptance: what of a genuine guest is acceptable.
        at: the instant to appraise for; aware.
        memory: remembers facts that never change (signatures hold); the result does not depend on it.
    Spec:
        AMD 56860, SEV Secure Nested Paging Firmware ABI; 57230, VCEK Certificate and KDS Interface Specification.
    """
    facts = FactMemory() if memory is None else memory
    context = SNPContext(roots=roots, acceptance=acceptance, at=at, memory=facts)
    parsed = context.attempt("report.format", lambda: parse_evidence(evidence))
    if parsed is None:
        context.skip("the report cannot be read", *list(REQUIREMENTS)[1:])
        return AppraisalResult(tee=TEE, checks=context.finish(), at=at)
    return _appraise_report(parsed.report, select_endorsements(parsed, endorsements), context)


def _appraise_report(report: SNPReport, selected: SelectedEndorsements, context: SNPContext) -> AppraisalResult:
    context.passed("report.format", f"version {report.version}")
    check_signing_key(report, context)
    chain = check_chain(report, selected.chain, context)
    check_revocation(selected.crl, chain, context)
    key = check_key(report, selected.key_certificate, chain, context)
    check_signature(report, key, context)
    check_guest(report, context)
    product = report.product or (chain.product if chain else None)
    tcbs = check_tcbs(report, product, context)
    return AppraisalResult(
        tee=TEE,
        checks=context.finish(),
        at=context.at,
        claims=build_claims(report, product, tcbs, key),
        earliest_expiry=min(context.expiries) if context.expiries else None,
        sources=_name_sources(selected),
    )


def _name_sources(selected: SelectedEndorsements) -> dict[str, str]:
    items = {
        "key_certificate": selected.key_certificate,
        "chain": selected.chain[0] if selected.chain else None,
        "crl": selected.crl,
    }
    return {name: item.source for name, item in items.items() if item is not None}
