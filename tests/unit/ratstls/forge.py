"""Certificates as an attacker or an odd peer would write them: DER from the ground up, any field can be wrong."""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Self

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from verdictd.ratstls.certificate_builder import PrivateKey
from verdictd.ratstls.evidence import encode_claims_buffer, encode_evidence_extension

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_EC_KEY = ec.generate_private_key(ec.SECP256R1())

ECDSA_SHA256 = "1.2.840.10045.4.3.2"
RSA_SHA256 = "1.2.840.113549.1.1.11"
BASIC_CONSTRAINTS = ("2.5.29.19", False, bytes.fromhex("3000"))


def tlv(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    if len(content) < 0x80:
        return bytes((tag, len(content))) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def oid(text: str) -> bytes:
    first, second, *rest = map(int, text.split("."))
    content = bytearray()
    for arc in (40 * first + second, *rest):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(arc & 0x7F | 0x80)
        content += bytes(reversed(groups))
    return tlv(0x06, bytes(content))


def name(common_name: str) -> bytes:
    return tlv(0x30, tlv(0x31, tlv(0x30, oid("2.5.4.3"), tlv(0x0C, common_name.encode()))))


def generalized(time: datetime) -> bytes:
    return tlv(0x18, time.strftime("%Y%m%d%H%M%SZ").encode())


def utc(time: datetime) -> bytes:
    return tlv(0x17, time.strftime("%y%m%d%H%M%SZ").encode())


def spki_of(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def extension(identifier: str, critical: bool, value: bytes) -> bytes:
    flag = tlv(0x01, b"\xff") if critical else b""
    return tlv(0x30, oid(identifier), flag, tlv(0x04, value))


@dataclass(frozen=True, kw_only=True)
class Forged:
    """A certificate to be written. Valid as it stands; change one field to make it wrong in one way."""

    key: PrivateKey = EC_KEY
    signer: PrivateKey | None = None
    version: bytes = tlv(0xA0, tlv(0x02, b"\x02"))
    serial: bytes = tlv(0x02, b"\x01")
    parameters: bytes = b""
    algorithm: str = ECDSA_SHA256
    outer_algorithm: bytes | None = None
    issuer: bytes = name("RATS-TLS")
    subject: bytes = name("RATS-TLS")
    not_before: bytes = utc(datetime(2026, 1, 1, tzinfo=UTC))
    not_after: bytes = utc(datetime(2027, 1, 1, tzinfo=UTC))
    spki: bytes | None = None
    extensions: tuple[tuple[str, bool, bytes], ...] = (BASIC_CONSTRAINTS,)
    after_key: bytes = b""
    tail: bytes = b""
    digest: hashes.HashAlgorithm = field(default_factory=hashes.SHA256)

    def but(self, **changes: object) -> Self:
        return replace(self, **changes)  # type: ignore[arg-type]

    def with_extensions(self, *more: tuple[str, bool, bytes]) -> Self:
        return self.but(extensions=self.extensions + more)

    def tbs(self) -> bytes:
        listed = b"".join(extension(*each) for each in self.extensions)
        return tlv(
            0x30,
            self.version,
            self.serial,
            tlv(0x30, oid(self.algorithm), self.parameters),
            self.issuer,
            tlv(0x30, self.not_before, self.not_after),
            self.subject,
            self.spki or spki_of(self.key),
            self.after_key,
            tlv(0xA3, tlv(0x30, listed)) if listed else b"",
            self.tail,
        )

    def der(self) -> bytes:
        tbs, signer = self.tbs(), self.signer or self.key
        if isinstance(signer, rsa.RSAPrivateKey):
            signature = signer.sign(tbs, padding.PKCS1v15(), self.digest)
        else:
            signature = signer.sign(tbs, ec.ECDSA(self.digest))
        algorithm = self.outer_algorithm or tlv(0x30, oid(self.algorithm), self.parameters)
        return tlv(0x30, tbs, algorithm, tlv(0x03, b"\x00", signature))


def quote(report_data: bytes = bytes(64), *, version: int = 3, key_type: int = 2, tee: int = 0) -> bytes:
    """The header and body of a quote and nothing that would make it genuine."""
    header = version.to_bytes(2, "little") + key_type.to_bytes(2, "little") + tee.to_bytes(4, "little")
    return header.ljust(48, b"\x00") + bytes(320) + report_data + (4).to_bytes(4, "little") + b"-----BEGIN CERTIFICATE"


def report_data_of(evidence: bytes) -> bytes:
    """The user data of an SGX quote."""
    return evidence[48 + 320 : 48 + 384]


def interoperable(key: PrivateKey = EC_KEY, **claims: bytes) -> tuple[str, bool, bytes]:
    """An evidence extension whose claims and quote are bound to the key."""
    claims_buffer = encode_claims_buffer(hashlib.sha256(spki_of(key)).digest(), claims)
    bound = quote(hashlib.sha256(claims_buffer).digest().ljust(64, b"\x00"))
    return ("2.23.133.5.4.9", False, encode_evidence_extension(bound, claims_buffer))


def legacy(key: PrivateKey = EC_KEY, identifier: str = "1.2.840.113741.1337.6") -> tuple[str, bool, bytes]:
    """A legacy evidence extension whose quote is bound to the key."""
    return (identifier, False, quote(hashlib.sha256(spki_of(key)).digest().ljust(64, b"\x00")))
