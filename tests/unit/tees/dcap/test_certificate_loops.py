"""Certificates that name each other as issuers cannot keep the verifier busy."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from verdictd.core.errors import AuthenticityError
from verdictd.tees.dcap.certificates import verify_pem_chain
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.trust_roots import TrustRoots, intel_trust_root

KEY = ec.generate_private_key(ec.SECP256R1())


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(subject: str, issuer: str) -> bytes:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(KEY.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(KEY, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "issued",
    [
        [("leaf", "A"), ("A", "B"), ("B", "A")],
        [("leaf", "A"), ("A", "B"), ("B", "C"), ("C", "A")],
        [("leaf", "A"), ("A", "B"), ("B", "A"), ("C", "D"), ("D", "C")],
        [("A", "B"), ("B", "A")],
    ],
)
def test_a_loop_of_issuers_is_refused_at_once(issued: list[tuple[str, str]]) -> None:
    pem = b"".join(certificate(subject, issuer) for subject, issuer in issued)
    with pytest.raises(AuthenticityError):
        verify_pem_chain(pem, TrustRoots((intel_trust_root(),)), "the chain", FactMemory())
