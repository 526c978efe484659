"""Simulated guests that attest: SEV-SNP and CSV, on the simulated vendors of a platform's directory."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding

from verdictd.simulator.amd_certificates import AMDTCB
from verdictd.simulator.amd_store import load_amd_pki
from verdictd.simulator.csv_attester import SimulatedCSVAttester
from verdictd.simulator.hygon_platform import CSVReportSpec
from verdictd.simulator.hygon_store import load_hygon
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.simulator.snp_platform import SNPPlatform
from verdictd.simulator.snp_report_builder import encode_certificate_table, encode_report_body, sign_report

_TCB: Final = AMDTCB(bootloader=4, tee=0, snp=22, microcode=213)
_SNP_DEBUG: Final = 1 << 19
_CSV_NO_DEBUG: Final = 1
_REPORT_DATA_BYTES: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestSpec:
    """What a simulated guest was measured to be.

    Attributes:
        measurement: 48 bytes for SEV-SNP, 32 for CSV; ``None`` for the usual guest's.
        debug: whether its host may look into it.
    """

    measurement: bytes | None = None
    debug: bool = False

    def measured(self, size: int) -> bytes:
        """The measurement.

        Raises:
            ValueError: it is not of this size.
        """
        if self.measurement is None:
            return hashlib.sha384(b"a simulated guest").digest()[:size]
        if len(self.measurement) != size:
            raise ValueError(f"its measurement is {len(self.measurement)} bytes long, expected {size}")
        return self.measurement


@dataclass(frozen=True, slots=True)
class SimulatedSNPAttester:
    """Attests a guest of the operator's choice on a simulated Milan; the host gives all certificates, and the CRL.

    Attributes:
        platform: what signs the reports; trusted only where its root was named.
        guest: what was measured.
        version: of the reports: 2, 3 or 5.
        clock: tells when the host fetched what it gives.
    """

    platform: SNPPlatform
    guest: GuestSpec = field(default_factory=GuestSpec)
    version: int = 5
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def quote(self, report_data: bytes) -> bytes:
        """Return a report with a certificate table, whose report data are the 64 bytes given.

        Raises:
            ValueError: not 64 bytes, or the guest's measurement is not 48.
        """
        if len(report_data) != _REPORT_DATA_BYTES:
            raise ValueError(f"report data are 64 bytes, {len(report_data)} are given")
        spec = self.platform.report_spec(
            version=self.version, report_data=report_data, measurement=self.guest.measured(48)
        )
        if self.guest.debug:
            spec = replace(spec, policy=spec.policy | _SNP_DEBUG)
        at, pki = self.clock(), self.platform.pki
        table = {
            "ark": pki.ark.certificate.public_bytes(Encoding.DER),
            "ask": pki.issuer("vcek").certificate.public_bytes(Encoding.DER),
            "vcek": self.platform.key_certificate(at),
            "crl": self.platform.crl(at),
        }
        return sign_report(encode_report_body(spec), self.platform.key) + encode_certificate_table(table)


def load_snp_attester(directory: Path, guest: GuestSpec) -> SimulatedSNPAttester:
    """Open the simulated AMD in a platform's directory, with a chip of its own.

    Raises:
        ConfigError: it cannot be read or written, or there is no platform.
    """
    pki = load_amd_pki(directory, "Milan", SimulatedPlatform.load(directory).created_at)
    chip_id = hashlib.sha512(pki.ark.certificate.public_bytes(Encoding.DER)).digest()
    return SimulatedSNPAttester(SNPPlatform(pki=pki, chip_id=chip_id, tcb=_TCB), guest)


def load_csv_attester(directory: Path, guest: GuestSpec) -> SimulatedCSVAttester:
    """Open the simulated Hygon in a platform's directory.

    Raises:
        ConfigError: it cannot be read or written, or there is no platform.
        ValueError: the guest's measurement is not 32 bytes.
    """
    SimulatedPlatform.load(directory)
    usual = CSVReportSpec(measure=guest.measured(32))
    policy = usual.policy & ~_CSV_NO_DEBUG if guest.debug else usual.policy
    return SimulatedCSVAttester(load_hygon(directory), replace(usual, policy=policy))
