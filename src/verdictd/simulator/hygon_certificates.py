"""Certificates as Hygon writes them, of the vendor's keys and of a platform's: what a spec says, signed."""

import struct
from dataclasses import dataclass

from verdictd.simulator.sm2_key import SM2PrivateKey
from verdictd.tees.psp.certificate import KeyUsage
from verdictd.tees.sm2.verification import SM2PublicKey, SM2Signature

_CURVE_SM2 = 3
_SM2_SIGNING = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorCertificateSpec:
    """What the certificate of an HRK or HSK says; key ids are 16 bytes."""

    usage: int
    key: SM2PublicKey
    key_id: bytes
    issuer_id: bytes
    version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformCertificateSpec:
    """What the certificate of a CEK, PEK or OCA says.

    Attributes:
        issuer_id: 16 bytes, in a CEK the id of the HSK, else zeros.
    """

    usage: int
    key: SM2PublicKey
    version: int = 1
    api_version: tuple[int, int] = (1, 3)
    algorithm: int = _SM2_SIGNING
    issuer_id: bytes = bytes(16)


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs a certificate of a platform, and how the certificate names that."""

    usage: int
    key: SM2PrivateKey
    algorithm: int = _SM2_SIGNING


def encode_key(key: SM2PublicKey) -> bytes:
    """Encode a key: 404 bytes."""
    x, y = (number.to_bytes(72, "little") for number in key.point)
    return struct.pack("<I72s72sH254s", _CURVE_SM2, x, y, len(key.name), key.name)


def encode_signature(signature: SM2Signature) -> bytes:
    """Encode a signature: 144 bytes."""
    return signature.r.to_bytes(72, "little") + signature.s.to_bytes(72, "little")


def issue_vendor_certificate(spec: VendorCertificateSpec, issuer: SM2PrivateKey) -> bytes:
    """Write and sign the certificate of an HRK or HSK: 832 bytes."""
    header = struct.pack("<I16s16sI24x", spec.version, spec.key_id, spec.issuer_id, spec.usage)
    body = header + encode_key(spec.key) + bytes(108)
    return body + encode_signature(issuer.sign(body)) + bytes(112)


def issue_platform_certificate(spec: PlatformCertificateSpec, *signers: Signer) -> bytes:
    """Write the certificate of a CEK, PEK or OCA and let one or two sign it: 2084 bytes."""
    header = struct.pack("<IBBHII", spec.version, *spec.api_version, 0, spec.usage, spec.algorithm)
    body = header + encode_key(spec.key) + spec.issuer_id + bytes(608)
    signatures = [
        struct.pack("<II512s", signer.usage, signer.algorithm, encode_signature(signer.key.sign(body)))
        for signer in signers
    ]
    empty = struct.pack("<II512x", KeyUsage.NONE, 0)
    return body + b"".join([*signatures, empty, empty][:2])
