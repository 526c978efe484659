"""The TEEs whose evidence is no Intel quote: SEV-SNP, SEV, CSV, and local SGX reports."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from verdictd.appraisal.missing import explain_missing
from verdictd.collateral.amd_endorsements import FindSNPEndorsements, FoundSNPEndorsements
from verdictd.collateral.hygon_endorsements import FindCSVEndorsements
from verdictd.collateral.sev_endorsements import FindSEVEndorsements
from verdictd.core.errors import VerdictdError
from verdictd.core.result import AppraisalResult
from verdictd.ratstls.evidence import EvidenceKind
from verdictd.tees.amd.extensions import AMDProduct
from verdictd.tees.amd.roots import AMDRoots, amd_roots
from verdictd.tees.csv.acceptance import CSVAcceptance
from verdictd.tees.csv.chain import CSVEndorsements
from verdictd.tees.csv.evidence import read_chip_id
from verdictd.tees.csv.roots import HygonRoots, hygon_root
from verdictd.tees.csv.verifier import appraise_csv
from verdictd.tees.dcap.acceptance import Acceptance
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.sev.acceptance import SEVAcceptance
from verdictd.tees.sev.chain import SEVEndorsements
from verdictd.tees.sev.evidence import read_product
from verdictd.tees.sev.roots import SEVRoots, amd_sev_roots
from verdictd.tees.sev.verifier import appraise_sev
from verdictd.tees.sev_snp.acceptance import SNPAcceptance
from verdictd.tees.sev_snp.endorsements import WantedKey, name_brought, name_wanted_key
from verdictd.tees.sev_snp.evidence import parse_evidence
from verdictd.tees.sev_snp.tcb import TCBVersion
from verdictd.tees.sev_snp.verifier import appraise_snp
from verdictd.tees.sgx_la.acceptance import SGXLocalAcceptance
from verdictd.tees.sgx_la.verifier import appraise_sgx_la

UNBOUND: Final[frozenset[str]] = frozenset({EvidenceKind.SEV})
"""Kinds of evidence that nothing binds to the peer's key. Each is refused unless it is accepted by its name."""
RATSTLS_VMPLS: Final = frozenset({0, 1})
"""At which the peers of rats-tls ask for their reports (1), and everybody else (0)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestAcceptance:
    """What of a genuine guest is acceptable, beside what `Acceptance` says of all TEEs.

    Attributes:
        accept_unbound_evidence: kinds of `UNBOUND` that are accepted.
        vmpls, allow_migration_agent, allow_masked_chip_id, allow_provisional_firmware, min_tcb,
            required_mitigations: see `SNPAcceptance`.
        min_csv_firmware: see `CSVAcceptance.min_firmware`.
        min_sev_firmware: see `SEVAcceptance.min_firmware`.
    """

    accept_unbound_evidence: frozenset[str] = frozenset()
    vmpls: frozenset[int] = RATSTLS_VMPLS
    allow_migration_agent: bool = False
    allow_masked_chip_id: bool = False
    allow_provisional_firmware: bool = False
    min_tcb: Mapping[AMDProduct, TCBVersion] = field(default_factory=dict)
    required_mitigations: int = 0
    min_csv_firmware: tuple[int, int] = (0, 0)
    min_sev_firmware: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestRoots:
    """What is trusted: each vendor's own roots, unless others are named."""

    amd: AMDRoots = field(default_factory=lambda: AMDRoots(amd_roots()))
    sev: SEVRoots = field(default_factory=lambda: SEVRoots(amd_sev_roots()))
    hygon: HygonRoots = field(default_factory=lambda: HygonRoots((hygon_root(),)))


_SNP_CHECKS: Final = {"key_certificate": "key.certificate", "chain": "chain.signature", "crl": "crl.signature"}
"""The check that fails for want of each item."""


def find_no_snp(_: WantedKey, brought: Collection[str]) -> FoundSNPEndorsements:
    """Find none: what the evidence brings has to do."""
    why = "no source is named: see --amd-certificates"
    return FoundSNPEndorsements(reasons={name: why for name in _SNP_CHECKS if name not in brought})


def find_no_csv(_: str) -> tuple[CSVEndorsements, str]:
    """Find none: what the evidence brings has to do."""
    return CSVEndorsements(), "no source is named: see --hygon-certificates"


