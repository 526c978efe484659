import hashlib
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.unit.ratstls.forge import AT, EC_KEY, quote, report_data_of
from tests.unit.ratstls.test_endorsements import COLLATERAL
from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError
from verdictd.ratstls.binding import check_binding, check_certificate
from verdictd.ratstls.certificate import RATSTLSCertificate, attestation_id, parse_certificate
from verdictd.ratstls.certificate_builder import (
    MAX_TLS_CERTIFICATE_BYTES,
    KeyKind,
    build_certificate,
    build_identity,
)
from verdictd.ratstls.evidence import CertificateFormat, EvidenceKind

CLAIMS = {"key_0": b"value_0\x00", "key_1": b"value_1\x00"}


def tdx_quote(report_data: bytes) -> bytes:
    return quote(report_data, version=4, tee=0x81)


def build(make_quote: object = quote, **options: object) -> RATSTLSCertificate:
    return parse_certificate(build_certificate(EC_KEY, at=AT, make_quote=make_quote, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("form", CertificateFormat)
def test_what_we_write_we_accept(form: CertificateFormat) -> None:
    certificate = build(certificate_format=form)
    evidence = certificate.evidence
    assert evidence is not None
    assert evidence.certificate_format is form
    checks = check_certificate(certificate, AT) + check_binding(certificate, report_data_of(evidence.evidence))
    assert [check.name for check in checks if check.refuses] == []


def test_claims_and_endorsements_are_read_back() -> None:
    certificate = build(custom_claims=CLAIMS, endorsements=COLLATERAL)
    assert certificate.evidence is not None
    assert certificate.evidence.claims is not None
    assert dict(certificate.evidence.claims.custom) == CLAIMS
    assert certificate.endorsements == COLLATERAL


def test_report_data_is_given_whole() -> None:
    asked = []

    def make_quote(report_data: bytes) -> bytes:
        asked.append(report_data)
        return quote(report_data)

    certificate = build(make_quote, custom_claims=CLAIMS)
    assert certificate.evidence is not None
    assert certificate.evidence.claims_buffer is not None
    assert asked == [hashlib.sha256(certificate.evidence.claims_buffer).digest() + bytes(32)]


def test_without_evidence_there_is_neither_extension() -> None:
    certificate = build(None)
    assert [each.oid for each in certificate.extensions] == ["2.5.29.19", "2.5.29.14", "2.5.29.35"]


def test_the_profile_to_the_byte() -> None:
    certificate = build(custom_claims=CLAIMS, endorsements=COLLATERAL)
    utf8 = "".join(
        ("30323", "11d301b060355040a0c14", b"Inclavare Containers".hex(), "3111300f06035504030c08", b"RATS-TLS".hex())
    )
    assert certificate.subject_der.hex() == certificate.issuer_der.hex() == utf8
    assert (certificate.version, certificate.serial) == (2, 1)
    assert certificate.not_before == AT - timedelta(hours=1)
    assert certificate.not_after == AT + timedelta(days=365)
    assert certificate.signature_algorithm.oid == "1.2.840.10045.4.3.2"
    assert certificate.signature_algorithm.parameters == b""
    key_identifier = hashlib.sha1(certificate.spki_der[-65:], usedforsecurity=False).digest()
    assert [(each.oid, each.critical) for each in certificate.extensions] == [
        ("2.5.29.19", False),
        ("2.5.29.14", False),
        ("2.5.29.35", False),
        ("2.23.133.5.4.9", False),
        ("2.23.133.5.4.2", False),
    ]
    assert [each.value for each in certificate.extensions[:3]] == [
        bytes.fromhex("3000"),
        bytes.fromhex("0414") + key_identifier,
        bytes.fromhex("30168014") + key_identifier,
    ]


def test_cryptography_and_openssl_read_it_the_same(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    der = build_certificate(EC_KEY, at=now, make_quote=quote, custom_claims=CLAIMS)
    certificate = x509.load_der_x509_certificate(der)
    certificate.verify_directly_issued_by(certificate)
    (tmp_path / "certificate.der").write_bytes(der)
    command = ["openssl", "x509", "-inform", "DER", "-in", str(tmp_path / "certificate.der"), "-noout", "-text"]
    text = subprocess.run(command, check=True, capture_output=True, timeout=20).stdout.decode("utf-8", "replace")
    for pattern in (
        r"Version: 3 \(0x2\)",
        r"Serial Number: 1 \(0x1\)",
        r"Signature Algorithm: ecdsa-with-SHA256",
        r"Issuer: O ?= ?Inclavare Containers, CN ?= ?RATS-TLS",
        r"Subject: O ?= ?Inclavare Containers, CN ?= ?RATS-TLS",
        rf"Not Before: {(now - timedelta(hours=1)).strftime('%b %e %H:%M:%S %Y')} GMT",
        rf"Not After : {(now + timedelta(days=365)).strftime('%b %e %H:%M:%S %Y')} GMT",
        r"X509v3 Basic Constraints: *\n *CA:FALSE",
        r"X509v3 Subject Key Identifier",
        r"X509v3 Authority Key Identifier",
        r"2\.23\.133\.5\.4\.9:",
    ):
        assert re.search(pattern, text), pattern
    assert "critical" not in text
    assert "Key Usage" not in text


@pytest.mark.parametrize(
    ("make_quote", "oid", "kind"),
    [
        (quote, "1.2.840.113741.1337.6", EvidenceKind.SGX_ECDSA),
        (tdx_quote, "1.2.840.113741.1337.8", EvidenceKind.TDX_ECDSA),
    ],
)
def test_the_legacy_format(make_quote: object, oid: str, kind: EvidenceKind) -> None:
    certificate = build(make_quote, certificate_format=CertificateFormat.LEGACY)
    assert certificate.evidence is not None
    assert (certificate.extensions[3].oid, certificate.evidence.kind) == (oid, kind)
    assert certificate.extensions[3].value == certificate.evidence.evidence
    expected = hashlib.sha256(certificate.spki_der).digest() + bytes(32)
    assert report_data_of(certificate.extensions[3].value) == expected


def test_claims_and_endorsements_need_a_place() -> None:
    for options in ({"custom_claims": CLAIMS}, {"endorsements": COLLATERAL}):
        with pytest.raises(ValueError, match="only beside evidence in the interoperable format"):
            build(None, **options)
        with pytest.raises(ValueError, match="only beside evidence in the interoperable format"):
            build(certificate_format=CertificateFormat.LEGACY, **options)


@pytest.mark.parametrize("form", CertificateFormat)
def test_what_is_not_a_quote_is_not_written(form: CertificateFormat) -> None:
    with pytest.raises(MalformedError):
        build(lambda _: b"", certificate_format=form)
    with pytest.raises(UnsupportedError):
        build(lambda _: bytes(500), certificate_format=form)


def test_no_certificate_is_larger_than_a_peer_takes() -> None:
    with pytest.raises(LimitExceededError, match="a TLS peer takes"):
        build(lambda report_data: quote(report_data).ljust(60_000, b"\x00"), custom_claims={"large": bytes(50_000)})
    largest = build(custom_claims={"large": bytes(60_000)})
    assert len(largest.der) < MAX_TLS_CERTIFICATE_BYTES


def test_identities() -> None:
    first, second = build_identity(at=AT), build_identity(at=AT)
    assert isinstance(first.private_key, ec.EllipticCurvePrivateKey)
    assert first.private_key.curve.name == "secp256r1"
    assert first.attestation_id == attestation_id(first.certificate_der) != second.attestation_id
    assert "private" not in repr(first)
    large = build_identity(at=AT, key_kind=KeyKind.RSA_3072, make_quote=quote, custom_claims=CLAIMS)
    assert isinstance(large.private_key, rsa.RSAPrivateKey)
    certificate = parse_certificate(large.certificate_der)
    assert certificate.evidence is not None
    checks = check_certificate(certificate, AT) + check_binding(
        certificate, report_data_of(certificate.evidence.evidence)
    )
    assert [check.name for check in checks if check.refuses] == []
    assert checks[0].found == "RSA 3072 bits, exponent 65537"
