"""The roots of Hygon's that are trusted: the HRK, pinned here, unless the operator names others."""

from dataclasses import dataclass
from typing import Final

from verdictd.core.errors import AuthenticityError, ConfigError, MalformedError, UnsupportedError
from verdictd.tees.csv.vendor_certificate import KEY_ID_BYTES, VENDOR_CERTIFICATE_BYTES, parse_vendor_certificate
from verdictd.tees.psp.certificate import KeyUsage
from verdictd.tees.sm2.verification import SM2PublicKey, hash_sm3, make_public_key, verify_sm2_signature

_HRK_X: Final = 0xBE62E14D62A4F14CF3D702DB09563A75C80935E785CD1F502AF5F21D92C2F62D
_HRK_Y: Final = 0x3BAB123A57BB7015584F8B97164E95384A640C10B9BE884738744D68B41EB946
_HRK_NAME: Final = b"HYGON-SSD-HRK"
_HRK_ID: Final = bytes.fromhex("3ae86a9701355cce333a589de21583d7")


@dataclass(frozen=True, slots=True)
class HygonRoot:
    """A root that is trusted: its key, its id of `KEY_ID_BYTES` bytes, and what to call it."""

    key: SM2PublicKey
    key_id: bytes
    label: str

    def __post_init__(self) -> None:
        if len(self.key_id) != KEY_ID_BYTES:
            raise ValueError(f"the id of a root is {KEY_ID_BYTES} bytes long")

    @property
    def fingerprint(self) -> str:
        """SM3 of the key, x ‖ y, lower-case hex."""
        return hash_sm3(self.key.encoded).hex()


@dataclass(frozen=True, slots=True)
class HygonRoots:
    """All the roots that are trusted. Empty roots are refused."""

    roots: tuple[HygonRoot, ...]

    def __post_init__(self) -> None:
        if not self.roots:
            raise ConfigError("no root of Hygon's is given", remedy="name at least one, or leave the setting out")


def hygon_root() -> HygonRoot:
    """Return Hygon's own root, the only one that vouches for real processors."""
    return HygonRoot(make_public_key(_HRK_X, _HRK_Y, _HRK_NAME), _HRK_ID, "Hygon HRK")


def parse_hygon_root(data: bytes, label: str) -> HygonRoot:
    """Read an HRK certificate of 832 bytes that the operator names as trusted.

    Args:
        data: the certificate, self-signed.
        label: what to call it, e.g. the file's name.
    Raises:
        ConfigError: it is no certificate of a root.
    """
    try:
        certificate = parse_vendor_certificate(data, "the root")
        if certificate.usage != KeyUsage.VENDOR_ROOT:
            raise AuthenticityError(f"its key is of usage 0x{certificate.usage:x}, expected 0")
        if certificate.issuer_id != certificate.key_id:
            raise AuthenticityError("it says that another key signs it")
        verify_sm2_signature(certificate.key, certificate.signature, certificate.signed, "its signature")
    except (MalformedError, UnsupportedError, AuthenticityError) as error:
        raise ConfigError(
            f"Hygon root {label} is not the certificate of an HRK: {error}",
            remedy=f"give the HRK's own certificate, {VENDOR_CERTIFICATE_BYTES} bytes",
        ) from error
    return HygonRoot(certificate.key, certificate.key_id, label)
