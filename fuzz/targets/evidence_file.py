"""Files that hold evidence: a bare quote or a certificate."""

from fuzz.certificates import make_certificate
from fuzz.pem import encode_pem
from fuzz.simulated import NOW, platform, private_key
from fuzz.target import FuzzTarget, attempt
from verdictd.appraisal.evidence_file import parse_evidence_file
from verdictd.ratstls.certificate_builder import build_certificate


def check(data: bytes) -> None:
    """A file is a quote or a certificate, and shows the claims of the one that it is."""
    found = attempt(parse_evidence_file, data)
    if found is None:
        return
    assert found.certificate is not None or found.kind is not None
    claims = attempt(found.claims)
    assert (claims is None) is (found.quote_claims is None)
    assert found.certificate is not None or not found.custom_claims()


def seeds() -> dict[str, bytes]:
    certificate = make_certificate(quote_version=5)
    return {
        "quote": platform().quote(report_data=bytes(64), quote_version=4),
        "td_quote": platform().td_quote(report_data=bytes(64), quote_version=5),
        "der": certificate,
        "pem": encode_pem(certificate),
        "none": build_certificate(private_key("peer"), at=NOW),
    }


TARGET = FuzzTarget(
    name="evidence_file",
    modules=(
        "verdictd.appraisal.evidence_file",
        "verdictd.tees.sgx_ecdsa.claims",
        "verdictd.tees.tdx_ecdsa.claims",
        "verdictd.ratstls.certificate",
    ),
    check=check,
    seeds=seeds,
    max_bytes=16_000,
)
