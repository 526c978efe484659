"""A simulated platform with SEV-SNP: one chip of a product at one TCB, whose firmware reports on guests."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import ec

from verdictd.simulator.amd_certificates import (
    AMDTCB,
    AMDKeyType,
    AMDProduct,
    issue_amd_crl,
    issue_endorsement_key,
)
from verdictd.simulator.amd_pki import AMDPKI
from verdictd.simulator.snp_report_builder import SNPReportSpec, encode_report_body, encode_tcb, sign_report

_CPUID: dict[AMDProduct, tuple[int, int, int]] = {
    "Milan": (0x19, 0x01, 1),
    "Genoa": (0x19, 0x11, 1),
    "Turin": (0x1A, 0x02, 1),
}
_WITH_CPUID = 3
_BACKDATED = timedelta(hours=1)
_CRL_LIFETIME = timedelta(days=180)


@dataclass(frozen=True, slots=True, kw_only=True)
class SNPPlatform:
    """A chip, its TCB, and the key that signs its reports.

    Attributes:
        pki: of the product.
        chip_id: 64 bytes, 8 for Turin.
        tcb: what it runs, has committed and reports.
        key_type: ``vcek``, or ``vlek`` where the cloud provider loaded one.
    """

    pki: AMDPKI
    chip_id: bytes
    tcb: AMDTCB
    key_type: AMDKeyType = "vcek"

    @property
    def key(self) -> ec.EllipticCurvePrivateKey:
        """The private VCEK or VLEK."""
        return self.pki.endorsement_key(self.key_type, self._endorsed_chip_id, self.tcb)

    @property
    def _endorsed_chip_id(self) -> bytes:
        return self.chip_id if self.key_type == "vcek" else b""

    def report_spec(self, *, version: int, report_data: bytes, measurement: bytes) -> SNPReportSpec:
        """What the firmware reports of a guest, asked for at VMPL 0.

        Args:
            version: of the report: 2, 3 or 5.
            report_data: 64 bytes.
            measurement: of the guest, 48 bytes.
        """
        tcb = encode_tcb(self.tcb, self.pki.product)
        return SNPReportSpec(
            version=version,
            current_tcb=tcb,
            reported_tcb=tcb,
            committed_tcb=tcb,
            launch_tcb=tcb,
            report_data=report_data,
            measurement=measurement,
            chip_id=self.chip_id,
            flags=0 if self.key_type == "vcek" else 1 << 2,
            cpuid=_CPUID[self.pki.product] if version >= _WITH_CPUID else (0, 0, 0),
        )

    def report(self, *, report_data: bytes, measurement: bytes, version: int = 5) -> bytes:
        """Report on a guest; 1184 bytes."""
        spec = self.report_spec(version=version, report_data=report_data, measurement=measurement)
        return sign_report(encode_report_body(spec), self.key)

    def key_certificate(self, at: datetime, not_after: datetime | None = None) -> bytes:
        """The certificate of its VCEK or VLEK, as AMD issues it at an instant; DER."""
        spec = self.pki.spec(self.key_type, self._endorsed_chip_id, self.tcb, at - _BACKDATED)
        return issue_endorsement_key(
            replace(spec, not_after=not_after or spec.not_after), self.pki.issuer(self.key_type).key
        )

    def chain(self) -> bytes:
        """The certificates above its key, as AMD serves them; PEM."""
        return self.pki.chain(self.key_type)

    def crl(self, at: datetime) -> bytes:
        """The CRL that AMD publishes at an instant, which revokes nothing; DER."""
        this_update = at - _BACKDATED
        return issue_amd_crl(
            self.pki.ark.certificate.subject,
            self.pki.ark.key,
            number=1,
            this_update=this_update,
            next_update=this_update + _CRL_LIFETIME,
        )
