"""The appraisal of CSV evidence: a pure function of evidence, endorsements, trust roots and acceptance."""

from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, hmac

from verdictd.core.result import AppraisalResult
from verdictd.tees.checklist import Checklist
from verdictd.tees.csv.acceptance import CSVAcceptance
from verdictd.tees.csv.chain import (
    CSVEndorsements,
    VerifiedHSK,
    VerifiedKey,
    read_platform_key,
    verify_cek,
    verify_hsk,
    verify_pek,
)
from verdictd.tees.csv.claims import build_claims
from verdictd.tees.csv.evidence import CSVEvidence, parse_csv_evidence
from verdictd.tees.csv.report import CSVReport
from verdictd.tees.csv.requirements import REMEDIES, REQUIREMENTS
from verdictd.tees.csv.roots import HygonRoots
from verdictd.tees.csv.sm2_fields import SM2_SIGNING, read_signature
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.psp.certificate import KeyUsage
from verdictd.tees.sm2.verification import verify_sm2_signature

TEE = "csv"


def appraise_csv(
    evidence: bytes,
    *,
    endorsements: CSVEndorsements,
    roots: HygonRoots,
    acceptance: CSVAcceptance,
    at: datetime,
    memory: FactMemory | None = None,
) -> AppraisalResult:
    """Appraise CSV evidence. Whatever the bytes, the answer is a result that lists every check of `REQUIREMENTS`.

    What it does not check: that the evidence belongs to the peer (its key binding, `ratstls.binding`), and that the
    guest is the one expected (reference values, `policy`). Without the latter the former two mean nothing, and neither
    does the guest's policy: see `CSVReport.anonce`.

    Args:
        evidence: an untrusted report, with HSK and CEK or without.
        endorsements: raw and untrusted; used where the evidence brings no HSK and CEK of its own.
        roots: what the operator trusts.
        acceptance: what of a genuine guest is acceptable.
        at: the instant to appraise for; aware. Nothing in this evidence has a time, so it decides nothing.
        memory: remembers facts that never change (signatures hold); the result does not depend on it.
    """
    if at.tzinfo is None:
        raise ValueError("the instant of an appraisal must be an aware datetime")
    checklist = Checklist(REQUIREMENTS, REMEDIES)
    parsed = checklist.attempt("report.format", lambda: parse_csv_evidence(evidence))
    if parsed is None:
        checklist.skip("the report cannot be read", *list(REQUIREMENTS)[1:])
        return AppraisalResult(tee=TEE, checks=checklist.finish(), at=at)
    report = parsed.report
    checklist.passed("report.format", "a report alone" if parsed.hsk_cek is None else "a report with HSK and CEK")
    _check_signer(report, checklist)
    facts = FactMemory() if memory is None else memory
    hsk, cek, pek = _check_chain(parsed, endorsements, roots, checklist, facts)
    _check_firmware(pek, acceptance, checklist)
    _check_signature(report, checklist)
    _check_hmac(report, checklist)
    _check_mask(report, checklist)
    _check_debugging(report, acceptance, checklist)
    return AppraisalResult(
        tee=TEE,
        checks=checklist.finish(),
        at=at,
        claims=build_claims(report, hsk, cek, pek),
        sources=_name_sources(parsed, endorsements),
    )


def _name_sources(parsed: CSVEvidence, endorsements: CSVEndorsements) -> dict[str, str]:
    if parsed.hsk_cek is not None:
        return {"hsk_cek": "evidence"}
    return {} if endorsements.hsk_cek is None else {"hsk_cek": endorsements.source}


def _check_signer(report: CSVReport, checklist: Checklist) -> None:
    usage, algorithm = report.signature_usage, report.signature_algorithm
    checklist.require(
        usage == KeyUsage.PEK and algorithm == SM2_SIGNING,
        "report.signer",
        f"usage 0x{usage:x}, algorithm {algorithm}",
    )