def find_no_sev(_: str) -> tuple[SEVEndorsements, str]:
    """Find none, without which no SEV evidence is accepted."""
    return SEVEndorsements(), "no directory is named: see --sev-certificates"


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestTEEs:
    """Judges such evidence. Safe to share between threads.

    Attributes:
        acceptance: of all TEEs.
        guests: of these alone.
        roots: what is trusted.
        find_snp_endorsements, find_csv_endorsements, find_sev_endorsements: may do I/O.
        memory: facts about signatures, kept between appraisals.
    """

    acceptance: Acceptance
    guests: GuestAcceptance = field(default_factory=GuestAcceptance)
    roots: GuestRoots = field(default_factory=GuestRoots)
    find_snp_endorsements: FindSNPEndorsements = find_no_snp
    find_csv_endorsements: FindCSVEndorsements = find_no_csv
    find_sev_endorsements: FindSEVEndorsements = find_no_sev
    memory: FactMemory = field(default_factory=FactMemory)

    def appraise(self, kind: str, evidence: bytes, at: datetime) -> AppraisalResult:
        """Appraise untrusted evidence of a kind of `GUEST_KINDS`; see the TEE's own appraisal."""
        return _APPRAISE[kind](self, evidence, at)

    def appraise_snp(self, evidence: bytes, at: datetime) -> AppraisalResult:
        """See `verdictd.tees.sev_snp.verifier`."""
        found = self._find_snp(evidence)
        result = appraise_snp(
            evidence,
            endorsements=found.endorsements,
            roots=self.roots.amd,
            acceptance=SNPAcceptance(
                allow_debug=self.acceptance.allow_debug,
                allow_expired_collateral=self.acceptance.allow_expired_collateral,
                allow_migration_agent=self.guests.allow_migration_agent,
                allow_masked_chip_id=self.guests.allow_masked_chip_id,
                allow_provisional_firmware=self.guests.allow_provisional_firmware,
                vmpls=self.guests.vmpls,
                min_tcb=self.guests.min_tcb,
                required_mitigations=self.guests.required_mitigations,
            ),
            at=at,
            memory=self.memory,
        )
        return explain_missing(result, {_SNP_CHECKS[name]: reason for name, reason in found.reasons.items()})

    def _find_snp(self, evidence: bytes) -> FoundSNPEndorsements:
        try:
            parsed = parse_evidence(evidence)
        except VerdictdError:  # the appraisal finds the same, and says it
            return FoundSNPEndorsements()
        wanted = name_wanted_key(parsed.report)
        if wanted is None:
            return FoundSNPEndorsements()
        return self.find_snp_endorsements(wanted, name_brought(parsed))

    def appraise_csv(self, evidence: bytes, at: datetime) -> AppraisalResult:
        """See `verdictd.tees.csv.verifier`."""
        try:
            chip_id = read_chip_id(evidence)
        except VerdictdError:  # without HSK and CEK the appraisal refuses
            chip_id = None
        endorsements, reason = (CSVEndorsements(), "") if chip_id is None else self.find_csv_endorsements(chip_id)
        result = appraise_csv(
            evidence,
            endorsements=endorsements,
            roots=self.roots.hygon,
            acceptance=CSVAcceptance(
                allow_debug=self.acceptance.allow_debug, min_firmware=self.guests.min_csv_firmware
            ),
            at=at,
            memory=self.memory,
        )
        return explain_missing(result, {"hsk.chain": reason} if reason else {})

    def appraise_sev(self, evidence: bytes, at: datetime) -> AppraisalResult:
        """See `verdictd.tees.sev.verifier`."""
        try:
            product = read_product(evidence)
        except VerdictdError:  # the appraisal finds the same, and says it
            product = None
        endorsements, reason = (SEVEndorsements(), "") if product is None else self.find_sev_endorsements(product)
        result = appraise_sev(
            evidence,
            endorsements=endorsements,
            roots=self.roots.sev,
            acceptance=SEVAcceptance(
                accept_unbound_evidence=self.guests.accept_unbound_evidence,
                allow_debug=self.acceptance.allow_debug,
                min_firmware=self.guests.min_sev_firmware,
            ),
            at=at,
        )
        return explain_missing(result, {"ask.chain": reason} if reason else {})

    def appraise_sgx_la(self, evidence: bytes, at: datetime) -> AppraisalResult:
        """See `verdictd.tees.sgx_la.verifier`. There is no checker at hand, so that each report is refused."""
        acceptance = SGXLocalAcceptance(allow_debug=self.acceptance.allow_debug)
        return appraise_sgx_la(evidence, checker=None, acceptance=acceptance, at=at)


_APPRAISE: Final[Mapping[str, Callable[[GuestTEEs, bytes, datetime], AppraisalResult]]] = {
    EvidenceKind.SEV_SNP: GuestTEEs.appraise_snp,
    EvidenceKind.CSV: GuestTEEs.appraise_csv,
    EvidenceKind.SEV: GuestTEEs.appraise_sev,
    EvidenceKind.SGX_LA: GuestTEEs.appraise_sgx_la,
}
GUEST_KINDS: Final[frozenset[str]] = frozenset(_APPRAISE)
