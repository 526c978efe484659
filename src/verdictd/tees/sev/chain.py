"""The certificates from AMD's root to the key of a platform: each is what it should be, and signed by the one above.

These certificates have no time in them, and AMD publishes no list of revoked ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec

from verdictd.core.errors import AuthenticityError, UnsupportedError
from verdictd.tees.psp.certificate import (
    KeyUsage,
    PlatformCertificate,
    find_signature,
    parse_platform_certificate,
    require_usage,
)
from verdictd.tees.sev.ecdsa import ECDSA_SHA256, read_key, verify_ecdsa_signature
from verdictd.tees.sev.roots import SEVRoot, SEVRoots
from verdictd.tees.sev.rsa_signature import name_algorithm, verify_rsa_signature
from verdictd.tees.sev.vendor_certificate import (
    VendorCertificate,
    parse_vendor_certificate,
    split_vendor_certificates,
)

_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SEVEndorsements:
    """AMD's certificates for a product. Trust: none; the appraisal verifies them.

    Attributes:
        ask_ark: ASK ‖ ARK in the form of SEV's firmware, as AMD hands them out; ``None`` where there are none.
        source: where they come from.
    """

    ask_ark: bytes | None = None
    source: str = ""


class VerifiedASK(NamedTuple):
    """An ASK that a trusted root signed."""

    certificate: VendorCertificate
    root: SEVRoot


class PlatformKey(NamedTuple):
    """A certificate of a platform's key, and the key. Trust: that of the certificate."""

    certificate: PlatformCertificate
    key: ec.EllipticCurvePublicKey


def verify_ask(ask_ark: bytes, roots: SEVRoots) -> VerifiedASK:
    """Verify an ASK with the ARK behind it, which has to be one of the roots.

    Raises:
        MalformedError, UnsupportedError: not certificates as they should be.
        AuthenticityError: the ARK is not trusted, did not sign the ASK, or one of them is for something else.
    """
    first, second = split_vendor_certificates(ask_ark)
    ask, ark = parse_vendor_certificate(first, "the ASK"), parse_vendor_certificate(second, "the ARK")
    root = roots.find(ark)
    if root is None:
        raise AuthenticityError(f"the ARK has the fingerprint {ark.fingerprint}, which is not trusted")
    if ask.usage != KeyUsage.VENDOR_SIGNING:
        raise AuthenticityError(f"the ASK is for a key of usage 0x{ask.usage:x}, expected 0x13")
    if ask.issuer_id != ark.key_id:
        raise AuthenticityError(f"the ASK says that key {ask.issuer_id.hex()} signs it, the ARK is {ark.key_id.hex()}")
    verify_rsa_signature(ark.key, ask.signature, ask.signed, "the signature of the ASK")
    return VerifiedASK(ask, root)


def read_platform_key(data: bytes, usage: KeyUsage) -> PlatformKey:
    """Read a certificate of a platform's key and see that it is one, without looking at who signed it.

    Raises:
        MalformedError, UnsupportedError: not a certificate as it should be.
        AuthenticityError: it is for something else.
    """
    what = f"the {usage.name}"
    certificate = parse_platform_certificate(data, what)
    require_usage(certificate, usage, what)
    if certificate.version != _VERSION:
        raise UnsupportedError(f"{what} has version {certificate.version}, expected {_VERSION}")
    if certificate.algorithm != ECDSA_SHA256:
        raise UnsupportedError(f"{what} signs with algorithm 0x{certificate.algorithm:x}, expected {ECDSA_SHA256}")
    return PlatformKey(certificate, read_key(certificate.key, what))


def verify_cek(data: bytes, ask: VerifiedASK) -> PlatformKey:
    """Verify the certificate of a CEK, which the ASK signs.

    Raises:
        MalformedError, UnsupportedError, AuthenticityError: as `read_platform_key`, or the ASK did not sign it.
    """
    key = ask.certificate.key

    def verify(signature: bytes, message: bytes, what: str) -> None:
        verify_rsa_signature(key, signature[: key.key_size // 8], message, what)

    cek = read_platform_key(data, KeyUsage.CEK)
    _verify(cek.certificate, KeyUsage.VENDOR_SIGNING, name_algorithm(key), verify)
    return cek


def verify_issued(data: bytes, usage: KeyUsage, issuer: PlatformKey) -> PlatformKey:
    """Verify a certificate of a platform's key that another key of the platform, or the same, signs.

    Raises:
        MalformedError, UnsupportedError, AuthenticityError: as `read_platform_key`, or the issuer did not sign it.
    """

    def verify(signature: bytes, message: bytes, what: str) -> None:
        verify_ecdsa_signature(issuer.key, signature, message, what)

    issued = read_platform_key(data, usage)
    _verify(issued.certificate, KeyUsage(issuer.certificate.usage), ECDSA_SHA256, verify)
    return issued


def _verify(
    certificate: PlatformCertificate,
    issuer: KeyUsage,
    algorithm: int,
    verify: Callable[[bytes, bytes, str], None],
) -> None:
    name = KeyUsage(certificate.usage).name
    signature = find_signature(certificate, issuer, f"the {name}")
    what = f"the signature of the {name} by the {issuer.name}"
    if signature.algorithm != algorithm:
        raise UnsupportedError(f"{what} is of algorithm 0x{signature.algorithm:x}, expected 0x{algorithm:x}")
    verify(signature.value, certificate.signed, what)
