"""AMD's own signatures: RSASSA-PSS, whose hash goes with the length of the key, little-endian.

Spec: AMD 55766, appendix B.2; RFC 8017, 8.1.
"""

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from verdictd.core.errors import AuthenticityError

_HASHES: Final[dict[int, hashes.HashAlgorithm]] = {2048: hashes.SHA256(), 4096: hashes.SHA384()}
_ALGORITHMS: Final = {2048: 0x1, 4096: 0x101}


def name_algorithm(key: rsa.RSAPublicKey) -> int:
    """Return the number by which certificates name the algorithm of a key of 2048 or 4096 bits."""
    return _ALGORITHMS[key.key_size]


def verify_rsa_signature(key: rsa.RSAPublicKey, signature: bytes, message: bytes, what: str) -> None:
    """Verify a signature, little-endian and as long as the key.

    Raises:
        AuthenticityError: it does not verify, or has another length.
    """
    if len(signature) * 8 != key.key_size:
        raise AuthenticityError(f"{what} is {len(signature)} bytes long, the key is {key.key_size // 8}")
    algorithm = _HASHES[key.key_size]
    pss = padding.PSS(mgf=padding.MGF1(algorithm), salt_length=algorithm.digest_size)
    try:
        key.verify(signature[::-1], message, pss, algorithm)
    except InvalidSignature as error:
        raise AuthenticityError(f"{what} does not verify") from error
