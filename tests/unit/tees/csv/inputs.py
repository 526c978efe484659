"""What a CSV appraisal is given, in order but for what a test replaces: everything around it is signed again."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from verdictd.core.result import AppraisalResult
from verdictd.simulator.hygon_certificates import (
    PlatformCertificateSpec,
    Signer,
    VendorCertificateSpec,
    issue_platform_certificate,
    issue_vendor_certificate,
)
from verdictd.simulator.hygon_platform import CSVReportSpec, SimulatedHygon, join_evidence
from verdictd.tees.csv.acceptance import CSVAcceptance
from verdictd.tees.csv.chain import CSVEndorsements
from verdictd.tees.csv.roots import HygonRoot, HygonRoots, parse_hygon_root
from verdictd.tees.csv.verifier import appraise_csv
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.psp.certificate import KeyUsage

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
REPORT_DATA = bytes(range(64))
HYGON = SimulatedHygon(bytes(32))
OTHER = SimulatedHygon(b"another" + bytes(25))
HSK_BYTES = 832
SPEC = CSVReportSpec(user_data=REPORT_DATA, mnonce=bytes(range(16)), anonce=bytes.fromhex("1122a3c4"))


@cache
def root_of(hygon: SimulatedHygon) -> HygonRoot:
    return parse_hygon_root(hygon.hrk_certificate, "hrk.cert")


@cache
def hsk_cek() -> bytes:
    return HYGON.hsk_cek


@cache
def pek() -> bytes:
    return HYGON.pek_certificate


@cache
def evidence() -> bytes:
    return join_evidence(HYGON.report(SPEC, pek=pek()), hsk_cek())


@dataclass(frozen=True)
class Input:
    """What is appraised; the simulated evidence where none is given."""

    evidence: bytes = field(default_factory=evidence)
    endorsements: CSVEndorsements = field(default_factory=CSVEndorsements)
    roots: HygonRoots = field(default_factory=lambda: HygonRoots((root_of(HYGON),)))
    acceptance: CSVAcceptance = field(default_factory=CSVAcceptance)

    def appraise(self, memory: FactMemory | None = None) -> AppraisalResult:
        return appraise_csv(
            self.evidence,
            endorsements=self.endorsements,
            roots=self.roots,
            acceptance=self.acceptance,
            at=AT,
            memory=memory,
        )


def with_report(hygon: SimulatedHygon = HYGON, **changes: Any) -> Input:
    return Input(join_evidence(hygon.report(replace(SPEC, **changes), pek=pek()), hsk_cek()))


def with_chain(chain: bytes, **others: Any) -> Input:
    return Input(join_evidence(HYGON.report(SPEC, pek=pek()), chain), **others)


def with_hsk(change: Callable[[VendorCertificateSpec], VendorCertificateSpec], hygon: SimulatedHygon = HYGON) -> Input:
    """The HSK says something else, and the root of a Hygon signs it."""
    spec = change(HYGON.vendor_spec(KeyUsage.VENDOR_SIGNING))
    hsk = issue_vendor_certificate(spec, hygon.key(KeyUsage.VENDOR_ROOT))
    return with_chain(hsk + hsk_cek()[HSK_BYTES:])


def with_cek(*signers: Signer, **changes: Any) -> Input:
    """The CEK says something else, or others sign it."""
    spec = replace(HYGON.platform_spec(KeyUsage.CEK), **changes)
    by = signers or (HYGON.signer(KeyUsage.VENDOR_SIGNING),)
    return with_chain(hsk_cek()[:HSK_BYTES] + issue_platform_certificate(spec, *by))


def with_pek(*signers: Signer, **changes: Any) -> Input:
    """The PEK's certificate says something else, or others sign it."""
    return with_pek_certificate(pek_certificate(*signers, **changes))


def pek_certificate(*signers: Signer, **changes: Any) -> bytes:
    spec: PlatformCertificateSpec = replace(HYGON.platform_spec(KeyUsage.PEK), **changes)
    by = signers or (HYGON.signer(KeyUsage.CEK), HYGON.signer(KeyUsage.OCA))
    return issue_platform_certificate(spec, *by)


def with_pek_certificate(certificate: bytes) -> Input:
    return Input(join_evidence(HYGON.report(SPEC, pek=certificate), hsk_cek()))


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
