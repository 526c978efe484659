"""Keys of the simulated vendor and platform, and raw ECDSA as DCAP writes it. P-256 throughout, as Intel's."""

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

PrivateKey = ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate and the private key of its subject. The key is a secret only within the simulation."""

    certificate: x509.Certificate
    key: PrivateKey

    @property
    def pem(self) -> bytes:
        """The certificate in PEM, with a newline at its end."""
        return self.certificate.public_bytes(Encoding.PEM)


def generate_key() -> PrivateKey:
    """Make a new P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def raw_public_key(key: PrivateKey) -> bytes:
    """The public part as 64 bytes x ‖ y, big-endian."""
    numbers = key.public_key().public_numbers()
    return numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


def sign_raw(key: PrivateKey, message: bytes) -> bytes:
    """Sign with ECDSA and SHA-256; 64 bytes r ‖ s, big-endian."""
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")
