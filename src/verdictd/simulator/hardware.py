"""The simulated machine itself: what its fuses, firmware and quoting enclave would say of it."""

import secrets
from dataclasses import dataclass, field

from verdictd.simulator.sgx_extension import SGXExtensionSpec

SIMULATED_FMSPC = b"SIM\x00\x00\x00"
"""FMSPC of simulated platforms: "SIM" in ASCII, a family and model that no processor has."""

_HIGHEST_RAISABLE = 254


def _random_id() -> bytes:
    return secrets.token_bytes(16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """A platform's identity and SVNs. They do not change as long as it lives.

    Attributes:
        fmspc: 6 bytes.
        pce_id: 2 bytes.
        components: 16 component SVNs, a byte each; also its CPUSVN. Numbers 1, 2 and 7 below 255, so that a newer
            level can ask for more.
        pce_svn: SVN of the provisioning certification enclave, at least 3.
        ppid, platform_instance_id, qe_id: 16 bytes each, random.
    """

    fmspc: bytes = SIMULATED_FMSPC
    pce_id: bytes = bytes(2)
    components: bytes = bytes((14, 14, 3, 3, 255, 255, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0))
    pce_svn: int = 13
    ppid: bytes = field(default_factory=_random_id)
    platform_instance_id: bytes = field(default_factory=_random_id)
    qe_id: bytes = field(default_factory=_random_id)

    def __post_init__(self) -> None:
        if len(self.components) != 16 or max(self.components[index] for index in (0, 1, 6)) > _HIGHEST_RAISABLE:
            raise ValueError("components must be 16 SVNs, of which numbers 1, 2 and 7 are below 255")

    @property
    def cpu_svn(self) -> bytes:
        """16 bytes, the same as the components."""
        return self.components

    def sgx_extension(self) -> SGXExtensionSpec:
        """What the SGX extension of the platform's PCK certificate says."""
        return SGXExtensionSpec(
            ppid=self.ppid,
            components=self.components,
            pce_svn=self.pce_svn,
            cpu_svn=self.cpu_svn,
            pce_id=self.pce_id,
            fmspc=self.fmspc,
            platform_instance_id=self.platform_instance_id,
        )
