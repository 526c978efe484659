"""Names of certificates and CRLs as the bytes they are, for comparing them.

Names are compared byte for byte, which is stricter than RFC 5280 asks (7.1) and right for Intel's PKI, whose issuer
fields repeat the subject's bytes. It also spares building an object for each attribute of each name.
"""

from typing import NamedTuple

from cryptography import x509

from verdictd.core.der import OBJECT_IDENTIFIER, Element, read_element, read_single
from verdictd.core.errors import MalformedError

_COMMON_NAME = bytes.fromhex("550403")
_EXPLICIT_VERSION = 0xA0
_INTEGER = 0x02


class NamedCertificate(NamedTuple):
    """A certificate with the DER of its names. Untrusted."""

    certificate: x509.Certificate
    issuer: bytes
    subject: bytes

    def __str__(self) -> str:
        """The subject's common name, for messages."""
        return describe_name(self.subject)


def name_certificate(certificate: x509.Certificate) -> NamedCertificate:
    """Find the DER of a certificate's issuer and subject.

    Raises:
        MalformedError: the certificate's body does not have them where X.509 puts them (RFC 5280, 4.1).
    """
    body = certificate.tbs_certificate_bytes
    element = read_element(body, read_element(body, 0, len(body)).value_start, len(body))
    if element.tag == _EXPLICIT_VERSION:
        element = _next(element)  # serial number
    issuer = _next(_next(element))  # past the signature algorithm
    subject = _next(_next(issuer))  # past the validity
    return NamedCertificate(certificate, issuer.encoded, subject.encoded)


def crl_issuer(body: bytes) -> bytes:
    """Return the DER of a CRL's issuer, given the bytes that its signature covers.

    Raises:
        MalformedError: it is not where X.509 puts it (RFC 5280, 5.1).
    """
    element = read_element(body, read_element(body, 0, len(body)).value_start, len(body))
    if element.tag == _INTEGER:
        element = _next(element)  # signature algorithm
    return _next(element).encoded


def common_name(name: bytes) -> str:
    """Return the common name inside the DER of a name; empty where there is none, or several.

    Raises:
        MalformedError: not the DER of a name.
    """
    found: list[str] = []
    for relative in read_single(name).children():
        for attribute in relative.children():
            parts = attribute.children()
            if len(parts) == 2 and parts[0].tag == OBJECT_IDENTIFIER and parts[0].value == _COMMON_NAME:
                found.append(parts[1].value.decode("utf-8", errors="replace"))
    return found[0] if len(found) == 1 else ""


def describe_name(name: bytes) -> str:
    """Return a name for a message: its common name in quotes, or its bytes where it has none."""
    try:
        return repr(common_name(name) or name.hex())
    except MalformedError:
        return repr(name.hex())


def _next(element: Element) -> Element:
    return read_element(element.data, element.end, len(element.data))
