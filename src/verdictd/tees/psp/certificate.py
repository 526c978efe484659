"""The certificate of a key of a platform: of its chip (CEK), of the platform (PEK), or of its owner (OCA).

Parsing only: nothing here is verified, and the key inside is left as bytes.
"""

import struct
from enum import IntEnum
from typing import Final, NamedTuple

from verdictd.core.errors import AuthenticityError, MalformedError

CERTIFICATE_BYTES: Final = 2084
SIGNED_BYTES: Final = 1044
"""What each of the two signatures covers: everything before the first of them."""
_KEY: Final = slice(16, SIGNED_BYTES)
_HEADER: Final = struct.Struct("<IBBHII")
_SIGNATURE: Final = struct.Struct("<II512s")


class KeyUsage(IntEnum):
    """What a key is for. Vendors' keys have numbers below 0x1000.

    Spec: AMD 55766, appendix C.1, "USAGE Enumeration"; Hygon uses the same numbers for HRK and HSK as AMD for ARK, ASK.
    """

    VENDOR_ROOT = 0x00
    VENDOR_SIGNING = 0x13
    NONE = 0x1000
    OCA = 0x1001
    PEK = 0x1002
    PDH = 0x1003
    CEK = 0x1004


class CertificateSignature(NamedTuple):
    """A signature in a certificate: what key it says made it, how, and 512 bytes."""

    usage: int
    algorithm: int
    value: bytes


class PlatformCertificate(NamedTuple):
    """A parsed certificate. Trust: unauthenticated.

    Attributes:
        version: of the format.
        api_major, api_minor: of the firmware, in the certificate of a PEK.
        usage: what the key is for, see `KeyUsage`; unknown numbers are kept.
        algorithm: how the key signs.
        key: 1028 bytes, in a form that depends on the algorithm.
        signed: the bytes that both signatures cover.
        signatures: both, also where one is empty.
    """

    version: int
    api_major: int
    api_minor: int
    usage: int
    algorithm: int
    key: bytes
    signed: bytes
    signatures: tuple[CertificateSignature, CertificateSignature]

    @property
    def firmware(self) -> tuple[int, int]:
        """The firmware's version, to compare."""
        return self.api_major, self.api_minor


def parse_platform_certificate(data: bytes, what: str) -> PlatformCertificate:
    """Parse a certificate of a platform.

    Layout: 2084 bytes, little-endian; version 0 (4), API major 4 (1), API minor 5 (1), key usage 8 (4),
    key algorithm 12 (4), key 16 (1028), signature 1 at 1044, signature 2 at 1564; in each usage (4), algorithm (4),
    value (512).

    Raises:
        MalformedError: not 2084 bytes.
    Spec:
        AMD 55766, appendix C.1, "SEV Certificate Format".
    """
    if len(data) != CERTIFICATE_BYTES:
        raise MalformedError(f"{what} is {len(data)} bytes long, expected {CERTIFICATE_BYTES}")
    version, api_major, api_minor, _, usage, algorithm = _HEADER.unpack_from(data)
    first = CertificateSignature._make(_SIGNATURE.unpack_from(data, SIGNED_BYTES))
    second = CertificateSignature._make(_SIGNATURE.unpack_from(data, SIGNED_BYTES + _SIGNATURE.size))
    return PlatformCertificate(
        version, api_major, api_minor, usage, algorithm, data[_KEY], data[:SIGNED_BYTES], (first, second)
    )


def require_usage(certificate: PlatformCertificate, usage: KeyUsage, what: str) -> None:
    """Require that a certificate is for a key of the kind that is meant.

    Raises:
        AuthenticityError: it is for another.
    """
    if certificate.usage != usage:
        raise AuthenticityError(f"{what} is for a key of usage 0x{certificate.usage:x}, expected 0x{usage:x}")


def find_signature(certificate: PlatformCertificate, issuer: KeyUsage, what: str) -> CertificateSignature:
    """Return the one signature that a certificate says its issuer made: owner and chip sign in either order.

    Raises:
        AuthenticityError: neither is by that issuer, or both are.
    """
    found = [signature for signature in certificate.signatures if signature.usage == issuer]
    if len(found) != 1:
        raise AuthenticityError(f"{what} has {len(found)} signatures by a key of usage 0x{issuer:x}, expected 1")
    return found[0]
