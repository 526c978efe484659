"""Simulated enclaves and TDs that attest: quotes from a simulated platform, in the place of a device's."""

from dataclasses import dataclass, field

from verdictd.simulator.enclave import EnclaveSpec
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.simulator.trust_domain import TrustDomainSpec


@dataclass(frozen=True, slots=True)
class SimulatedAttester:
    """Quotes an enclave of the operator's choice on a simulated platform.

    Attributes:
        platform: what signs the quotes; trusted only where its root was named.
        enclave: what the enclave was measured to be.
        quote_version: 3, 4 or 5.
    """

    platform: SimulatedPlatform
    enclave: EnclaveSpec = field(default_factory=EnclaveSpec)
    quote_version: int = 3

    def quote(self, report_data: bytes) -> bytes:
        """Return a quote whose report data is the 64 bytes given.

        Raises:
            ValueError: not 64 bytes.
        """
        parts = self.platform.enclave_quote_parts(
            self.enclave, report_data=report_data, quote_version=self.quote_version
        )
        return self.platform.sign(parts)


@dataclass(frozen=True, slots=True)
class SimulatedTDAttester:
    """Quotes a trust domain of the operator's choice on a simulated platform.

    Attributes:
        platform: what signs the quotes; trusted only where its root was named.
        domain: what the TD was measured to be.
        quote_version: 4 or 5.
    """

    platform: SimulatedPlatform
    domain: TrustDomainSpec = field(default_factory=TrustDomainSpec)
    quote_version: int = 4

    def quote(self, report_data: bytes) -> bytes:
        """Return a quote whose report data is the 64 bytes given.

        Raises:
            ValueError: not 64 bytes.
        """
        parts = self.platform.td_quote_parts(self.domain, report_data=report_data, quote_version=self.quote_version)
        return self.platform.sign(parts)
