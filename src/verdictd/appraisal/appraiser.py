"""The path from a peer's certificate, or a bare quote, to an Attestation Result.

Order: the certificate by itself, the collateral that its evidence asks for, the evidence, the binding of the two. All
checks are made and listed whatever becomes of the earlier ones. Policy comes after, in `policy_step`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, NamedTuple

from verdictd.appraisal.verifiers import JUDGED_KINDS, VerifierName
from verdictd.collateral.found import FoundCollateral
from verdictd.core.checks import Check, CheckResult
from verdictd.core.errors import VerdictdError
from verdictd.core.result import AppraisalResult
from verdictd.ratstls.binding import check_binding, check_certificate, check_claims
from verdictd.ratstls.certificate import RATSTLSCertificate, parse_certificate
from verdictd.tees.dcap.acceptance import Acceptance
from verdictd.tees.dcap.collateral import Collateral
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.pck import PCKCAType, verify_pck_chain
from verdictd.tees.dcap.quote import CertificationDataType, parse_quote
from verdictd.tees.dcap.requirements import NONE_AT_HAND
from verdictd.tees.dcap.trust_roots import TrustRoots
from verdictd.tees.sgx_ecdsa.verifier import appraise_sgx

NO_TEE: Literal["none"] = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """Which collateral a genuine platform needs.

    Attributes:
        root: fingerprint of the trusted root in which its PCK chain ends (SHA-256, lower-case hex).
        fmspc: its family, 6 bytes.
        pck_ca: which CA issued its PCK certificate.
    """

    root: str
    fmspc: bytes
    pck_ca: PCKCAType


FindCollateral = Callable[[Platform, Collateral | None, datetime], FoundCollateral]
"""Finds collateral for a platform at an instant, given what the peer itself brought along (untrusted, may be None)."""


class CollateralWait(NamedTuple):
    """When collateral was looked for: so many seconds after the appraisal began, and for so long."""

    after_s: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AppraisedCertificate:
    """A certificate's appraisal together with what it was made of, for whoever keeps that.

    Attributes:
        result: the Attestation Result.
        evidence: the evidence that was judged, untrusted; empty where none was.
        collateral: what it was judged with; empty where none was asked for.
        collateral_wait: how long that took to be found; ``None`` where none was asked for.
    """

    result: AppraisalResult
    evidence: bytes = b""
    collateral: Collateral = field(default_factory=Collateral)
    collateral_wait: CollateralWait | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Appraiser:
    """Judges evidence with one set of trust roots and one acceptance. Safe to share between threads.

    Attributes:
        roots: what the operator trusts.
        acceptance: what of a genuine platform is acceptable.
        find_collateral: may do I/O, and is asked only for platforms whose PCK chain holds.
        memory: facts about signatures, kept between appraisals.
    """

    roots: TrustRoots
    acceptance: Acceptance
    find_collateral: FindCollateral
    memory: FactMemory = field(default_factory=FactMemory)

    def appraise_quote(self, quote: bytes, at: datetime) -> AppraisalResult:
        """Appraise a bare SGX quote. That it belongs to any particular peer is not checked, and listed as not made."""
        result = self._appraise_sgx(quote, None, at, time.monotonic()).result
        return result.with_checks(
            Check(
                "certificate.report_data",
                CheckResult.NOT_MADE,
                "evidence made for the peer's key",
                "this is a bare quote, not a certificate",
                mandatory=False,
            )
        )

    def appraise_certificate(self, data: bytes, verifier: VerifierName, at: datetime) -> AppraisalResult:
        """Appraise a RATS-TLS certificate and the evidence in it with the verifier named.

        Possession of the certificate's key is not proved here; a TLS handshake does that.

        Args:
            data: an untrusted certificate in DER or PEM.
            verifier: which verifier was named; with `VerifierName.NULL` the evidence is not judged at all.
            at: the instant to appraise for.
        """
        return self.appraise_peer(data, verifier, at).result

    def appraise_peer(self, data: bytes, verifier: VerifierName, at: datetime) -> AppraisedCertificate:
        """Do as `appraise_certificate`, and hand over what the evidence was judged with as well."""
        started = time.monotonic()
        try:
            certificate = parse_certificate(data)
        except VerdictdError as error:
            result = AppraisalResult(tee=NO_TEE, at=at, checks=(_failed("certificate.format", error),))
            return AppraisedCertificate(result=result)
        own_checks = check_certificate(certificate, at)
        if verifier is VerifierName.NULL:
            return AppraisedCertificate(result=self._pass_unjudged(certificate, own_checks, at))
        kind = JUDGED_KINDS[verifier]
        if certificate.evidence is None or certificate.evidence.kind is not kind:
            found = "none" if certificate.evidence is None else certificate.evidence.kind.value
            check = Check(
                "evidence.kind",
                CheckResult.FAIL,
                f"evidence of kind {kind}, as the verifier {verifier} was named",
                found,
                "start the attester with -a sgx_ecdsa on SGX hardware",
            )
            return AppraisedCertificate(result=AppraisalResult(tee=found, at=at, checks=(*own_checks, check)))
        evidence, claims = certificate.evidence.evidence, certificate.evidence.claims
        appraised = self._appraise_sgx(evidence, certificate.endorsements, at, started)
        result = appraised.result
        report_data = bytes.fromhex(str(result.claims.get("report_data", "")))
        result = replace(
            result,
            checks=own_checks + result.checks + check_binding(certificate, report_data),
            custom_claims={} if claims is None else claims.custom,
        )
        return replace(appraised, result=result)

    def _pass_unjudged(
        self, certificate: RATSTLSCertificate, own_checks: tuple[Check, ...], at: datetime
    ) -> AppraisalResult:
        """What `nullverifier` does: the certificate by itself, the claimed key hash, and nothing of the evidence."""
        found = "none" if certificate.evidence is None else certificate.evidence.kind.value
        unjudged = Check(
            "evidence", CheckResult.NOT_MADE, "evidence that holds", "nullverifier was named", mandatory=False
        )
        claims = () if certificate.evidence is None else (check_claims(certificate),)
        return AppraisalResult(tee=found, at=at, checks=(*own_checks, unjudged, *claims))

    def _appraise_sgx(
        self, quote: bytes, peer: Collateral | None, at: datetime, started: float
    ) -> AppraisedCertificate:
        platform = identify_platform(quote, self.roots, self.memory)
        found, wait = FoundCollateral(collateral=Collateral()), None
        if platform is not None:
            asked = time.monotonic()
            found = self.find_collateral(platform, peer, at)
            wait = CollateralWait(asked - started, time.monotonic() - asked)
        result = appraise_sgx(
            quote,
            collateral=found.collateral,
            roots=self.roots,
            acceptance=self.acceptance,
            at=at,
            memory=self.memory,
        )
        return AppraisedCertificate(
            result=_explain_missing(result, found) if found.reasons else result,
            evidence=quote,
            collateral=found.collateral,
            collateral_wait=wait,
        )


def identify_platform(evidence: bytes, roots: TrustRoots, memory: FactMemory) -> Platform | None:
    """Read the platform of a quote from its PCK chain, if that chain holds.

    Nobody but a genuine platform can make a verifier ask its PCCS for anything. ``None`` where there is no such chain:
    the appraisal finds the same fault, and reports it.
    """
    try:
        quote = parse_quote(evidence)
        if quote.certification_type != CertificationDataType.PCK_CHAIN:
            return None
        pck = verify_pck_chain(quote.certification_data, roots, memory)
    except VerdictdError:
        return None
    return Platform(root=pck.chain.root.fingerprint, fmspc=pck.platform.fmspc, pck_ca=pck.ca_type)


def _explain_missing(result: AppraisalResult, found: FoundCollateral) -> AppraisalResult:
    """Put why an item could not be had beside the check that failed for want of it."""
    reasons = {f"{kind}.signature": reason for kind, reason in found.reasons.items()}
    checks = tuple(
        check._replace(found=f"{check.found} ({reasons[check.name]})")
        if check.name in reasons and check.found == NONE_AT_HAND
        else check
        for check in result.checks
    )
    return replace(result, checks=checks)


def _failed(name: str, error: VerdictdError) -> Check:
    return Check(name, CheckResult.FAIL, "a certificate that can be read", error.message, error.remedy)
