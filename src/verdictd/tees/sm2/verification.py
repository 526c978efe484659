"""SM2 signatures: over SM3, with the signer's name hashed in before the message.

Spec: GB/T 32918.2-2016, 5.5 (the signer's digest Z) and 7.1 (verification); GM/T 0004-2012 and ISO/IEC 10118-3:2018
for SM3.
"""

from typing import Final, NamedTuple

from cryptography.hazmat.primitives import hashes

from verdictd.core.errors import AuthenticityError, LimitExceededError, MalformedError
from verdictd.tees.sm2.curve import COORDINATE_BYTES, GENERATOR, ORDER, A, B, Point, add_multiples

MAX_NAME_BYTES: Final = 254
"""The longest name of a signer that Hygon's certificates have room for."""
MAX_MESSAGE_BYTES: Final = 4096
"""The longest message: everything that Hygon signs is part of a page."""


class SM2Signature(NamedTuple):
    """The two numbers of a signature, as found: any integers."""

    r: int
    s: int


class SM2PublicKey(NamedTuple):
    """A key and the name that its owner signs with. Make it with `make_public_key`, which looks at both."""

    point: Point
    name: bytes

    @property
    def encoded(self) -> bytes:
        """The point as 64 bytes x ‖ y, big-endian."""
        return _encode(self.point.x) + _encode(self.point.y)


def make_public_key(x: int, y: int, name: bytes) -> SM2PublicKey:
    """Make a key of its coordinates and of its owner's name.

    Raises:
        MalformedError: not a point of the curve.
        LimitExceededError: the name is longer than `MAX_NAME_BYTES`.
    """
    point = Point(x, y)
    if not point.is_on_curve:
        raise MalformedError("the public key is not a point of the SM2 curve")
    if len(name) > MAX_NAME_BYTES:
        raise LimitExceededError(f"the signer's name is {len(name)} bytes long, the limit is {MAX_NAME_BYTES}")
    return SM2PublicKey(point, name)


def hash_sm3(data: bytes) -> bytes:
    """Return the SM3 digest, 32 bytes."""
    digest = hashes.Hash(hashes.SM3())
    digest.update(data)
    return digest.finalize()


def hash_message(key: SM2PublicKey, message: bytes) -> int:
    """Return the number that `key` signs for a message: SM3(Z ‖ message), where Z is SM3 of name, curve and key."""
    length = (8 * len(key.name)).to_bytes(2, "big")
    parameters = b"".join(_encode(number) for number in (A, B, *GENERATOR, *key.point))
    return int.from_bytes(hash_sm3(hash_sm3(length + key.name + parameters) + message), "big")


def verify_sm2_signature(key: SM2PublicKey, signature: SM2Signature, message: bytes, what: str) -> None:
    """Verify the signature of `message`.

    Raises:
        AuthenticityError: it does not verify.
        LimitExceededError: the message is longer than `MAX_MESSAGE_BYTES`.
    """
    if len(message) > MAX_MESSAGE_BYTES:
        raise LimitExceededError(f"{what}: the message is {len(message)} bytes long, the limit is {MAX_MESSAGE_BYTES}")
    if not _holds(key, signature, message):
        raise AuthenticityError(f"{what} does not verify")


def _holds(key: SM2PublicKey, signature: SM2Signature, message: bytes) -> bool:
    r, s = signature
    if not (0 < r < ORDER and 0 < s < ORDER):
        return False
    t = (r + s) % ORDER
    if t == 0:
        return False
    point = add_multiples(s, t, key.point)
    return point is not None and (hash_message(key, message) + point.x) % ORDER == r


def _encode(number: int) -> bytes:
    return number.to_bytes(COORDINATE_BYTES, "big")
