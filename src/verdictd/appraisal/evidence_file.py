"""Evidence from a file: a bare quote or a RATS-TLS certificate, told apart by the first bytes. Nothing is verified."""

from dataclasses import dataclass

from verdictd.core.errors import UnsupportedError
from verdictd.core.result import JSONValue
from verdictd.ratstls.certificate import RATSTLSCertificate, looks_like_certificate, parse_certificate
from verdictd.ratstls.evidence import EvidenceKind, tell_quote_kind
from verdictd.tees.dcap.quote import Quote, parse_quote
from verdictd.tees.sgx_ecdsa.claims import build_quote_claims


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceFile:
    """What a file holds.

    Attributes:
        certificate: the certificate, ``None`` for a bare quote.
        kind: the kind of evidence, ``None`` for a certificate without any.
        quote: the parsed SGX quote, ``None`` for evidence of another kind.
    """

    certificate: RATSTLSCertificate | None
    kind: EvidenceKind | None
    quote: Quote | None

    def sgx_claims(self) -> dict[str, JSONValue]:
        """What the SGX evidence says of its enclave; unverified.

        Raises:
            UnsupportedError: there is no SGX evidence in the file.
        """
        if self.quote is None:
            found = "none" if self.kind is None else self.kind.value
            raise UnsupportedError(f"the file's evidence is of kind {found}, supported is sgx_ecdsa")
        return build_quote_claims(self.quote)

    def custom_claims(self) -> dict[str, bytes]:
        """The certificate's custom claims; unverified."""
        evidence = None if self.certificate is None else self.certificate.evidence
        return {} if evidence is None or evidence.claims is None else dict(evidence.claims.custom)


def parse_evidence_file(data: bytes) -> EvidenceFile:
    """Parse the content of a file.

    Raises:
        MalformedError, UnsupportedError, LimitExceededError: neither a certificate nor a quote that can be read.
    """
    if not looks_like_certificate(data):
        kind = tell_quote_kind(data)
        return EvidenceFile(certificate=None, kind=kind, quote=_parse_sgx(kind, data))
    certificate = parse_certificate(data)
    if certificate.evidence is None:
        return EvidenceFile(certificate=certificate, kind=None, quote=None)
    kind = certificate.evidence.kind
    return EvidenceFile(certificate=certificate, kind=kind, quote=_parse_sgx(kind, certificate.evidence.evidence))


def _parse_sgx(kind: EvidenceKind, evidence: bytes) -> Quote | None:
    return parse_quote(evidence) if kind is EvidenceKind.SGX_ECDSA else None
