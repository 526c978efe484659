"""The path from a peer's certificate, or a bare quote, to an Attestation Result.

Order: the certificate by itself, the collateral that its evidence asks for, the evidence, the binding of the two. All
checks are made and listed whatever becomes of the earlier ones. Policy comes after, in `policy_step`.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Final, Literal, NamedTuple

from verdictd.appraisal.dcap_tees import DCAP_TEES
from verdictd.appraisal.guest_tees import GUEST_KINDS, UNBOUND, GuestTEEs
from verdictd.appraisal.installed_tees import appraise_installed
from verdictd.appraisal.missing import explain_missing
from verdictd.appraisal.verifiers import Verifiers
from verdictd.collateral.found import FoundCollateral
from verdictd.core.checks import Check, CheckResult
from verdictd.core.errors import UnsupportedError, VerdictdError
from verdictd.core.result import AppraisalResult
from verdictd.core.tee import TEE
from verdictd.ratstls.binding import check_binding, check_certificate, check_claims
from verdictd.ratstls.certificate import RATSTLSCertificate, parse_certificate
from verdictd.ratstls.evidence import EvidenceKind, PeerEvidence, tell_quote_kind
from verdictd.tees.dcap.acceptance import Acceptance
from verdictd.tees.dcap.collateral import Collateral
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.pck import PCKCAType, verify_pck_chain
from verdictd.tees.dcap.quote import CertificationDataType
from verdictd.tees.dcap.trust_roots import TrustRoots
from verdictd.tees.tdx_ecdsa.verifier import appraise_tdx

NO_TEE: Literal["none"] = "none"
_UNBOUND_FILE: Final = Check(
    "certificate.report_data",
    CheckResult.NOT_MADE,
    "evidence made for the peer's key",
    "this is bare evidence, not a certificate",
    mandatory=False,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """Which collateral a genuine platform needs.

    Attributes:
        root: fingerprint of the trusted root in which its PCK chain ends (SHA-256, lower-case hex).
        fmspc: its family, 6 bytes.
        pck_ca: which CA issued its PCK certificate.
        tee: whose TCB info and QE identity.
    """

    root: str
    fmspc: bytes
    pck_ca: PCKCAType
    tee: Literal["SGX", "TDX"] = "SGX"


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
        guests: judges evidence that is no Intel quote; ``None`` for the vendors' own roots, and what evidence brings.
        installed: judge further kinds of evidence, by their names.
    """

    roots: TrustRoots
    acceptance: Acceptance
    find_collateral: FindCollateral
    memory: FactMemory = field(default_factory=FactMemory)
    guests: GuestTEEs | None = None
    installed: Mapping[str, TEE] = field(default_factory=dict)

    def appraise_quote(self, quote: bytes, at: datetime, *, event_log: bytes | None = None) -> AppraisalResult:
        """Appraise a bare quote. That it belongs to any particular peer is not checked, and listed as not made.

        What is no quote that is known is judged as SGX's, which says what is wrong with it.

        Args:
            quote: untrusted.
            at: the instant to appraise for.
            event_log: an untrusted log of what was measured into a TD's registers; see `appraise_tdx`.
        Raises:
            UnsupportedError: there is a log, and the quote is not a TD's.
        """
        try:
            kind = tell_quote_kind(quote)
        except VerdictdError:
            kind = EvidenceKind.SGX_ECDSA
        if event_log is not None and kind != EvidenceKind.TDX_ECDSA:
            raise UnsupportedError("an event log goes with a TD's quote alone", remedy="leave the event log out")
        result = self._appraise_quote(kind, quote, None, at, time.monotonic(), event_log=event_log).result
        return result.with_checks(_UNBOUND_FILE)

    def appraise_certificate(self, data: bytes, verifiers: Verifiers, at: datetime) -> AppraisalResult:
        """Appraise a RATS-TLS certificate and the evidence in it with the verifiers named.

        Possession of the certificate's key is not proved here; a TLS handshake does that.

        Args:
            data: an untrusted certificate in DER or PEM.
            verifiers: which were named; with the null verifier the evidence is not judged at all.
            at: the instant to appraise for.
        """
        return self.appraise_peer(data, verifiers, at).result

    def appraise_peer(self, data: bytes, verifiers: Verifiers, at: datetime) -> AppraisedCertificate:
        """Do as `appraise_certificate`, and hand over what the evidence was judged with as well."""
        started = time.monotonic()
        try:
            certificate = parse_certificate(data, {tee.evidence_tag: name for name, tee in self.installed.items()})
        except VerdictdError as error:
            result = AppraisalResult(tee=NO_TEE, at=at, checks=(_failed("certificate.format", error),))
            return AppraisedCertificate(result=result)
        own_checks = check_certificate(certificate, at)
        if verifiers.is_null:
            return AppraisedCertificate(result=self._pass_unjudged(certificate, own_checks, at))
        if certificate.evidence is None or certificate.evidence.kind not in verifiers.kinds:
            found = "none" if certificate.evidence is None else certificate.evidence.kind
            wanted = " or ".join(verifiers.kinds)
            check = Check(
                "evidence.kind",
                CheckResult.FAIL,
                f"evidence of kind {wanted}, as the verifier {verifiers} was named",
                found,
                f"start the attester with -a {verifiers.kinds[0]} on hardware that has it",
            )
            return AppraisedCertificate(result=AppraisalResult(tee=found, at=at, checks=(*own_checks, check)))
        if certificate.evidence.kind not in DCAP_TEES:
            return self._appraise_report(certificate, certificate.evidence, own_checks, at)
        evidence, claims = certificate.evidence.evidence, certificate.evidence.claims
        appraised = self._appraise_quote(certificate.evidence.kind, evidence, certificate.endorsements, at, started)
        result = appraised.result
        result = replace(
            result,
            checks=own_checks + result.checks + check_binding(certificate, _report_data(result)),
            custom_claims={} if claims is None else claims.custom,
        )
        return replace(appraised, result=result)

    def appraise_evidence(self, kind: str, evidence: bytes, at: datetime) -> AppraisalResult:
        """Appraise bare evidence of a known kind. That it belongs to a peer is not checked, and is listed so.

        Raises:
            UnsupportedError: nothing here appraises that kind.
        """
        if kind in DCAP_TEES:
            return self.appraise_quote(evidence, at)
        return self._appraise_bare(kind, evidence, at).with_checks(_UNBOUND_FILE)

    def _appraise_bare(self, kind: str, evidence: bytes, at: datetime) -> AppraisalResult:
        tee = self.installed.get(kind)
        if tee is not None:
            return appraise_installed(tee, evidence, self.acceptance, at)
        if kind not in GUEST_KINDS:
            raise UnsupportedError(f"evidence of kind {kind} is not appraised here")
        guests = self.guests or GuestTEEs(acceptance=self.acceptance, memory=self.memory)
        return guests.appraise(kind, evidence, at)

    def _appraise_report(
        self, certificate: RATSTLSCertificate, evidence: PeerEvidence, own_checks: tuple[Check, ...], at: datetime
    ) -> AppraisedCertificate:
        result = self._appraise_bare(evidence.kind, evidence.evidence, at)
        if evidence.kind in UNBOUND:  # a check of the evidence's own says so, and refuses unless that is accepted
            binding: tuple[Check, ...] = (check_claims(certificate),)
        else:
            binding = check_binding(certificate, _report_data(result))
        result = replace(
            result,
            checks=own_checks + result.checks + binding,
            custom_claims={} if evidence.claims is None else evidence.claims.custom,
        )
        return AppraisedCertificate(result=result, evidence=evidence.evidence)

    def _pass_unjudged(
        self, certificate: RATSTLSCertificate, own_checks: tuple[Check, ...], at: datetime
    ) -> AppraisalResult:
        """What `nullverifier` does: the certificate by itself, the claimed key hash, and nothing of the evidence."""
        found = "none" if certificate.evidence is None else certificate.evidence.kind
        unjudged = Check(
            "evidence", CheckResult.NOT_MADE, "evidence that holds", "nullverifier was named", mandatory=False
        )
        claims = () if certificate.evidence is None else (check_claims(certificate),)
        return AppraisalResult(tee=found, at=at, checks=(*own_checks, unjudged, *claims))

    def _appraise_quote(
        self,
        kind: str,
        quote: bytes,
        peer: Collateral | None,
        at: datetime,
        started: float,
        *,
        event_log: bytes | None = None,
    ) -> AppraisedCertificate:
        platform = identify_platform(quote, self.roots, self.memory, kind)
        found, wait = FoundCollateral(collateral=Collateral()), None
        if platform is not None:
            asked = time.monotonic()
            found = self.find_collateral(platform, peer, at)
            wait = CollateralWait(asked - started, time.monotonic() - asked)
        appraise = DCAP_TEES[kind].appraise if event_log is None else partial(appraise_tdx, event_log=event_log)
        result = appraise(
            quote,
            collateral=found.collateral,
            roots=self.roots,
            acceptance=self.acceptance,
            at=at,
            memory=self.memory,
        )
        return AppraisedCertificate(
            result=explain_missing(result, {f"{item}.signature": why for item, why in found.reasons.items()}),
            evidence=quote,
            collateral=found.collateral,
            collateral_wait=wait,
        )


