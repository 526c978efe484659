import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.ratstls.forge import (
    AT,
    EC_KEY,
    OTHER_EC_KEY,
    RSA_SHA256,
    Forged,
    interoperable,
    legacy,
    name,
    oid,
    quote,
    report_data_of,
    spki_of,
    tlv,
)
from tests.vectors import needs_vectors, vector
from verdictd.core.checks import Check, CheckResult
from verdictd.core.errors import VerdictdError
from verdictd.ratstls import binding
from verdictd.ratstls.binding import check_binding, check_certificate, check_claims
from verdictd.ratstls.certificate import RATSTLSCertificate, parse_certificate
from verdictd.ratstls.evidence import encode_evidence_extension

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CERTIFICATE_CHECKS = ["key", "self_signature", "names", "validity", "extensions"]
SHA1 = hashes.SHA1()  # noqa: S303 - what must be refused
P256 = "1.2.840.10045.3.1.7"


def refusing(checks: tuple[Check, ...]) -> set[str]:
    return {check.name.removeprefix("certificate.") for check in checks if check.refuses}


def judge(forged: Forged, at: datetime = AT) -> set[str]:
    checks = check_certificate(parse_certificate(forged.der()), at)
    assert [check.name for check in checks] == [f"certificate.{each}" for each in CERTIFICATE_CHECKS]
    return refusing(checks)


def evidence_of(certificate: RATSTLSCertificate) -> bytes:
    assert certificate.evidence is not None
    return certificate.evidence.evidence


def judge_binding(*extensions: tuple[str, bool, bytes], key: ec.EllipticCurvePrivateKey = EC_KEY) -> set[str]:
    certificate = parse_certificate(Forged(key=key).with_extensions(*extensions).der())
    checks = check_binding(certificate, report_data_of(evidence_of(certificate)))
    assert [check.name for check in checks] == ["certificate.claims", "certificate.report_data"]
    return refusing(checks)


# The certificate by itself


@pytest.mark.parametrize(
    "forged",
    [
        Forged(),
        Forged(parameters=tlv(0x05)),
        Forged(version=tlv(0xA0, tlv(0x02, b"\x03"))),
        Forged(algorithm="1.2.840.10045.4.3.3", digest=hashes.SHA384()),
        Forged(algorithm="1.2.840.10045.4.3.4", digest=hashes.SHA512()),
        Forged(key=ec.generate_private_key(ec.SECP384R1())),
        Forged(key=RSA_KEY, algorithm=RSA_SHA256, parameters=tlv(0x05)),
        Forged(key=RSA_KEY, algorithm=RSA_SHA256),
        Forged(key=RSA_KEY, algorithm="1.2.840.113549.1.1.12", digest=hashes.SHA384()),
        Forged(key=RSA_KEY, algorithm="1.2.840.113549.1.1.13", digest=hashes.SHA512()),
    ],
)
def test_sound_certificates(forged: Forged) -> None:
    assert judge(forged) == set()


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param(Forged(signer=OTHER_EC_KEY), id="signed by another key"),
        pytest.param(Forged(digest=hashes.SHA384()), id="another hash than it names"),
        pytest.param(Forged(algorithm="1.2.840.10045.4.1", digest=SHA1), id="SHA-1"),
        pytest.param(Forged(algorithm="1.2.840.10045.4.3.1", digest=hashes.SHA224()), id="SHA-224"),
        pytest.param(Forged(key=RSA_KEY, algorithm="1.2.840.113549.1.1.5", digest=SHA1), id="SHA-1 with RSA"),
        pytest.param(Forged(algorithm=RSA_SHA256), id="an RSA algorithm with an EC key"),
        pytest.param(Forged(key=RSA_KEY), id="an EC algorithm with an RSA key"),
        pytest.param(Forged(parameters=tlv(0x04)), id="parameters that are not NULL"),
        pytest.param(Forged(outer_algorithm=tlv(0x30, oid("1.2.840.10045.4.3.3"))), id="two algorithms that differ"),
        pytest.param(
            Forged(outer_algorithm=tlv(0x30, oid("1.2.840.10045.4.3.2"), tlv(0x05))), id="NULL on one side only"
        ),
    ],
)
def test_only_the_self_signature_refuses(forged: Forged) -> None:
    assert judge(forged) == {"self_signature"}


def test_only_the_names_refuse() -> None:
    assert judge(Forged(issuer=name("somebody else"))) == {"names"}
    assert judge(Forged(issuer=name("RATS-TLS").replace(b"\x0c\x08", b"\x13\x08"))) == {"names"}


