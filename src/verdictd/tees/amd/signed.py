"""What AMD signs: certificates and CRLs with one envelope, one algorithm, and nothing in them that is not signed.

The certificates of endorsement keys have the serial number 0, which X.509 does not allow and libraries will refuse.
They are therefore read here, down to the bytes.

Spec: RFC 5280, 4.1 and 5.1; RFC 4055, 3.1 (RSASSA-PSS); AMD 57230, chapter 3.
"""

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from verdictd.core.der import BIT_STRING, SEQUENCE, Element, read_elements, read_single
from verdictd.core.errors import AuthenticityError, MalformedError

RSA_BITS: Final = 4096
_SALT_BYTES: Final = 48
_SHA384: Final = hashes.SHA384()
_PSS: Final = padding.PSS(mgf=padding.MGF1(_SHA384), salt_length=_SALT_BYTES)
_RSASSA_PSS: Final = bytes.fromhex("06092a864886f70d01010a")
_HASH: Final = bytes.fromhex("0609608648016503040202")
_MGF1: Final = bytes.fromhex("06092a864886f70d010108")
_SALT: Final = bytes.fromhex("a203020130")
_TRAILER: Final = bytes.fromhex("a303020101")
_PARTS: Final = 3


def _wrap(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return bytes([tag, len(content)]) + content


_NULL: Final = b"\x05\x00"
_ALGORITHMS: Final = frozenset(
    _wrap(
        0x30,
        _RSASSA_PSS,
        _wrap(
            0x30,
            _wrap(0xA0, _wrap(0x30, _HASH, null)),
            _wrap(0xA1, _wrap(0x30, _MGF1, _wrap(0x30, _HASH, inner_null))),
            _SALT,
            trailer,
        ),
    )
    for null in (_NULL, b"")
    for inner_null in (_NULL, b"")
    for trailer in (_TRAILER, b"")
)
"""RSASSA-PSS with SHA-384, MGF1 with SHA-384 and 48 bytes of salt, in the forms in which it is written.

The parameters of the hashes are NULL or absent (RFC 4055, 2.1); the trailer field is at its default either way.
"""


def read_envelope(der: bytes, what: str) -> tuple[list[Element], bytes, bytes, bytes]:
    """Read a certificate or CRL: what is signed, and how.

    Returns:
        The members of what is signed, the bytes that the signature covers, the algorithm's DER, the signature.
    Raises:
        MalformedError: not a SEQUENCE of SEQUENCE, SEQUENCE and BIT STRING of whole bytes.
    """
    parts = read_single(der).expect(SEQUENCE, what).children()
    if len(parts) != _PARTS:
        raise MalformedError(f"{what} has {len(parts)} parts, expected {_PARTS}")
    body, algorithm, signature = parts
    members = body.expect(SEQUENCE, f"the body of {what}").children()
    octets = signature.expect(BIT_STRING, f"the signature of {what}").value
    if octets[:1] != b"\0":
        raise MalformedError(f"the signature of {what} is not a BIT STRING of whole bytes")
    return members, body.encoded, algorithm.expect(SEQUENCE, f"the algorithm of {what}").encoded, octets[1:]


def require_algorithm(outer: bytes, inner: Element, what: str) -> None:
    """Require that the algorithm is AMD's, and the same where it is signed and where it is not (RFC 5280, 4.1.1.2).

    Raises:
        AuthenticityError: it is another.
    """
    if outer != inner.encoded:
        raise AuthenticityError(f"{what} names one signature algorithm in what is signed, and another beside it")
    if outer not in _ALGORITHMS:
        raise AuthenticityError(f"{what} is not signed with RSASSA-PSS, SHA-384 and {_SALT_BYTES} bytes of salt")


def verify_signature(key: rsa.RSAPublicKey, signature: bytes, body: bytes, what: str, issuer: object) -> None:
    """Verify a signature, which has the length of the key (RFC 8017, 8.1.2): the library takes one without zeros too.

    The issuer is written only into a refusal: that takes a while.

    Raises:
        AuthenticityError: it does not verify.
    """
    try:
        if len(signature) * 8 != key.key_size:
            raise InvalidSignature
        key.verify(signature, body, _PSS, _SHA384)
    except InvalidSignature as error:
        raise AuthenticityError(f"the signature of {what} does not verify under the key of {issuer}") from error


def read_members(data: Element, tag: int, what: str) -> list[Element]:
    """Read what an explicitly tagged SEQUENCE holds.

    Raises:
        MalformedError: another tag, or not a single SEQUENCE.
    """
    data.expect(tag, what)
    inner = read_elements(data.data, data.value_start, data.end)
    if len(inner) != 1:
        raise MalformedError(f"{what} holds {len(inner)} elements, expected 1")
    return inner[0].expect(SEQUENCE, what).children()
