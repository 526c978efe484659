"""Names of certificates and CRLs as the bytes they are, for comparing them.

Names are compared byte for byte, which is stricter than RFC 5280 asks (7.1) and right for Intel's PKI, whose issuer
fields repeat the subject's bytes. It also spares building an object for each attribute of each name.
"""

from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from verdictd.core.der import INTEGER, OBJECT_IDENTIFIER, read_header
from verdictd.core.errors import MalformedError

LIBRARY_ERRORS = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What the library raises for certificates and CRLs that it does not like, at parsing or when a field is first read."""

_COMMON_NAME = bytes.fromhex("550403")
_EXPLICIT_VERSION = 0xA0
_MAX_SHOWN = 100


class NamedCertificate(NamedTuple):
    """A certificate with the bytes that links between certificates are checked on. Untrusted.

    Attributes:
        certificate: for its key, its extensions, its times.
        der: the whole certificate.
        body: the bytes that the signature covers (tbsCertificate).
        issuer, subject: the DER of the names.
        common_name: the subject's; empty where it has none, or several.
    """

    certificate: x509.Certificate
    der: bytes
    body: bytes
    issuer: bytes
    subject: bytes
    common_name: str

    def __str__(self) -> str:
        """The subject's common name, for messages."""
        return describe_name(self.subject)


def parse_certificate(der: bytes) -> NamedCertificate:
    """Parse a certificate.

    Raises:
        MalformedError: not an X.509 certificate in DER (RFC 5280, 4.1).
    """
    try:
        body, issuer, subject, name = _read_body(der)
        certificate = x509.load_der_x509_certificate(der)
        _require_whole_signature(der, certificate.signature)
    except (*LIBRARY_ERRORS, MalformedError) as error:
        raise MalformedError(f"not an X.509 certificate: {error}") from error
    return NamedCertificate(certificate, der, body, issuer, subject, name)


def _read_body(der: bytes) -> tuple[bytes, bytes, bytes, str]:
    """Read the signed bytes, the DER of issuer and subject, and the subject's common name."""
    body_start = read_header(der, 0, len(der))[1]
    _, start, end = read_header(der, body_start, len(der))
    tag, serial_start, after = read_header(der, start, end)
    if tag == _EXPLICIT_VERSION:
        _, serial_start, after = read_header(der, after, end)
    if int.from_bytes(der[serial_start:after], "big", signed=True) <= 0:
        raise MalformedError("its serial number is not positive")  # RFC 5280, 4.1.2.2; the library only warns
    issuer_start = read_header(der, after, end)[2]  # past the signature algorithm
    issuer_end = read_header(der, issuer_start, end)[2]
    subject_start = read_header(der, issuer_end, end)[2]  # past the validity
    subject = der[subject_start : read_header(der, subject_start, end)[2]]
    return der[body_start:end], der[issuer_start:issuer_end], subject, common_name(subject)


def parse_crl(der: bytes) -> tuple[x509.CertificateRevocationList, bytes, bytes]:
    """Parse a CRL.

    Returns:
        The CRL, the bytes that its signature covers (tbsCertList), and the DER of its issuer's name.
    Raises:
        MalformedError: not an X.509 CRL in DER (RFC 5280, 5.1).
    """
    try:
        crl = x509.load_der_x509_crl(der)
        _ = crl.extensions
        _require_whole_signature(der, crl.signature)
    except (*LIBRARY_ERRORS, MalformedError) as error:
        raise MalformedError(f"not an X.509 CRL: {error}") from error
    body_start = read_header(der, 0, len(der))[1]
    _, start, end = read_header(der, body_start, len(der))
    tag, _, after = read_header(der, start, end)
    if tag == INTEGER:  # the version, which is optional
        after = read_header(der, after, end)[2]  # past the signature algorithm
    return crl, der[body_start:end], der[after : read_header(der, after, end)[2]]


def _require_whole_signature(der: bytes, signature: bytes) -> None:
    """Refuse a signature whose count of unused bits, the byte before it, is not 0.

    The library passes over a count where those bits are zero, so that some changed bytes would otherwise be the same
    certificate or CRL.
    """
    if not der.endswith(b"\0" + signature):
        raise MalformedError("its signature is not a BIT STRING of whole bytes (RFC 5280, 4.1.1.3)")


def common_name(name: bytes) -> str:
    """Return the common name inside the DER of a name; empty where there is none, or several.

    Raises:
        MalformedError: not the DER of a name.
    """
    found: list[bytes] = []
    _, relative, end = read_header(name, 0, len(name))
    if end != len(name):
        raise MalformedError(f"{len(name) - end} bytes follow the name")
    while relative < end:
        _, attribute, relative = read_header(name, relative, end)
        while attribute < relative:
            _, kind, attribute_end = read_header(name, attribute, relative)
            tag, kind_start, kind_end = read_header(name, kind, attribute_end)
            _, value_start, value_end = read_header(name, kind_end, attribute_end)
            if value_end != attribute_end:
                raise MalformedError("an attribute of the name is not a type and a value")
            if tag == OBJECT_IDENTIFIER and name[kind_start:kind_end] == _COMMON_NAME:
                found.append(name[value_start:value_end])
            attribute = attribute_end
    return found[0].decode("utf-8", errors="replace") if len(found) == 1 else ""


def describe_name(name: bytes) -> str:
    """Return a name for a message: its common name in quotes, or its bytes where it has none, or their beginning."""
    try:
        text = common_name(name) or name.hex()
    except MalformedError:
        text = name.hex()
    return repr(text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…")
