"""The appraisal of SEV evidence: a pure function of evidence, endorsements, trust roots and acceptance."""

from datetime import datetime

from verdictd.core.result import AppraisalResult
from verdictd.tees.checklist import Checklist
from verdictd.tees.psp.certificate import KeyUsage
from verdictd.tees.sev.acceptance import SEVAcceptance
from verdictd.tees.sev.chain import (
    PlatformKey,
    SEVEndorsements,
    VerifiedASK,
    read_platform_key,
    verify_ask,
    verify_cek,
    verify_issued,
)
from verdictd.tees.sev.claims import build_claims
from verdictd.tees.sev.ecdsa import ECDSA_SHA256, verify_ecdsa_signature
from verdictd.tees.sev.evidence import SEVEvidence, parse_sev_evidence
from verdictd.tees.sev.requirements import REMEDIES, REQUIREMENTS
from verdictd.tees.sev.roots import SEVRoots

TEE = "sev"


def appraise_sev(
    evidence: bytes,
    *,
    endorsements: SEVEndorsements,
    roots: SEVRoots,
    acceptance: SEVAcceptance,
    at: datetime,
) -> AppraisalResult:
    """Appraise SEV evidence. Whatever the bytes, the answer is a result that lists every check of `REQUIREMENTS`.

    What nobody can check: that the evidence belongs to the peer. It is refused for that, unless the operator accepts
    such evidence; the result then says in a check that was not made what that means. What it does not check: that the
    guest is the one expected (reference values, `policy`).

    Args:
        evidence: an untrusted report with its certificates.
        endorsements: raw and untrusted.
        roots: what the operator trusts.
        acceptance: what of a genuine guest is acceptable.
        at: the instant to appraise for; aware. Nothing in this evidence has a time, so it decides nothing.
    """
    if at.tzinfo is None:
        raise ValueError("the instant of an appraisal must be an aware datetime")
    checklist = Checklist(REQUIREMENTS, REMEDIES)
    parsed = checklist.attempt("report.format", lambda: parse_sev_evidence(evidence))
    if parsed is None:
        checklist.skip("the evidence cannot be read", *list(REQUIREMENTS)[1:])
        return AppraisalResult(tee=TEE, checks=checklist.finish(), at=at)
    checklist.passed("report.format", f"device type {parsed.device_type}")
    checklist.require(
        parsed.signature_usage == KeyUsage.PEK and parsed.signature_algorithm == ECDSA_SHA256,
        "report.signer",
        f"usage 0x{parsed.signature_usage:x}, algorithm {parsed.signature_algorithm}",
    )
    ask, pek = _check_chain(parsed, endorsements, roots, checklist)
    _check_owner(parsed, checklist)
    _check_firmware(pek, acceptance, checklist)
    _check_signature(parsed, checklist)
    _check_key_binding(acceptance, checklist)
    _check_debugging(parsed, acceptance, checklist)
    return AppraisalResult(
        tee=TEE,
        checks=checklist.finish(),
        at=at,
        claims=build_claims(parsed, ask, pek),
        sources={} if endorsements.ask_ark is None else {"ask_ark": endorsements.source},
    )


def _check_chain(
    evidence: SEVEvidence, endorsements: SEVEndorsements, roots: SEVRoots, checklist: Checklist
) -> tuple[VerifiedASK | None, PlatformKey | None]:
    ask_ark = endorsements.ask_ark
    if ask_ark is None:
        checklist.failed(
            "ask.chain", "none at hand", "give ASK and ARK of the processor's product, as AMD hands them out"
        )
        checklist.skip("there is no ASK that holds", "cek.chain", "pek.chain")
        return None, None
    ask = checklist.attempt("ask.chain", lambda: verify_ask(ask_ark, roots))
    if ask is None:
        checklist.skip("there is no ASK that holds", "cek.chain", "pek.chain")
        return None, None
    checklist.passed("ask.chain", f"key {ask.certificate.key_id.hex()} under {ask.root.label}")
    cek = checklist.attempt("cek.chain", lambda: verify_cek(evidence.cek, ask))
    if cek is None:
        checklist.skip("there is no CEK that holds", "pek.chain")
        return ask, None
    checklist.passed("cek.chain", "it verifies")
    pek = checklist.attempt("pek.chain", lambda: verify_issued(evidence.pek, KeyUsage.PEK, cek))
    if pek is not None:
        checklist.passed("pek.chain", "it verifies")
    return ask, pek


def _check_owner(evidence: SEVEvidence, checklist: Checklist) -> None:
    """Check the owner's part: whoever owns the platform, the OCA that is sent is the one that took part in its PEK."""

    def verify_oca() -> PlatformKey:
        oca = read_platform_key(evidence.oca, KeyUsage.OCA)
        verify_issued(evidence.oca, KeyUsage.OCA, oca)
        return oca

    oca = checklist.attempt("oca.signature", verify_oca)
    if oca is None:
        checklist.skip("there is no OCA that holds", "pek.owner")
        return
    checklist.passed("oca.signature", "it verifies")
    if checklist.attempt("pek.owner", lambda: verify_issued(evidence.pek, KeyUsage.PEK, oca)) is not None:
        checklist.passed("pek.owner", "it verifies")


def _check_firmware(pek: PlatformKey | None, acceptance: SEVAcceptance, checklist: Checklist) -> None:
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


def _check_signature(evidence: SEVEvidence, checklist: Checklist) -> None:
    """Check the report's signature by the key in its PEK, whoever signed that: one failure hides none of the others."""

    def verify() -> None:
        pek = read_platform_key(evidence.pek, KeyUsage.PEK)
        verify_ecdsa_signature(pek.key, evidence.signature, evidence.signed, "the signature of the report")
        checklist.passed("report.signature", "it verifies")

    checklist.attempt("report.signature", verify)


def _check_key_binding(acceptance: SEVAcceptance, checklist: Checklist) -> None:
    found = "SEV evidence, which is bound to no key: whoever has seen it can present it as its own"
    if TEE in acceptance.accept_unbound_evidence:
        checklist.leave_open("evidence.key_binding", f"{found}; accepted by --accept-unbound-evidence sev")
        return
    checklist.failed(
        "evidence.key_binding",
        found,
        "use SEV-SNP, whose evidence is bound, or accept that anybody may be the peer: --accept-unbound-evidence sev",
    )


def _check_debugging(evidence: SEVEvidence, acceptance: SEVAcceptance, checklist: Checklist) -> None:
    debug = evidence.policy.allows_debugging
    found = f"policy 0x{evidence.policy.value:08x}, " + ("which allows debugging" if debug else "which forbids it")
    if debug and acceptance.allow_debug:
        checklist.passed("guest.debug", f"{found}, accepted by --allow-debug")
        return
    checklist.require(
        not debug, "guest.debug", found, "launch the guest with NODBG in its policy, or accept it with --allow-debug"
    )
