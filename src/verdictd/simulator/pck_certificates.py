"""PCK certificates as the vendor issues them: for each platform one for each TCB level there is.

The platform of the directory has the one that it attests with, in its directory. All others are issued when they are
asked for, and come out the same each time: keys, serial numbers and signatures follow from the platform's identity.
"""

import hashlib
import hmac
from dataclasses import replace
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from verdictd.simulator.certificate_builder import issue_certificate
from verdictd.simulator.family import FAMILIES, FamilyMember, family_fmspc
from verdictd.simulator.keys import Credential, PrivateKey
from verdictd.simulator.pki import (
    PCK_BACKDATED,
    PCK_CRL_URL,
    PCK_YEARS,
    PROCESSOR_CRL_URL,
    certificate_spec,
    years_after,
)
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.tees.dcap.pck import PCKCAType

_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class PCKLevel(NamedTuple):
    """A TCB level that a PCK certificate can be issued for.

    Attributes:
        components: 16 component SVNs, a byte each; also the CPUSVN.
        pce_svn: the PCESVN.
    """

    components: bytes
    pce_svn: int

    @property
    def tcbm(self) -> bytes:
        """18 bytes: CPUSVN, PCESVN in little endian."""
        return self.components + self.pce_svn.to_bytes(2, "little")

    def is_reached_by(self, cpu_svn: bytes, pce_svn: int) -> bool:
        """Whether a platform with these SVNs is at this level or above."""
        return pce_svn >= self.pce_svn and all(
            has >= wanted for has, wanted in zip(cpu_svn, self.components, strict=True)
        )


def own_member(platform: SimulatedPlatform) -> FamilyMember:
    """The platform of the directory as the vendor knows it, by its encrypted PPID."""
    return FamilyMember(platform.encrypted_ppid, 0, has_newest=True)


def pck_levels(platform: SimulatedPlatform) -> tuple[PCKLevel, ...]:
    """Return the levels that there are certificates for, the highest first: of early and standard TCB info."""
    levels = {
        PCKLevel(level.components, level.pce_svn)
        for publication in (platform.newest, platform.standard)
        for level in platform.tcb_info_spec(publication=publication).levels
    }
    return tuple(sorted(levels, key=lambda level: (sum(level.components), level.pce_svn), reverse=True))


class PCKIssuer:
    """Issues the PCK certificates of one platform."""

    def __init__(self, platform: SimulatedPlatform, member: FamilyMember, *, has_cached_keys: bool = True) -> None:
        """Prepare.

        Args:
            platform: whose vendor issues them.
            member: the platform that they are issued to.
            has_cached_keys: whether the vendor keeps the platform's keys: not where it came with a manifest.
        """
        self._platform = platform
        self._member = member
        self._is_own = member == own_member(platform)
        self._has_cached_keys = has_cached_keys

    @property
    def ca(self) -> PCKCAType:
        """Which CA issues them."""
        return FAMILIES[self._member.family].ca

    @property
    def fmspc(self) -> bytes:
        """The platform's FMSPC."""
        return family_fmspc(self._platform.hardware.fmspc, self._member.family)

    @property
    def issuer_chain(self) -> bytes:
        """The CA's PEM chain, the root last."""
        return self._platform.pki.chain("platform-ca" if self.ca == "platform" else "processor-ca")

    def levels(self) -> tuple[tuple[PCKLevel, bool], ...]:
        """Return all levels, the highest first, each with whether there is a certificate for it."""
        levels = pck_levels(self._platform)
        return tuple((level, self._member.has_newest or level != levels[0]) for level in levels)

    def best_level(self, cpu_svn: bytes, pce_svn: int) -> PCKLevel | None:
        """Return the highest level with a certificate that a platform with these SVNs reaches."""
        reached = (level for level, is_there in self.levels() if is_there and level.is_reached_by(cpu_svn, pce_svn))
        return next(reached, None)

    def pem(self, level: PCKLevel) -> bytes:
        """Issue the certificate for a level."""
        hardware = self._platform.hardware
        if self._is_own and level == PCKLevel(hardware.components, hardware.pce_svn):
            return self._platform.pki.pck.pem
        return Credential(self._issue(level), self.key(level)).pem

    def key(self, level: PCKLevel) -> PrivateKey:
        """Return the private key of the certificate for a level, other than the one in the platform's directory."""
        number = int.from_bytes(self._derive("key", level.tcbm, 48), "big")
        return ec.derive_private_key(number % (_P256_ORDER - 1) + 1, ec.SECP256R1())

    def _issue(self, level: PCKLevel) -> x509.Certificate:
        platform, is_processor = self._platform, self.ca == "processor"
        own = platform.sgx_extension_spec()
        not_before = platform.created_at - PCK_BACKDATED
        extension = replace(
            own,
            ppid=own.ppid if self._is_own else self._derive("ppid", b"", 16),
            components=level.components,
            cpu_svn=level.components,
            pce_svn=level.pce_svn,
            fmspc=self.fmspc,
            sgx_type=0 if is_processor else 1,
            platform_instance_id=None if is_processor else self._instance_id(own.platform_instance_id),
            configuration=None if is_processor else (False, self._has_cached_keys, True),
        )
        issuer = platform.pki.processor_ca if is_processor else platform.pki.platform_ca
        spec = certificate_spec(
            "pck",
            key=self.key(level),
            issuer_key=issuer.key,
            serial_number=int.from_bytes(self._derive("serial number", level.tcbm, 19), "big") + 1,
            not_before=not_before,
            not_after=years_after(not_before, PCK_YEARS),
            sgx_extension=extension,
        )
        crl_url = PROCESSOR_CRL_URL if is_processor else PCK_CRL_URL
        spec = replace(spec, issuer=issuer.certificate.subject, crl_url=crl_url, is_deterministic=True)
        return issue_certificate(spec, issuer.key)

    def _instance_id(self, own: bytes | None) -> bytes | None:
        return own if self._is_own else self._derive("platform instance id", b"", 16)

    def _derive(self, what: str, of: bytes, size: int) -> bytes:
        """Derive bytes for the platform that nobody without the vendor's key can foretell."""
        secret = self._platform.pki.platform_ca.key.private_numbers().private_value.to_bytes(32, "big")
        message = hashlib.sha256(what.encode("ascii") + b"\0" + of).digest() + self._member.identity
        return hashlib.shake_256(hmac.digest(secret, message, "sha256")).digest(size)
