"""SM2 keys and signatures as Hygon's certificates and reports hold them."""

from typing import Final

from verdictd.core.errors import MalformedError, UnsupportedError
from verdictd.tees.psp.numbers import EC_FIELD_BYTES, read_number
from verdictd.tees.sm2.curve import COORDINATE_BYTES
from verdictd.tees.sm2.verification import MAX_NAME_BYTES, SM2PublicKey, SM2Signature, make_public_key

SM2_SIGNING: Final = 4
"""The number of the algorithm: SM2 with SM3."""
CURVE_SM2: Final = 3
KEY_BYTES: Final = 404
"""Curve, two coordinates, and the length and room of the owner's name."""
_NAME_LENGTH: Final = 4 + 2 * EC_FIELD_BYTES
_NAME: Final = _NAME_LENGTH + 2


def read_key(data: bytes, what: str) -> SM2PublicKey:
    """Read a public key from the front of `data`.

    Layout: curve 0 (4), x 4 (72), y 76 (72), length of the owner's name 148 (2), name 150 (254); little-endian.

    Raises:
        UnsupportedError: of another curve.
        MalformedError: not a point, or a name that is longer than its room.
    """
    curve = int.from_bytes(data[:4], "little")
    if curve != CURVE_SM2:
        raise UnsupportedError(f"the key of {what} is on curve {curve}, expected {CURVE_SM2}, SM2")
    length = int.from_bytes(data[_NAME_LENGTH:_NAME], "little")
    if length > MAX_NAME_BYTES:
        raise MalformedError(f"the name in {what} is {length} bytes long, there is room for {MAX_NAME_BYTES}")
    x = read_number(data, 4, f"x of the key of {what}", used_bytes=COORDINATE_BYTES)
    y = read_number(data, 4 + EC_FIELD_BYTES, f"y of the key of {what}", used_bytes=COORDINATE_BYTES)
    return make_public_key(x, y, data[_NAME : _NAME + length])


def read_signature(data: bytes, what: str) -> SM2Signature:
    """Read a signature, r and s in 72 bytes each, from the front of `data`.

    Raises:
        MalformedError: a number is longer than 32 bytes.
    """
    r = read_number(data, 0, f"r of {what}", used_bytes=COORDINATE_BYTES)
    return SM2Signature(r, read_number(data, EC_FIELD_BYTES, f"s of {what}", used_bytes=COORDINATE_BYTES))
