"""Quotes: the container, its reports, and what is shown of them unverified."""

from fuzz.simulated import platform
from fuzz.target import FuzzTarget, attempt
from verdictd.ratstls.evidence import EvidenceKind, tell_quote_kind
from verdictd.tees.dcap.enclave_report import EnclaveReport
from verdictd.tees.dcap.quote import Quote, parse_quote
from verdictd.tees.sgx_ecdsa.claims import build_quote_claims


def check(data: bytes) -> None:
    """The parts are the whole: put together again by the layout they give the bytes that were read, and zeros."""
    quote = attempt(parse_quote, data)
    if quote is None:
        return
    assert tell_quote_kind(data) is EvidenceKind.SGX_ECDSA
    whole = _encode(quote)
    assert data[: len(whole)] == whole
    assert not any(data[len(whole) :])
    build_quote_claims(quote)


def _encode(quote: Quote[EnclaveReport]) -> bytes:
    def sized(value: bytes, octets: int = 4) -> bytes:
        return len(value).to_bytes(octets, "little") + value

    kind = quote.certification_type.to_bytes(2, "little")
    qe = quote.qe_report_bytes + quote.qe_report_signature + sized(quote.qe_auth_data, 2)
    qe += kind + sized(quote.certification_data)
    wrapped = qe if quote.version == 3 else (6).to_bytes(2, "little") + sized(qe)
    return quote.signed + sized(quote.signature + quote.attestation_key + wrapped)


def seeds() -> dict[str, bytes]:
    quotes = {f"v{version}": platform().quote(report_data=bytes(64), quote_version=version) for version in (3, 4, 5)}
    return {**quotes, "padded": quotes["v3"] + bytes(16), "debug": platform().quote(report_data=bytes(64), debug=True)}


TARGET = FuzzTarget(
    name="quote",
    modules=("verdictd.tees.dcap.quote", "verdictd.tees.dcap.enclave_report"),
    check=check,
    seeds=seeds,
)
