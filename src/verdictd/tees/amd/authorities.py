"""AMD's CAs: the ARKs, ASKs and ASVKs, and what each must be to vouch for anything."""

from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from verdictd.core.errors import AuthenticityError, MalformedError
from verdictd.tees.amd.signed import RSA_BITS, read_envelope, require_algorithm, verify_signature
from verdictd.tees.dcap.x509_names import LIBRARY_ERRORS, NamedCertificate, describe_name, parse_certificate

_UNDERSTOOD_CRITICAL = {x509.BasicConstraints.oid, x509.KeyUsage.oid}
_ALGORITHM_PLACE = 2
"""In the body of a certificate, after its version and serial number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A CA's certificate, read. Its signature is not verified by that.

    Attributes:
        named: with the bytes of its names.
        key: RSA, 4096 bits.
        may_sign_crls: whether it says so.
        path_length: how many CAs may stand below it; ``None`` for any.
        not_before, not_after: its validity (aware).
    """

    named: NamedCertificate = field(repr=False)
    key: rsa.RSAPublicKey = field(repr=False)
    may_sign_crls: bool
    path_length: int | None
    not_before: datetime
    not_after: datetime

    @property
    def der(self) -> bytes:
        """The certificate."""
        return self.named.der

    @property
    def common_name(self) -> str:
        """The subject's."""
        return self.named.common_name

    @property
    def serial_number(self) -> int:
        """As a CRL of its issuer's would list it."""
        return self.named.certificate.serial_number

    def __str__(self) -> str:
        """The subject's common name, for messages."""
        return describe_name(self.named.subject)


def parse_authority(der: bytes, what: str) -> Authority:
    """Read a CA's certificate.

    Raises:
        MalformedError: not a certificate.
        AuthenticityError: not of a CA with an RSA key of 4096 bits, or with a critical extension that is not known.
    """
    named = parse_certificate(der)
    certificate = named.certificate
    constraints: x509.BasicConstraints | None = None
    usage: x509.KeyUsage | None = None
    try:
        key = certificate.public_key()
        for extension in certificate.extensions:
            if extension.critical and extension.oid not in _UNDERSTOOD_CRITICAL:
                raise AuthenticityError(f"{what}: {named} has a critical extension {extension.oid.dotted_string}")
            if isinstance(extension.value, x509.BasicConstraints):
                constraints = extension.value
            elif isinstance(extension.value, x509.KeyUsage):
                usage = extension.value
        not_before, not_after = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except LIBRARY_ERRORS as error:
        raise MalformedError(f"{what}: the certificate of {named} cannot be read: {error}") from error
    if constraints is None or not constraints.ca or usage is None or not usage.key_cert_sign:
        raise AuthenticityError(f"{what}: {named} is no CA that may sign certificates")
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size != RSA_BITS:
        raise AuthenticityError(f"{what}: {named} has no RSA key of {RSA_BITS} bits")
    return Authority(
        named=named,
        key=key,
        may_sign_crls=usage.crl_sign,
        path_length=constraints.path_length,
        not_before=not_before,
        not_after=not_after,
    )


def verify_authority(child: Authority, issuer: Authority, what: str) -> None:
    """Verify that `issuer` issued `child`.

    Raises:
        AuthenticityError: another name, another algorithm, or a signature that does not verify.
    """
    if child.named.issuer != issuer.named.subject:
        raise AuthenticityError(f"{what}: {child} names another issuer than {issuer}")
    members, body, algorithm, signature = read_envelope(child.der, what)
    if len(members) <= _ALGORITHM_PLACE:
        raise MalformedError(f"{what}: the body of {child} is too short")
    require_algorithm(algorithm, members[_ALGORITHM_PLACE], f"{what}: {child}")
    verify_signature(issuer.key, signature, body, f"{what}: {child}", str(issuer))