def test_only_the_validity_refuses() -> None:
    first, last = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    for inside in (first, last):
        assert judge(Forged(), inside) == set()
    for outside in (first - timedelta(seconds=1), last + timedelta(seconds=1)):
        assert judge(Forged(), outside) == {"validity"}


def test_only_an_unknown_critical_extension_refuses() -> None:
    assert judge(Forged().with_extensions(("1.2.3.4", False, b""))) == set()
    assert judge(Forged().with_extensions(("1.2.3.4", True, b""))) == {"extensions"}
    assert judge(Forged().with_extensions(("2.5.29.15", True, bytes.fromhex("03020780")))) == {"extensions"}
    assert judge(Forged(extensions=(("2.5.29.19", True, bytes.fromhex("3000")),))) == set()


def test_critical_evidence_is_understood() -> None:
    for identifier, _, value in (interoperable(), legacy()):
        assert judge(Forged().with_extensions((identifier, True, value))) == set()


def ec_spki(point: bytes, curve: bytes = oid(P256)) -> bytes:
    return tlv(0x30, tlv(0x30, oid("1.2.840.10045.2.1"), curve), tlv(0x03, b"\x00", point))


def test_only_the_key_refuses() -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=2040)  # noqa: S505 - what must be refused
    small_exponent = rsa.generate_private_key(public_exponent=3, key_size=2048)
    for key in (weak, small_exponent):
        assert judge(Forged(key=key, algorithm=RSA_SHA256)) == {"key"}
    assert judge(Forged(key=ec.generate_private_key(ec.SECP521R1()))) == {"key"}
    assert judge(Forged(key=ec.generate_private_key(ec.SECP256K1()))) == {"key"}
    compressed = EC_KEY.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
    )
    assert judge(Forged(spki=ec_spki(compressed))) == {"key"}


