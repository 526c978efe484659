"""Simulated platforms with SEV-SNP that tests of this package share, made once, and what is nearly theirs."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from verdictd.core.result import AppraisalResult
from verdictd.simulator.amd_certificates import AMDTCB, AMDKeyType, AMDProduct, issue_endorsement_key
from verdictd.simulator.amd_pki import AMDPKI, create_amd_pki
from verdictd.simulator.snp_platform import SNPPlatform
from verdictd.simulator.snp_report_builder import SNPReportSpec, encode_report_body, encode_tcb, sign_report
from verdictd.tees.amd.roots import AMDRoots, parse_amd_roots
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.sev_snp.acceptance import SNPAcceptance
from verdictd.tees.sev_snp.endorsements import EndorsementItem, SNPEndorsements
from verdictd.tees.sev_snp.verifier import appraise_snp

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
REPORT_DATA = bytes(range(64))
MEASUREMENT = bytes(range(100, 148))
TCB = AMDTCB(bootloader=4, tee=1, snp=24, microcode=219)
CHIP_ID = bytes(range(1, 65))


_created = cache(create_amd_pki)


def pki(product: AMDProduct = "Milan") -> AMDPKI:
    return _created(product, AT)


@cache
def other_pki() -> AMDPKI:
    """Of another simulated AMD, whose certificates bear the same names."""
    return create_amd_pki("Milan", AT)


@cache
def roots_of(*trusted: AMDPKI) -> AMDRoots:
    return AMDRoots(tuple(root for each in trusted for root in parse_amd_roots(each.ark.pem, "simulated")))


def platform(key_type: AMDKeyType = "vcek", product: AMDProduct = "Milan") -> SNPPlatform:
    is_turin = product == "Turin"
    return SNPPlatform(
        pki=pki(product),
        chip_id=CHIP_ID[:8] if is_turin else CHIP_ID,
        tcb=TCB._replace(fmc=3) if is_turin else TCB,
        key_type=key_type,
    )


@cache
def crl() -> bytes:
    return platform().crl(AT)


@cache
def key_certificate(sim: SNPPlatform) -> bytes:
    return sim.key_certificate(AT)


def item(content: bytes) -> EndorsementItem:
    return EndorsementItem(content=content, source="simulated")


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """Everything one appraisal is made of. Acceptable as `make_input` gives it."""

    spec: SNPReportSpec
    key: ec.EllipticCurvePrivateKey
    endorsements: SNPEndorsements
    roots: AMDRoots
    acceptance: SNPAcceptance = field(default_factory=SNPAcceptance)
    at: datetime = AT
    evidence: bytes | None = None

    @property
    def report(self) -> bytes:
        return sign_report(encode_report_body(self.spec), self.key)

    def appraise(self, memory: FactMemory | None = None) -> AppraisalResult:
        return appraise_snp(
            self.report if self.evidence is None else self.evidence,
            endorsements=self.endorsements,
            roots=self.roots,
            acceptance=self.acceptance,
            at=self.at,
            memory=memory,
        )

    def saying(self, **fields: Any) -> "Input":
        """The same with a report that says something else and is signed."""
        return replace(self, spec=replace(self.spec, **fields))

    def accepting(self, **settings: Any) -> "Input":
        return replace(self, acceptance=replace(self.acceptance, **settings))

    def endorsed(self, **contents: bytes | None) -> "Input":
        """The same with other endorsements, or without."""
        items = {name: None if content is None else item(content) for name, content in contents.items()}
        return replace(self, endorsements=replace(self.endorsements, **items))

    def certified(self, *, at: datetime = AT, **fields: Any) -> "Input":
        """The same with another certificate of the same key, genuine too."""
        issuer = pki().issuer("vcek")
        spec = pki().spec("vcek", CHIP_ID, TCB, at - timedelta(hours=1))
        return self.endorsed(key_certificate=issue_endorsement_key(replace(spec, **fields), issuer.key))


def make_input(sim: SNPPlatform | None = None, *, version: int = 5) -> Input:
    sim = sim or platform()
    return Input(
        spec=sim.report_spec(version=version, report_data=REPORT_DATA, measurement=MEASUREMENT),
        key=sim.key,
        endorsements=SNPEndorsements(
            key_certificate=item(key_certificate(sim)),
            chain=item(sim.chain()),
            crl=item(crl() if sim.pki is pki() else sim.crl(AT)),
        ),
        roots=roots_of(sim.pki),
    )


def tcb(**changes: int) -> bytes:
    """Milan's bytes of the platform's TCB with other components."""
    return encode_tcb(TCB._replace(**changes), "Milan")


def refusals(result: AppraisalResult) -> set[str]:
    return {check.name for check in result.refusals}


def failures(result: AppraisalResult) -> set[str]:
    return {check.name for check in result.checks if check.result == "fail"}
