"""ECDSA on P-384 with SHA-256, as the keys of platforms sign: numbers little-endian, in fields of 72 bytes.

Spec: AMD 55766, appendix C.3 and C.4.
"""

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from verdictd.core.errors import AuthenticityError, MalformedError, UnsupportedError
from verdictd.tees.psp.numbers import EC_FIELD_BYTES, read_number

ECDSA_SHA256: Final = 2
CURVE_P384: Final = 2
_COORDINATE_BYTES: Final = 48
_ALGORITHM: Final = ec.ECDSA(hashes.SHA256())


def read_key(data: bytes, what: str) -> ec.EllipticCurvePublicKey:
    """Read a public key from the front of `data`.

    Layout: curve 0 (4), x 4 (72), y 76 (72); little-endian.

    Raises:
        UnsupportedError: of another curve.
        MalformedError: not a point of P-384.
    """
    curve = int.from_bytes(data[:4], "little")
    if curve != CURVE_P384:
        raise UnsupportedError(f"the key of {what} is on curve {curve}, expected {CURVE_P384}, P-384")
    x = read_number(data, 4, f"x of the key of {what}", used_bytes=_COORDINATE_BYTES)
    y = read_number(data, 4 + EC_FIELD_BYTES, f"y of the key of {what}", used_bytes=_COORDINATE_BYTES)
    try:
        return ec.EllipticCurvePublicNumbers(x, y, ec.SECP384R1()).public_key()
    except ValueError as error:
        raise MalformedError(f"the key of {what} is not a point of P-384") from error


def verify_ecdsa_signature(key: ec.EllipticCurvePublicKey, signature: bytes, message: bytes, what: str) -> None:
    """Verify a signature: r and s in 72 bytes each, from the front of `signature`.

    Raises:
        MalformedError: a number is longer than 48 bytes.
        AuthenticityError: it does not verify.
    """
    r = read_number(signature, 0, f"r of {what}", used_bytes=_COORDINATE_BYTES)
    s = read_number(signature, EC_FIELD_BYTES, f"s of {what}", used_bytes=_COORDINATE_BYTES)
    try:
        key.verify(encode_dss_signature(r, s), message, _ALGORITHM)
    except InvalidSignature as error:
        raise AuthenticityError(f"{what} does not verify") from error
