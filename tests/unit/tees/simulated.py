"""Simulated platforms that tests of this package share, made once, and bytes that are nearly theirs."""

import base64
from datetime import UTC, datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

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
