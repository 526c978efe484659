"""Local reports of a simulated SGX machine: what its CPU would measure, under a MAC that it alone can check."""

import secrets
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from verdictd.simulator.enclave import EnclaveSpec, report_of
from verdictd.simulator.hardware import Hardware
from verdictd.simulator.quote_builder import encode_report

_BODY_BYTES = 384


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedSGXMachine:
    """Makes local reports and checks them.

    Attributes:
        hardware: what it is.
        report_key: 16 bytes; what an enclave gets from its CPU for the reports that are meant for it.
    """

    hardware: Hardware = field(default_factory=Hardware)
    report_key: bytes = field(default_factory=lambda: secrets.token_bytes(16))

    def report(self, enclave: EnclaveSpec, report_data: bytes) -> bytes:
        """Make the local report of an enclave: 432 bytes.

        Raises:
            ValueError: the report data are not 64 bytes.
        """
        body = encode_report(report_of(enclave, report_data, self.hardware))
        code = CMAC(AES(self.report_key))
        code.update(body)
        return body + secrets.token_bytes(32) + code.finalize()

    def check(self, report: bytes) -> bool:
        """Whether a report is of this machine, and as it was made."""
        code = CMAC(AES(self.report_key))
        code.update(report[:_BODY_BYTES])
        try:
            code.verify(report[-16:])
        except InvalidSignature:
            return False
        return True