def identify_platform(
    evidence: bytes, roots: TrustRoots, memory: FactMemory, kind: str = EvidenceKind.SGX_ECDSA
) -> Platform | None:
    """Read the platform of a quote from its PCK chain, if that chain holds.

    Nobody but a genuine platform can make a verifier ask its PCCS for anything. ``None`` where there is no such chain:
    the appraisal finds the same fault, and reports it.
    """
    try:
        quote = DCAP_TEES[kind].parse(evidence)
        if quote.certification_type != CertificationDataType.PCK_CHAIN:
            return None
        pck = verify_pck_chain(quote.certification_data, roots, memory)
    except VerdictdError:
        return None
    return Platform(
        root=pck.chain.root.fingerprint,
        fmspc=pck.platform.fmspc,
        pck_ca=pck.ca_type,
        tee=DCAP_TEES[kind].collateral_tee,
    )


def _report_data(result: AppraisalResult) -> bytes:
    """The bytes that evidence binds; empty, which binds nothing, where its appraisal established none."""
    try:
        return bytes.fromhex(str(result.claims.get("report_data", "")))
    except ValueError:
        return b""


def _failed(name: str, error: VerdictdError) -> Check:
    return Check(name, CheckResult.FAIL, "a certificate that can be read", error.message, error.remedy)
