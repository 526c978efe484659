"""The certificate of one of AMD's own keys, in the form of SEV's firmware: of the root (ARK), or of the ASK."""

import struct
from hashlib import sha256
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric import rsa

from verdictd.core.errors import MalformedError, UnsupportedError

_HEADER: Final = struct.Struct("<I16s16sI16xII")
_VERSION: Final = 1
_BITS: Final = frozenset({2048, 4096})
_EXPONENT: Final = 65537
MAX_VENDOR_CERTIFICATE_BYTES: Final = _HEADER.size + 3 * 512


class VendorCertificate(NamedTuple):
    """A parsed certificate. Trust: unauthenticated.

    Attributes:
        key_id, issuer_id: 16 bytes each; names of the key and of the key that signs it.
        usage: what the key is for.
        key: RSA, of 2048 or 4096 bits.
        signed: the bytes that the signature covers.
        signature: little-endian, as long as the key; empty in the old form of Naples' ARK, which has none.
    """

    key_id: bytes
    issuer_id: bytes
    usage: int
    key: rsa.RSAPublicKey
    signed: bytes
    signature: bytes

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what is signed, lower-case hex: the same whether the signature is there or not."""
        return sha256(self.signed).hexdigest()


def split_vendor_certificates(data: bytes) -> tuple[bytes, bytes]:
    """Split what AMD hands out for a product, ASK ‖ ARK, into the two.

    Raises:
        MalformedError: the first does not say how long it is, or nothing is behind it.
    """
    end = _read_sizes(data, "the ASK")[1]
    if not end < len(data) <= end + MAX_VENDOR_CERTIFICATE_BYTES:
        raise MalformedError(f"ASK and ARK are {len(data)} bytes long, of which the ASK is {end}")
    return data[:end], data[end:]


def parse_vendor_certificate(data: bytes, what: str) -> VendorCertificate:
    """Parse a certificate of AMD's.

    Layout: little-endian; version 0 (4), key id 4 (16), issuer's key id 20 (16), usage 36 (4), bits of the exponent
    56 (4), bits of the modulus 60 (4), exponent 64, modulus, signature (as long as the modulus, or not there).

    Raises:
        MalformedError: another length than it says, or numbers that are no RSA key.
        UnsupportedError: another version, or a key of another size.
    Spec:
        AMD 55766, appendix B.1, "AMD Signing Key Certificate Format".
    """
    body_end, end = _read_sizes(data, what)
    if len(data) not in {body_end, end}:
        raise MalformedError(f"{what} is {len(data)} bytes long, expected {end}")
    version, key_id, issuer_id, usage, exponent_bits, modulus_bits = _HEADER.unpack_from(data)
    if version != _VERSION:
        raise UnsupportedError(f"{what} has version {version}, expected {_VERSION}")
    modulus_offset = _HEADER.size + exponent_bits // 8
    exponent = int.from_bytes(data[_HEADER.size : modulus_offset], "little")
    modulus = int.from_bytes(data[modulus_offset:body_end], "little")
    if exponent != _EXPONENT or modulus.bit_length() != modulus_bits or modulus % 2 == 0:
        raise MalformedError(f"the key of {what} is not an RSA key of {modulus_bits} bits with exponent {_EXPONENT}")
    key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    return VendorCertificate(key_id, issuer_id, usage, key, data[:body_end], data[body_end:])


def _read_sizes(data: bytes, what: str) -> tuple[int, int]:
    """Return where a certificate's signature begins and ends."""
    if len(data) < _HEADER.size:
        raise MalformedError(f"{what} is {len(data)} bytes long, shorter than its header")
    *_, exponent_bits, modulus_bits = _HEADER.unpack_from(data)
    if exponent_bits not in _BITS or modulus_bits not in _BITS:
        raise UnsupportedError(f"the key of {what} has {modulus_bits} bits, expected 2048 or 4096")
    body_end = _HEADER.size + (exponent_bits + modulus_bits) // 8
    return body_end, body_end + modulus_bits // 8
