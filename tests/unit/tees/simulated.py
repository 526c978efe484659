"""Simulated platforms that tests of this package share, made once, and bytes that are nearly theirs."""

import base64
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from verdictd.simulator.keys import Credential, PrivateKey
from verdictd.simulator.pki import CertificateRole
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.tees.dcap.trust_roots import TrustRoots, parse_trust_roots

AT = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
REPORT_DATA = bytes(range(64))


@cache
def platform() -> SimulatedPlatform:
    return SimulatedPlatform.create(at=AT)


@cache
def other() -> SimulatedPlatform:
    """A platform of another vendor, whose certificates bear the same names."""
    return SimulatedPlatform.create(at=AT)


def roots_of(*platforms: SimulatedPlatform) -> TrustRoots:
    return TrustRoots(tuple(root for each in platforms for root in parse_trust_roots(each.trust_root_pem, "simulated")))


@cache
def quote(version: int = 3) -> bytes:
    return platform().quote(report_data=REPORT_DATA, quote_version=version)


def flipped(data: bytes, bit: int) -> bytes:
    damaged = bytearray(data)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def pem_of(certificate: x509.Certificate | bytes) -> bytes:
    """PEM of a certificate, or of any bytes in a certificate's place."""
    der = certificate if isinstance(certificate, bytes) else certificate.public_bytes(Encoding.DER)
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"


def with_extension(
    sim: SimulatedPlatform, role: CertificateRole, value: x509.ExtensionType, *, critical: bool
) -> SimulatedPlatform:
    """The platform with one extension of a role's certificate replaced, and the certificate signed again."""
    present = sim.pki.credential(role)
    builder = (
        x509.CertificateBuilder()
        .subject_name(present.certificate.subject)
        .issuer_name(present.certificate.issuer)
        .serial_number(present.certificate.serial_number)
        .not_valid_before(present.certificate.not_valid_before_utc)
        .not_valid_after(present.certificate.not_valid_after_utc)
        .public_key(present.key.public_key())
    )
    for extension in present.certificate.extensions:
        replaced = extension.oid == value.oid
        builder = builder.add_extension(
            value if replaced else extension.value, critical=critical if replaced else extension.critical
        )
    certificate = builder.sign(sim.pki.issuer(role).key, hashes.SHA256())
    return replace(sim, pki=sim.pki.with_credential(role, Credential(certificate, present.key)))


def key_usage(*uses: str) -> x509.KeyUsage:
    """Key usage with the uses named, e.g. ``crl_sign``, and no others."""
    return x509.KeyUsage(**{**dict.fromkeys(_KEY_USES, False), **dict.fromkeys(uses, True)})


_KEY_USES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def signed_again(body: bytes, key: PrivateKey) -> bytes:
    """A certificate or CRL with the signed part given, signed with ECDSA and SHA-256.

    The length of the signed part is set right, so that a field of it may have been taken out or put in. What is no
    element at all is signed as it is.
    """
    if len(body) > 4 and body[0] == 0x30:
        content = body[2 + (body[1] & 0x7F if body[1] & 0x80 else 0) :]
        body = b"\x30" + _length(len(content)) + content
    signature = b"\0" + key.sign(body, ec.ECDSA(hashes.SHA256()))
    rest = bytes.fromhex("300a06082a8648ce3d040302") + b"\x03" + _length(len(signature)) + signature
    return b"\x30" + _length(len(body) + len(rest)) + body + rest


def _length(size: int) -> bytes:
    if size < 0x80:
        return bytes([size])
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(octets)]) + octets


YEAR_2050 = datetime(2050, 1, 1, tzinfo=UTC)
"""From this year on DER writes dates with the whole year."""


def in_year_zero(body: bytes) -> bytes:
    """The signed part of a certificate or CRL, with the beginning of 2050 in it moved to the year 0."""
    assert b"20500101000000Z" in body
    return body.replace(b"20500101000000Z", b"00000101000000Z")
