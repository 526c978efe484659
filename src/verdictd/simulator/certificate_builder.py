"""Issues certificates with the profile of Intel's SGX PKI: extensions, their order and criticality as in genuine ones.

Whatever a certificate says can be replaced in its spec, so that a test can damage one thing and have all else hold.
"""

from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import NameOID

from verdictd.simulator.keys import PrivateKey
from verdictd.simulator.sgx_extension import SGX_EXTENSION_OID, SGXExtensionSpec, encode_sgx_extension

HashAlgorithm = hashes.SHA256 | hashes.SHA384 | hashes.SHA512


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateSpec:
    """Everything a certificate is to say. Nothing is checked.

    Attributes:
        authority_key: the issuer's public key, for the authority key identifier.
        crl_url: CRL distribution point.
        is_ca, path_length: basic constraints; a path length needs `is_ca`.
        may_sign_certificates: key usage: keyCertSign and cRLSign, else digitalSignature and nonRepudiation.
        sgx_extension: what Intel's extension says, or its raw DER; ``None`` for certificates that have none.
        omitted: extensions to leave out.
        added: further extensions, each with whether it is critical.
        hash_algorithm: what the issuer signs with.
        is_deterministic: whether signing the same again gives the same signature (RFC 6979).
    """

    subject: x509.Name
    issuer: x509.Name
    serial_number: int
    not_before: datetime
    not_after: datetime
    public_key: CertificatePublicKeyTypes
    authority_key: CertificatePublicKeyTypes
    crl_url: str
    is_ca: bool = False
    path_length: int | None = None
    may_sign_certificates: bool = False
    sgx_extension: SGXExtensionSpec | bytes | None = None
    omitted: frozenset[x509.ObjectIdentifier] = frozenset()
    added: tuple[tuple[x509.ExtensionType, bool], ...] = ()
    hash_algorithm: HashAlgorithm = field(default_factory=hashes.SHA256)
    is_deterministic: bool = False


def simulated_name(common_name: str) -> x509.Name:
    """A distinguished name with the attributes of Intel's names, in their order, that cannot be taken for Intel's."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "verdictd tee-sim, not real hardware"),
            x509.NameAttribute(NameOID.LOCALITY_NAME, "Simulated"),
            x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "XX"),
            x509.NameAttribute(NameOID.COUNTRY_NAME, "XX"),
        ]
    )


def issue_certificate(spec: CertificateSpec, signer: PrivateKey) -> x509.Certificate:
    """Write the certificate that `spec` describes and sign it.

    Raises:
        ValueError: X.509 cannot express it (e.g. a path length without CA, a serial number of more than 159 bits).
    Spec:
        Intel SGX PCK Certificate and Certificate Revocation List Profile Specification, revision 1.5, 1.3.
    """
    builder = (
        x509.CertificateBuilder()
        .subject_name(spec.subject)
        .issuer_name(spec.issuer)
        .serial_number(spec.serial_number)
        .not_valid_before(spec.not_before)
        .not_valid_after(spec.not_after)
        .public_key(spec.public_key)
    )
    for extension, critical in (*_extensions(spec), *spec.added):
        if extension.oid not in spec.omitted:
            builder = builder.add_extension(extension, critical=critical)
    return builder.sign(signer, spec.hash_algorithm, ecdsa_deterministic=spec.is_deterministic or None)


def _extensions(spec: CertificateSpec) -> list[tuple[x509.ExtensionType, bool]]:
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (_authority_key_identifier(spec.authority_key), False),
        (_crl_distribution_points(spec.crl_url), False),
        (x509.SubjectKeyIdentifier.from_public_key(spec.public_key), False),
        (_key_usage(signs_certificates=spec.may_sign_certificates), True),
        (x509.BasicConstraints(ca=spec.is_ca, path_length=spec.path_length), True),
    ]
    if spec.sgx_extension is not None:
        der = spec.sgx_extension
        encoded = der if isinstance(der, bytes) else encode_sgx_extension(der)
        extensions.append((x509.UnrecognizedExtension(x509.ObjectIdentifier(SGX_EXTENSION_OID), encoded), False))
    return extensions


def _authority_key_identifier(key: CertificatePublicKeyTypes) -> x509.AuthorityKeyIdentifier:
    identifier = x509.SubjectKeyIdentifier.from_public_key(key)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _crl_distribution_points(url: str) -> x509.CRLDistributionPoints:
    name = x509.UniformResourceIdentifier(url)
    return x509.CRLDistributionPoints(
        [x509.DistributionPoint(full_name=[name], relative_name=None, reasons=None, crl_issuer=None)]
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=not signs_certificates,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
