"""The roots a verifier trusts: Intel's, pinned here, unless the operator names others."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from verdictd.core.errors import ConfigError, LimitExceededError, MalformedError
from verdictd.core.limits import MAX_CHAIN_BYTES
from verdictd.tees.dcap.x509_names import LIBRARY_ERRORS, NamedCertificate, parse_certificate

INTEL_ROOT_SHA256 = "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"
"""Fingerprint of Intel's SGX root CA (valid 2018-05-21 to 2049-12-31), which roots/ holds."""


@dataclass(frozen=True, slots=True)
class TrustRoot:
    """A self-signed root certificate that the operator trusts, and what to call it."""

    certificate: x509.Certificate
    label: str
    fingerprint: str = field(init=False)
    """SHA-256 of the certificate's DER, lower-case hex."""
    named: NamedCertificate = field(init=False)
    """The certificate with the bytes of its name, for comparing with those it issued."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "named", parse_certificate(self.certificate.public_bytes(Encoding.DER)))
        object.__setattr__(self, "fingerprint", self.certificate.fingerprint(hashes.SHA256()).hex())

    @property
    def is_intel(self) -> bool:
        """Whether this is Intel's root, the only one that vouches for real hardware."""
        return self.fingerprint == INTEL_ROOT_SHA256


@dataclass(frozen=True, slots=True)
class TrustRoots:
    """All the roots of one verifier. Empty roots are refused: they would make every check vacuous or impossible."""

    roots: tuple[TrustRoot, ...]
    key: str = field(init=False)
    """Tells one set of roots from another: facts that were established under a set are remembered under its key."""
    by_der: Mapping[bytes, NamedCertificate] = field(init=False, repr=False, compare=False)
    """The roots' certificates by their DER, for the chains that bring their root along."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", ",".join(root.fingerprint for root in self.roots))
        object.__setattr__(self, "by_der", {root.named.der: root.named for root in self.roots})
        if not self.roots:
            raise ConfigError("no trust root is given", remedy="name at least one with --trust-root, or leave it out")


@cache
def intel_trust_root() -> TrustRoot:
    """Return Intel's SGX root CA as shipped, after comparing it with the pinned fingerprint."""
    pem = files("verdictd.tees.dcap").joinpath("roots", "intel_sgx_root_ca.pem").read_bytes()
    root = TrustRoot(x509.load_pem_x509_certificate(pem), "Intel SGX Root CA")
    if not root.is_intel:
        raise ConfigError(
            f"the shipped Intel root has the fingerprint {root.fingerprint}, expected {INTEL_ROOT_SHA256}",
            remedy="this installation was altered: install it again",
        )
    return root


def parse_trust_roots(pem: bytes, label: str) -> tuple[TrustRoot, ...]:
    """Read the root certificates of a PEM file that the operator names as trusted.

    Args:
        pem: one or more self-signed certificates.
        label: what to call them, e.g. the file's name.
    Raises:
        ConfigError: no certificate, or one that is not a self-signed CA certificate.
        LimitExceededError: longer than `MAX_CHAIN_BYTES`.
    """
    if len(pem) > MAX_CHAIN_BYTES:
        raise LimitExceededError(f"trust root {label} is {len(pem)} bytes long, the limit is {MAX_CHAIN_BYTES}")
    try:
        roots = tuple(TrustRoot(certificate, label) for certificate in x509.load_pem_x509_certificates(pem))
        for root in roots:
            _check_root(root.certificate)
    except (*LIBRARY_ERRORS, MalformedError, InvalidSignature, x509.ExtensionNotFound) as error:
        raise ConfigError(
            f"trust root {label} is not a PEM file of self-signed CA certificates: {error}",
            remedy="give the root CA's own certificate (for a simulated platform: root-ca.pem in its directory)",
        ) from error
    return roots


def _check_root(certificate: x509.Certificate) -> None:
    """Refuse, with an error of the library's, what could not vouch for anything here anyway."""
    certificate.verify_directly_issued_by(certificate)
    if certificate.not_valid_before_utc > certificate.not_valid_after_utc:
        raise ValueError("it is never valid")
    if not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
        raise ValueError("basicConstraints says it is no CA")
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    if not usage.key_cert_sign or not usage.crl_sign:
        raise ValueError("its key usage is not to sign certificates and CRLs")
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise ValueError("its key is not on P-256")
