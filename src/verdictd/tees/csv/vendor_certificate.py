"""The certificate of one of Hygon's own keys: of the root (HRK), or of what signs for chips (HSK). Parsing only."""

import struct
from typing import Final, NamedTuple

from verdictd.core.errors import MalformedError, UnsupportedError
from verdictd.tees.csv.sm2_fields import read_key, read_signature
from verdictd.tees.sm2.verification import SM2PublicKey, SM2Signature

VENDOR_CERTIFICATE_BYTES: Final = 832
KEY_ID_BYTES: Final = 16
_SIGNED_BYTES: Final = 576
_KEY_OFFSET: Final = 64
_HEADER: Final = struct.Struct("<I16s16sI")
_VERSION: Final = 1


class VendorCertificate(NamedTuple):
    """A parsed certificate. Trust: unauthenticated.

    Attributes:
        key_id, issuer_id: 16 bytes each; names of the key and of the key that signs it.
        usage: what the key is for.
        key: the key, and the name that its owner signs with.
        signed: the bytes that the signature covers.
        signature: by the issuer's key.
    """

    key_id: bytes
    issuer_id: bytes
    usage: int
    key: SM2PublicKey
    signed: bytes
    signature: SM2Signature


def parse_vendor_certificate(data: bytes, what: str) -> VendorCertificate:
    """Parse a certificate of a vendor's key.

    Layout: 832 bytes, little-endian; version 0 (4), key id 4 (16), issuer's key id 20 (16), usage 36 (4), key 64 (404),
    signature 576 (144); the rest is reserved.

    Raises:
        MalformedError: not 832 bytes, or a key or signature that is none.
        UnsupportedError: another version, or another curve.
    """
    if len(data) != VENDOR_CERTIFICATE_BYTES:
        raise MalformedError(f"{what} is {len(data)} bytes long, expected {VENDOR_CERTIFICATE_BYTES}")
    version, key_id, issuer_id, usage = _HEADER.unpack_from(data)
    if version != _VERSION:
        raise UnsupportedError(f"{what} has version {version}, expected {_VERSION}")
    return VendorCertificate(
        key_id=key_id,
        issuer_id=issuer_id,
        usage=usage,
        key=read_key(data[_KEY_OFFSET:], what),
        signed=data[:_SIGNED_BYTES],
        signature=read_signature(data[_SIGNED_BYTES:], f"the signature of {what}"),
    )
