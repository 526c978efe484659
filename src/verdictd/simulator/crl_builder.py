"""Issues CRLs with the profile of Intel's: version 2, CRL number, authority key identifier."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding

from verdictd.simulator.certificate_builder import HashAlgorithm
from verdictd.simulator.keys import PrivateKey

BACKDATED = timedelta(minutes=10)
"""How long before the instant named an item is dated, so that a verifier whose clock is a little behind takes it."""
LIFETIME = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokedCertificate:
    """An entry of a CRL."""

    serial_number: int
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CRLSpec:
    """Everything a CRL is to say. Nothing is checked.

    Attributes:
        authority_key: the issuer's public key, for the authority key identifier.
        number: the CRL number; ``None`` leaves it out.
        this_update, next_update: ``None`` for a little before the instant of issue, and 30 days later.
        added: further extensions, each with whether it is critical.
    """

    issuer: x509.Name
    authority_key: CertificatePublicKeyTypes
    number: int | None
    revoked: tuple[RevokedCertificate, ...] = ()
    this_update: datetime | None = None
    next_update: datetime | None = None
    added: tuple[tuple[x509.ExtensionType, bool], ...] = ()
    hash_algorithm: HashAlgorithm = field(default_factory=hashes.SHA256)


def issue_crl(spec: CRLSpec, signer: PrivateKey, at: datetime) -> bytes:
    """Write the CRL that `spec` describes, as of `at`, and sign it; DER.

    Raises:
        ValueError: X.509 cannot express it (e.g. a next update before this one).
    Spec:
        Intel SGX PCK Certificate and Certificate Revocation List Profile Specification, revision 1.5, 1.4; RFC 5280, 5.
    """
    this_update = at - BACKDATED if spec.this_update is None else spec.this_update
    next_update = this_update + LIFETIME if spec.next_update is None else spec.next_update
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(spec.issuer)
        .last_update(this_update)
        .next_update(next_update)
    )
    for entry in spec.revoked:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder().serial_number(entry.serial_number).revocation_date(entry.since).build()
        )
    if spec.number is not None:
        builder = builder.add_extension(x509.CRLNumber(spec.number), critical=False)
    identifier = x509.SubjectKeyIdentifier.from_public_key(spec.authority_key)
    authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    builder = builder.add_extension(authority, critical=False)
    for extension, critical in spec.added:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(signer, spec.hash_algorithm).public_bytes(Encoding.DER)
