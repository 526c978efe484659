"""The certificates from Hygon's root to the key of a platform: each is what it should be, and signed by the one above.

Hygon's certificates have no time in them, and Hygon publishes no list of revoked ones.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from verdictd.core.errors import AuthenticityError, UnsupportedError
from verdictd.tees.csv.roots import HygonRoot, HygonRoots
from verdictd.tees.csv.sm2_fields import SM2_SIGNING, read_key, read_signature
from verdictd.tees.csv.vendor_certificate import (
    KEY_ID_BYTES,
    VENDOR_CERTIFICATE_BYTES,
    VendorCertificate,
    parse_vendor_certificate,
)
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.psp.certificate import (
    KeyUsage,
    PlatformCertificate,
    find_signature,
    parse_platform_certificate,
    require_usage,
)
from verdictd.tees.sm2.verification import SM2PublicKey, SM2Signature, verify_sm2_signature

_CEK_ISSUER_ID: Final = slice(404, 404 + KEY_ID_BYTES)
"""Within a CEK's key field: the id of the HSK, in certificates of version 2; zero before."""
_VERSIONS: Final = frozenset({1, 2})


@dataclass(frozen=True, slots=True, kw_only=True)
class CSVEndorsements:
    """HSK and CEK from elsewhere than the evidence. Trust: none; the appraisal verifies them.

    Attributes:
        hsk_cek: 2916 bytes, as Hygon's service hands them out for a chip id; ``None`` where there are none.
        source: where they come from.
    """

    hsk_cek: bytes | None = None
    source: str = ""


class VerifiedHSK(NamedTuple):
    """An HSK that a trusted root signed."""

    certificate: VendorCertificate
    root: HygonRoot


class VerifiedKey(NamedTuple):
    """The key of a CEK or PEK whose certificate the key above it signed."""

    certificate: PlatformCertificate
    key: SM2PublicKey


def verify_hsk(hsk_cek: bytes, roots: HygonRoots, memory: FactMemory) -> VerifiedHSK:
    """Verify the HSK in front of `hsk_cek` up to one of the roots.

    Raises:
        MalformedError, UnsupportedError: not a certificate as it should be.
        AuthenticityError: it is for something else, or no root signed it.
    """
    certificate = parse_vendor_certificate(hsk_cek[:VENDOR_CERTIFICATE_BYTES], "the HSK")
    if certificate.usage != KeyUsage.VENDOR_SIGNING:
        raise AuthenticityError(f"the HSK is for a key of usage 0x{certificate.usage:x}, expected 0x13")
    named = [root for root in roots.roots if root.key_id == certificate.issuer_id]
    if not named:
        known = ", ".join(root.key_id.hex() for root in roots.roots)
        raise AuthenticityError(f"the HSK says that key {certificate.issuer_id.hex()} signs it, trusted is {known}")
    for root in named[:-1]:
        try:
            _verify(root.key, certificate.signature, certificate.signed, "the signature of the HSK", memory)
        except AuthenticityError:
            continue
        return VerifiedHSK(certificate, root)
    _verify(named[-1].key, certificate.signature, certificate.signed, "the signature of the HSK", memory)
    return VerifiedHSK(certificate, named[-1])


def verify_cek(hsk_cek: bytes, hsk: VerifiedHSK, memory: FactMemory) -> VerifiedKey:
    """Verify the CEK behind the HSK in `hsk_cek`.

    Raises:
        MalformedError, UnsupportedError: not a certificate as it should be.
        AuthenticityError: it is for something else, or the HSK did not sign it.
    """
    cek = _verify_platform_certificate(
        hsk_cek[VENDOR_CERTIFICATE_BYTES:],
        KeyUsage.CEK,
        issuer=KeyUsage.VENDOR_SIGNING,
        issuer_key=hsk.certificate.key,
        memory=memory,
    )
    issuer_id = cek.certificate.key[_CEK_ISSUER_ID]
    if any(issuer_id) and issuer_id != hsk.certificate.key_id:
        raise AuthenticityError(
            f"the CEK says that key {issuer_id.hex()} signs it, the HSK is {hsk.certificate.key_id.hex()}"
        )
    return cek


def verify_pek(data: bytes, cek: VerifiedKey, memory: FactMemory) -> VerifiedKey:
    """Verify the certificate of a PEK. The owner's signature, its other one, is not looked at.

    Raises:
        MalformedError, UnsupportedError: not a certificate as it should be.
        AuthenticityError: it is for something else, or the CEK did not sign it.
    """
    return _verify_platform_certificate(data, KeyUsage.PEK, issuer=KeyUsage.CEK, issuer_key=cek.key, memory=memory)


def read_platform_key(data: bytes, usage: KeyUsage) -> VerifiedKey:
    """Read the certificate of a CEK or PEK and see that it is one, without looking at who signed it.

    Raises:
        MalformedError, UnsupportedError: not a certificate as it should be.
        AuthenticityError: it is for something else.
    """
    what = f"the {usage.name}"
    certificate = parse_platform_certificate(data, what)
    require_usage(certificate, usage, what)
    if certificate.version not in _VERSIONS:
        raise UnsupportedError(f"{what} has version {certificate.version}, expected 1 or 2")
    if certificate.algorithm != SM2_SIGNING:
        raise UnsupportedError(f"{what} signs with algorithm {certificate.algorithm}, expected {SM2_SIGNING}, SM2")
    return VerifiedKey(certificate, read_key(certificate.key, what))


def _verify_platform_certificate(
    data: bytes, usage: KeyUsage, *, issuer: KeyUsage, issuer_key: SM2PublicKey, memory: FactMemory
) -> VerifiedKey:
    read = read_platform_key(data, usage)
    what = f"the signature of the {usage.name}"
    signature = find_signature(read.certificate, issuer, f"the {usage.name}")
    if signature.algorithm != SM2_SIGNING:
        raise UnsupportedError(f"{what} is of algorithm {signature.algorithm}, expected {SM2_SIGNING}, SM2")
    _verify(issuer_key, read_signature(signature.value, what), read.certificate.signed, what, memory)
    return read


def _verify(key: SM2PublicKey, signature: SM2Signature, message: bytes, what: str, memory: FactMemory) -> None:
    """Verify a signature, or remember that it verified."""

    def verify() -> bool:
        verify_sm2_signature(key, signature, message, what)
        return True

    memory.recall(("sm2", key.encoded, key.name, str(signature.r), str(signature.s), message), verify)
