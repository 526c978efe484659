"""The roots of AMD's that are trusted for SEV: one ARK for each product, pinned here, unless others are named."""

from dataclasses import dataclass
from typing import Final

from verdictd.core.errors import AuthenticityError, ConfigError, MalformedError, UnsupportedError
from verdictd.tees.psp.certificate import KeyUsage
from verdictd.tees.sev.rsa_signature import verify_rsa_signature
from verdictd.tees.sev.vendor_certificate import VendorCertificate, parse_vendor_certificate

ARK_SHA256: Final = {
    "naples": "8efddcaaf84990cf6354d93637be270220cf15797332b3d918c3b8cc77349f31",
    "rome": "ae2456af6c6ad234badd6c75e58915be61568286766083853bf668e6e23977c3",
    "milan": "263b13fd3170c6ffbb0b4f01f09848dc08a8dc1e9637d47e42cbe6c135e4af12",
    "genoa": "973df6265e1b40cf8883305c1f6a6cd254979446acb40bd396946b2f19e751e9",
    "turin": "89327696f8082b20f5a588565adc26d478e1c6d56153c1de656e63396b8f8e20",
}
"""Fingerprints of AMD's ARKs in the form of SEV's firmware, see `VendorCertificate.fingerprint`."""


@dataclass(frozen=True, slots=True)
class SEVRoot:
    """An ARK that is trusted, by its fingerprint in lower-case hex, and what to call it."""

    fingerprint: str
    label: str


@dataclass(frozen=True, slots=True)
class SEVRoots:
    """All the roots that are trusted. Empty roots are refused."""

    roots: tuple[SEVRoot, ...]

    def __post_init__(self) -> None:
        if not self.roots:
            raise ConfigError("no root of AMD's is given for SEV", remedy="name at least one, or leave the setting out")

    def find(self, certificate: VendorCertificate) -> SEVRoot | None:
        """Return the root that a certificate is."""
        return next((root for root in self.roots if root.fingerprint == certificate.fingerprint), None)


def amd_sev_roots() -> tuple[SEVRoot, ...]:
    """Return AMD's own roots, the only ones that vouch for real processors."""
    return tuple(SEVRoot(fingerprint, f"AMD ARK {product}") for product, fingerprint in ARK_SHA256.items())


def parse_sev_root(data: bytes, label: str) -> SEVRoot:
    """Read an ARK, self-signed, that the operator names as trusted.

    Args:
        data: the certificate, in the form of SEV's firmware.
        label: what to call it, e.g. the file's name.
    Raises:
        ConfigError: it is no certificate of a root.
    """
    try:
        certificate = parse_vendor_certificate(data, "the root")
        if certificate.usage != KeyUsage.VENDOR_ROOT:
            raise AuthenticityError(f"its key is of usage 0x{certificate.usage:x}, expected 0")
        verify_rsa_signature(certificate.key, certificate.signature, certificate.signed, "its signature")
    except (MalformedError, UnsupportedError, AuthenticityError) as error:
        raise ConfigError(
            f"AMD root {label} is not the certificate of an ARK: {error}",
            remedy="give the ARK's own certificate, in the form of SEV's firmware, with its signature",
        ) from error
    return SEVRoot(certificate.fingerprint, label)
