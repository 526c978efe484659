"""ECDSA over P-256 with SHA-256 on raw keys (x ‖ y) and raw signatures (r ‖ s), as DCAP uses it everywhere."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from verdictd.core.errors import AuthenticityError, MalformedError

_CURVE = ec.SECP256R1()
ECDSA_SHA256 = ec.ECDSA(hashes.SHA256())


def parse_raw_public_key(raw: bytes) -> ec.EllipticCurvePublicKey:
    """Read a P-256 public key from its 64 bytes x ‖ y.

    Raises:
        MalformedError: not 64 bytes, or not a point of the curve.
    """
    if len(raw) != 64:
        raise MalformedError(f"a raw P-256 public key is 64 bytes long, this one is {len(raw)}")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, b"\x04" + raw)
    except ValueError as error:
        raise MalformedError("the public key is not a point of P-256") from error


def verify_raw_signature(key: ec.EllipticCurvePublicKey, signature: bytes, message: bytes, what: str) -> None:
    """Verify the 64-byte signature r ‖ s of `message`.

    Raises:
        AuthenticityError: it does not verify.
    """
    if len(signature) != 64:
        raise AuthenticityError(f"{what}: a raw P-256 signature is 64 bytes long, this one is {len(signature)}")
    encoded = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    try:
        key.verify(encoded, message, ECDSA_SHA256)
    except InvalidSignature as error:
        raise AuthenticityError(f"{what} does not verify") from error