def _check_chain(
    parsed: CSVEvidence,
    endorsements: CSVEndorsements,
    roots: HygonRoots,
    checklist: Checklist,
    memory: FactMemory,
) -> tuple[VerifiedHSK | None, VerifiedKey | None, VerifiedKey | None]:
    hsk_cek = endorsements.hsk_cek if parsed.hsk_cek is None else parsed.hsk_cek
    if hsk_cek is None:
        checklist.failed(
            "hsk.chain",
            "none at hand",
            "give HSK and CEK of the chip, as Hygon hands them out, or let the attester send them with the report",
        )
        checklist.skip("there is no HSK that holds", "cek.chain", "pek.chain")
        return None, None, None
    hsk = checklist.attempt("hsk.chain", lambda: verify_hsk(hsk_cek, roots, memory))
    if hsk is None:
        checklist.skip("there is no HSK that holds", "cek.chain", "pek.chain")
        return None, None, None
    checklist.passed("hsk.chain", f"key {hsk.certificate.key_id.hex()} under {hsk.root.label}")
    cek = checklist.attempt("cek.chain", lambda: verify_cek(hsk_cek, hsk, memory))
    if cek is None:
        checklist.skip("there is no CEK that holds", "pek.chain")
        return hsk, None, None
    checklist.passed("cek.chain", f"version {cek.certificate.version}")
    pek = checklist.attempt("pek.chain", lambda: verify_pek(parsed.report.pek, cek, memory))
    if pek is not None:
        checklist.passed("pek.chain", f"version {pek.certificate.version}")
    return hsk, cek, pek


def _check_firmware(pek: VerifiedKey | None, acceptance: CSVAcceptance, checklist: Checklist) -> None:
    if pek is None:
        checklist.skip("there is no PEK that holds", "pek.firmware")
        return
    found, minimum = pek.certificate.firmware, acceptance.min_firmware
    checklist.require(
        found >= minimum,
        "pek.firmware",
        f"API {found[0]}.{found[1]}",
        f"update the platform's firmware to API {minimum[0]}.{minimum[1]}, or accept an older one",
    )


def _check_signature(report: CSVReport, checklist: Checklist) -> None:
    """Check the report's signature by the key in its PEK, whoever signed that: one failure hides none of the others."""

    def verify() -> None:
        pek = read_platform_key(report.pek, KeyUsage.PEK)
        signature = read_signature(report.signature, "the signature of the report")
        verify_sm2_signature(pek.key, signature, report.signed, "the signature of the report")
        checklist.passed("report.signature", "it verifies")

    checklist.attempt("report.signature", verify)


def _check_hmac(report: CSVReport, checklist: Checklist) -> None:
    """Check that PEK and chip id are as the firmware wrote them: against accidents, since the key is in the report."""
    if not any(report.reserved):
        checklist.leave_open("report.hmac", "the attester put zeros in place of the reserved bytes")
        return
    code = hmac.HMAC(report.mnonce, hashes.SM3())
    code.update(report.masked_signer)
    try:
        code.verify(report.hmac)
    except InvalidSignature:
        checklist.failed("report.hmac", "another")
    else:
        checklist.passed("report.hmac", "it holds")


def _check_mask(report: CSVReport, checklist: Checklist) -> None:
    checklist.leave_open(
        "report.anonce",
        f"the mask {report.anonce.hex()} is not signed: only a measure that is compared makes the other fields certain",
    )


def _check_debugging(report: CSVReport, acceptance: CSVAcceptance, checklist: Checklist) -> None:
    debug = report.policy.allows_debugging
    found = f"policy 0x{report.policy.value:08x}, " + ("which allows debugging" if debug else "which forbids it")
    if debug and acceptance.allow_debug:
        checklist.passed("guest.debug", f"{found}, accepted by --allow-debug")
        return
    checklist.require(
        not debug, "guest.debug", found, "launch the guest with NODBG in its policy, or accept it with --allow-debug"
    )