@pytest.mark.parametrize(("bits", "outcome"), [(8192, CheckResult.FAIL), (8193, CheckResult.NOT_MADE)])
def test_no_signature_is_verified_with_a_key_that_is_too_large(bits: int, outcome: CheckResult) -> None:
    """The time it takes grows with the square of the key's size, which the peer chooses."""
    numbers = tlv(0x30, tlv(0x02, (2 ** (bits - 1) + 1).to_bytes(bits // 8 + 1, "big")), tlv(0x02, b"\x01\x00\x01"))
    spki = tlv(0x30, tlv(0x30, oid("1.2.840.113549.1.1.1"), tlv(0x05)), tlv(0x03, b"\x00", numbers))
    key, signature, *_ = check_certificate(parse_certificate(Forged(spki=spki, algorithm=RSA_SHA256).der()), AT)
    assert key.result is (CheckResult.PASS if bits == 8192 else CheckResult.FAIL)
    assert (signature.name, signature.result) == ("certificate.self_signature", outcome)


@pytest.mark.parametrize(
    "spki",
    [
        pytest.param(
            ed25519.Ed25519PrivateKey.generate()
            .public_key()
            .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
            id="Ed25519",
        ),
        pytest.param(ec_spki(b"\x04" + bytes(64)), id="a point that is not on the curve"),
        pytest.param(ec_spki(b"\x00"), id="the point at infinity"),
        pytest.param(ec_spki(b"\x04" + bytes(64), oid("1.2.3.4")), id="an unknown curve"),
        pytest.param(tlv(0x30, tlv(0x30, oid("1.2.3.4")), tlv(0x03, b"\x00")), id="an unknown algorithm"),
        pytest.param(tlv(0x30), id="nothing"),
    ],
)
def test_without_a_usable_key_the_signature_cannot_be_checked(spki: bytes) -> None:
    checks = check_certificate(parse_certificate(Forged(spki=spki).der()), AT)
    assert refusing(checks) == {"key", "self_signature"}
    assert [check.result for check in checks[:2]] == [CheckResult.FAIL, CheckResult.NOT_MADE]


def test_dsa_is_refused() -> None:
    key = dsa.generate_private_key(2048).public_key()
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert "key" in judge(Forged(spki=spki))


def test_any_flipped_bit_is_refused() -> None:
    der = Forged().der()
    accepted = []
    for bit in range(8 * len(der)):
        damaged = bytearray(der)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            certificate = parse_certificate(bytes(damaged))
        except VerdictdError:
            continue
        if not refusing(check_certificate(certificate, AT)):
            accepted.append(bit)
    assert accepted == []


# The binding of key and evidence


def test_bound_evidence() -> None:
    assert judge_binding(interoperable()) == set()
    assert judge_binding(interoperable(EC_KEY, key_0=b"value_0\x00")) == set()
    assert judge_binding(legacy()) == set()


def test_in_the_legacy_format_claims_are_not_missed() -> None:
    certificate = parse_certificate(Forged().with_extensions(legacy()).der())
    claims, report_data = check_binding(certificate, report_data_of(evidence_of(certificate)))
    assert (claims.result, claims.mandatory, report_data.result) == (CheckResult.NOT_MADE, False, CheckResult.PASS)


def test_evidence_of_another_key_is_refused() -> None:
    assert judge_binding(interoperable(OTHER_EC_KEY)) == {"claims"}
    assert judge_binding(legacy(OTHER_EC_KEY)) == {"report_data"}


def test_without_evidence_nothing_is_bound() -> None:
    certificate = parse_certificate(Forged().der())
    assert refusing(check_binding(certificate, bytes(64))) == {"claims", "report_data"}
    assert check_claims(certificate).refuses


def claimed(algorithm: object, digest: bytes, form: bytes | None = None) -> tuple[str, bool, bytes]:
    buffer = form or cbor2.dumps({"pubkey-hash": cbor2.dumps([algorithm, digest])})
    bound = quote(hashlib.sha256(buffer).digest().ljust(64, b"\x00"))
    return ("2.23.133.5.4.9", False, encode_evidence_extension(bound, buffer))


@pytest.mark.parametrize(("number", "hash_name"), [(1, "sha256"), (7, "sha384"), (8, "sha512")])
def test_allowed_hashes_of_the_key(number: int, hash_name: str) -> None:
    digest = hashlib.new(hash_name, spki_of(EC_KEY)).digest()
    assert judge_binding(claimed(number, digest)) == set()
    assert judge_binding(claimed(number, digest[:-1])) == {"claims"}
    assert judge_binding(claimed(number, digest + b"\x00")) == {"claims"}
    assert judge_binding(claimed(number, b"")) == {"claims"}


@pytest.mark.parametrize("number", [0, 2, 3, 6, 9, 10, -1, 2**40])
def test_other_hash_numbers_are_refused_even_with_the_right_hash(number: int) -> None:
    for hash_name in ("sha256", "sha384", "sha512"):
        digest = hashlib.new(hash_name, spki_of(EC_KEY)).digest()
        assert judge_binding(claimed(number, digest)) == {"claims"}


def test_the_claims_buffer_counts_as_received_not_as_it_could_be_written() -> None:
    digest = hashlib.sha256(spki_of(EC_KEY)).digest()
    entry = cbor2.dumps([1, digest])
    long_form = b"\xb8\x01" + cbor2.dumps("pubkey-hash") + cbor2.dumps(entry)
    short_form = cbor2.dumps({"pubkey-hash": entry})
    assert judge_binding(claimed(1, digest, long_form)) == set()
    mixed = encode_evidence_extension(quote(hashlib.sha256(short_form).digest().ljust(64, b"\x00")), long_form)
    assert judge_binding(("2.23.133.5.4.9", False, mixed)) == {"report_data"}


def test_of_a_padded_claims_buffer_the_padding_is_bound_too() -> None:
    digest = hashlib.sha256(spki_of(EC_KEY)).digest()
    padded = cbor2.dumps({"pubkey-hash": cbor2.dumps([1, digest])}).ljust(64, b"\xa5")
    assert judge_binding(claimed(1, digest, padded)) == set()
    _, _, value = claimed(1, digest, padded)
    other_padding = value[:-1] + b"\xa6"
    assert judge_binding(("2.23.133.5.4.9", False, other_padding)) == {"report_data"}


@pytest.mark.parametrize("make", [interoperable, legacy])
def test_any_flipped_bit_of_the_report_data_is_refused(make: object) -> None:
    assert callable(make)
    certificate = parse_certificate(Forged().with_extensions(make()).der())
    report_data = report_data_of(evidence_of(certificate))
    for bit in range(512):
        damaged = bytearray(report_data)
        damaged[bit // 8] ^= 1 << bit % 8
        assert refusing(check_binding(certificate, bytes(damaged))) == {"report_data"}
    for wrong_size in (report_data[:32], report_data[:63], report_data + b"\x00", b""):
        assert refusing(check_binding(certificate, wrong_size)) == {"report_data"}


def test_any_flipped_bit_of_the_claims_buffer_is_refused() -> None:
    identifier, _, value = interoperable(EC_KEY, nationality=b"none")
    start = value.index(b"\x6bpubkey-hash") - 1
    for bit in range(8 * start, 8 * len(value)):
        damaged = bytearray(value)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            refused = judge_binding((identifier, False, bytes(damaged)))
        except VerdictdError:
            continue
        assert "report_data" in refused


@given(st.binary(min_size=64, max_size=64))
def test_the_key_is_bound_byte_for_byte(point: bytes) -> None:
    for evidence in (interoperable(), legacy()):
        forged = Forged(spki=ec_spki(b"\x04" + point)).with_extensions(evidence)
        certificate = parse_certificate(forged.der())
        assert refusing(check_binding(certificate, report_data_of(evidence_of(certificate))))


def test_the_legacy_rsa_form_is_accepted_for_rsa_keys_in_the_legacy_format_only() -> None:
    pkcs1 = RSA_KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    for bound in (pkcs1, spki_of(RSA_KEY)):
        report_data = hashlib.sha256(bound).digest().ljust(64, b"\x00")
        as_legacy = Forged(key=RSA_KEY, algorithm=RSA_SHA256).with_extensions(legacy(RSA_KEY))
        assert refusing(check_binding(parse_certificate(as_legacy.der()), report_data)) == set()
        as_interoperable = Forged(key=RSA_KEY, algorithm=RSA_SHA256).with_extensions(interoperable(RSA_KEY))
        assert refusing(check_binding(parse_certificate(as_interoperable.der()), report_data)) == {"report_data"}
    point = hashlib.sha256(spki_of(EC_KEY)[-65:]).digest().ljust(64, b"\x00")
    certificate = parse_certificate(Forged().with_extensions(legacy()).der())
    assert refusing(check_binding(certificate, point)) == {"report_data"}


def test_a_key_that_cannot_be_read_is_still_compared_byte_for_byte() -> None:
    spki = ec_spki(b"\x04" + bytes(64))
    certificate = parse_certificate(Forged(spki=spki).with_extensions(legacy()).der())
    assert refusing(check_binding(certificate, hashlib.sha256(spki).digest().ljust(64, b"\x00"))) == set()
    assert "key" in refusing(check_certificate(certificate, AT))


# Genuine certificates


@needs_vectors
@pytest.mark.vectors
@pytest.mark.parametrize(
    ("path", "at", "refused"),
    [
        ("ccc-interoperable-ra-tls/gramine-cert.pem", AT, set()),
        ("ccc-interoperable-ra-tls/intel-sgxsdk-cert.pem", AT, set()),
        ("ccc-interoperable-ra-tls/rats-tls-cert.pem", datetime(2023, 6, 1, tzinfo=UTC), set()),
        ("ccc-interoperable-ra-tls/rats-tls-cert.pem", AT, {"validity"}),
        ("inclavare-rats-tls/rats-tls-cert-openssl-sample.pem", AT, set()),
        ("inclavare-rats-tls/rats-tls-cert-sample.pem", AT, {"self_signature"}),
        ("sgx-ra-tls/ecdsa-ratls.der", AT, {"self_signature", "validity", "report_data"}),
        ("openenclave/host_verify/data/sgx_cert_rsa_bad.der", AT, {"self_signature", "claims", "report_data"}),
        ("openenclave/host_verify/data/sgx_cert_ec_bad.der", AT, {"self_signature", "claims", "report_data"}),
    ],
)
def test_real_certificates(path: str, at: datetime, refused: set[str]) -> None:
    certificate = parse_certificate(vector(f"ra-tls/{path}"))
    evidence = certificate.evidence.evidence if certificate.evidence else quote()
    assert (
        refusing(check_certificate(certificate, at) + check_binding(certificate, report_data_of(evidence))) == refused
    )


def test_a_certificate_that_comes_again_is_judged_for_its_time_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = parse_certificate(Forged().der())
    verified: list[object] = []
    verify = binding._check_self_signature

    def count(*given: Any) -> None:
        verified.append(given)
        verify(*given)

    monkeypatch.setattr(binding, "_check_self_signature", count)
    first = check_certificate(certificate, AT)
    assert check_certificate(certificate, AT) == first
    assert "validity" in refusing(check_certificate(certificate, certificate.not_after + timedelta(seconds=1)))
    assert len(verified) <= 1, "its signature was verified more than once"


def test_a_signature_that_does_not_verify_does_not_the_second_time_either() -> None:
    der = bytearray(Forged().der())
    der[-1] ^= 1
    for _ in range(2):
        assert refusing(check_certificate(parse_certificate(bytes(der)), AT)) == {"self_signature"}
