"""Certificates that lie beside collateral in files, and which of them signed what.

A PCS answers with the chain in a header, which a saved answer has lost; here it is put together again from whatever
certificates are at hand. Finding the signer proves nothing by itself: the chain is verified when the item is.
"""

from collections.abc import Callable

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from verdictd.core.errors import AuthenticityError, CollateralError, LimitExceededError, MalformedError
from verdictd.tees.dcap.certificates import p256_key
from verdictd.tees.dcap.collateral import SignedDocument
from verdictd.tees.dcap.ecdsa import verify_raw_signature
from verdictd.tees.dcap.endorsements import TCB_SIGNER_SUFFIX
from verdictd.tees.dcap.x509_names import NamedCertificate, common_name, describe_name, parse_certificate, parse_crl

_MAX_CERTIFICATES = 1024


class CertificatePool:
    """Certificates by the name of their subject. Untrusted."""

    def __init__(self) -> None:
        self._by_subject: dict[bytes, dict[bytes, NamedCertificate]] = {}
        self._count = 0

    def add_der(self, der: bytes) -> None:
        """Add one certificate.

        Raises:
            MalformedError: it is none.
            LimitExceededError: too many.
        """
        entry = parse_certificate(der)
        try:
            _ = entry.certificate.not_valid_after_utc
        except ValueError as error:  # a date of the year 0, which DER can write
            raise MalformedError(f"the validity of {entry} cannot be read: {error}") from error
        same_name = self._by_subject.setdefault(entry.subject, {})
        if entry.der not in same_name:
            self._count += 1
            same_name[entry.der] = entry
        if self._count > _MAX_CERTIFICATES:
            raise LimitExceededError(f"more than {_MAX_CERTIFICATES} different certificates")

    def add_pem(self, pem: bytes) -> int:
        """Add the certificates of a PEM text, and return how many there are.

        Raises:
            MalformedError: not PEM certificates.
            LimitExceededError: too many.
        """
        try:
            certificates = x509.load_pem_x509_certificates(pem)
        except (ValueError, x509.InvalidVersion) as error:
            raise MalformedError(f"not certificates in PEM: {error}") from error
        for certificate in certificates:
            self.add_der(certificate.public_bytes(Encoding.DER))
        return len(certificates)

    def chain_for_document(self, document: SignedDocument, what: str) -> bytes:
        """Return the PEM chain of whoever signed a document.

        Raises:
            CollateralError: no certificate at hand signed it.
        """
        signers = [
            entry
            for entries in self._by_subject.values()
            for entry in entries.values()
            if _signed_document(entry, document)
        ]
        return self._chain(signers, f"{what} from {document.source}", "an SGX TCB Signing certificate")

    def chain_for_crl(self, der: bytes, source: str) -> bytes:
        """Return the PEM chain of whoever issued a CRL.

        Raises:
            MalformedError: not a CRL.
            CollateralError: no certificate at hand issued it.
        """
        crl, _, issuer = parse_crl(der)
        signers = [entry for entry in self._by_subject.get(issuer, {}).values() if _signed_crl(entry, crl)]
        return self._chain(signers, f"the CRL from {source}", describe_name(issuer))

    def _chain(self, signers: list[NamedCertificate], what: str, expected: str) -> bytes:
        """Write the signer that is valid longest, and its root if that is at hand, as PEM."""
        if not signers:
            raise CollateralError(
                f"{what} was signed by none of the certificates beside it, expected {expected}",
                remedy="put the issuer chain beside it as a PEM file: the PCS sends it in the answer's header",
            )
        signer = max(signers, key=lambda entry: entry.certificate.not_valid_after_utc)
        issuers = self._by_subject.get(signer.issuer, {}).values() if signer.issuer != signer.subject else ()
        roots = [entry for entry in issuers if _issued(entry, signer)][:1]
        return b"".join(entry.certificate.public_bytes(Encoding.PEM) for entry in (signer, *roots))


def _signed_document(entry: NamedCertificate, document: SignedDocument) -> bool:
    def verify() -> None:
        if not common_name(entry.subject).endswith(TCB_SIGNER_SUFFIX):
            raise AuthenticityError("not a certificate for signing documents")
        verify_raw_signature(p256_key(entry, "signer"), document.signature, document.body, "signature")

    return _holds(verify)


def _signed_crl(entry: NamedCertificate, crl: x509.CertificateRevocationList) -> bool:
    def verify() -> None:
        if not crl.is_signature_valid(p256_key(entry, "issuer")):
            raise AuthenticityError("another key signed it")

    return _holds(verify)


def _issued(issuer: NamedCertificate, entry: NamedCertificate) -> bool:
    return _holds(lambda: entry.certificate.verify_directly_issued_by(issuer.certificate))


def _holds(verify: Callable[[], None]) -> bool:
    try:
        verify()
    except (AuthenticityError, MalformedError, InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True
