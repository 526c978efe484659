"""Evidence from a file: a bare quote or a RATS-TLS certificate, told apart by the first bytes. Nothing is verified."""

from dataclasses import dataclass

from verdictd.core.errors import UnsupportedError
from verdictd.core.result import JSONValue
from verdictd.ratstls.certificate import RATSTLSCertificate, looks_like_certificate, parse_certificate
from verdictd.ratstls.evidence import EvidenceKind, tell_quote_kind
from verdictd.tees.dcap.quote import parse_quote
from verdictd.tees.sgx_ecdsa import claims as sgx_ecdsa
from verdictd.tees.tdx_ecdsa import claims as tdx_ecdsa
from verdictd.tees.tdx_ecdsa.td_report import parse_td_quote


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceFile:
    """What a file holds.

    Attributes:
        certificate: the certificate, ``None`` for a bare quote.
        kind: the kind of evidence, ``None`` for a certificate without any.
        quote_claims: what a quote says of the workload, unverified; ``None`` for evidence of another kind.
    """

    certificate: RATSTLSCertificate | None
    kind: str | None
    quote_claims: dict[str, JSONValue] | None

    def claims(self, *kinds: EvidenceKind) -> dict[str, JSONValue]:
        """What the evidence says of the workload; unverified.

        Args:
            kinds: of evidence that will do; any quote where none is named.
        Raises:
            UnsupportedError: there is no such evidence in the file.
        """
        wanted = kinds or (EvidenceKind.SGX_ECDSA, EvidenceKind.TDX_ECDSA)
        if self.quote_claims is None or self.kind not in wanted:
            found = "none" if self.kind is None else self.kind
            raise UnsupportedError(f"the file's evidence is of kind {found}, supported is {' or '.join(wanted)}")
        return self.quote_claims

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
        quote_kind = tell_quote_kind(data)
        return EvidenceFile(certificate=None, kind=quote_kind, quote_claims=_read_quote(quote_kind, data))
    certificate = parse_certificate(data)
    if certificate.evidence is None:
        return EvidenceFile(certificate=certificate, kind=None, quote_claims=None)
    kind = certificate.evidence.kind
    return EvidenceFile(
        certificate=certificate, kind=kind, quote_claims=_read_quote(kind, certificate.evidence.evidence)
    )


def _read_quote(kind: str, evidence: bytes) -> dict[str, JSONValue] | None:
    match kind:
        case EvidenceKind.SGX_ECDSA:
            return sgx_ecdsa.build_quote_claims(parse_quote(evidence))
        case EvidenceKind.TDX_ECDSA:
            return tdx_ecdsa.build_quote_claims(parse_td_quote(evidence))
        case _:
            return None
