import base64
import hashlib
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import crypto

from tests.unit.ratstls.forge import (
    AT,
    BASIC_CONSTRAINTS,
    EC_KEY,
    OTHER_EC_KEY,
    Forged,
    extension,
    generalized,
    interoperable,
    legacy,
    quote,
    spki_of,
    tlv,
)
from tests.unit.ratstls.test_endorsements import COLLATERAL
from tests.vectors import needs_vectors, vector
from verdictd.core.checks import CheckResult
from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError, VerdictdError
from verdictd.core.limits import MAX_CERTIFICATE_BYTES
from verdictd.ratstls.binding import check_certificate
from verdictd.ratstls.certificate import (
    ENDORSEMENTS_OID,
    EVIDENCE_OID,
    LEGACY_KINDS,
    attestation_id,
    looks_like_certificate,
    parse_certificate,
)
from verdictd.ratstls.endorsements import encode_endorsements_extension
from verdictd.ratstls.evidence import CertificateFormat, EvidenceKind

GRAMINE_OID_CONTENT = bytes.fromhex("060b06092a864886f84d8a3906")
ENDORSEMENTS = (ENDORSEMENTS_OID, False, encode_endorsements_extension(COLLATERAL))
REFUSALS = (MalformedError, UnsupportedError, LimitExceededError)

INTEROPERABLE = CertificateFormat.INTEROPERABLE
LEGACY = CertificateFormat.LEGACY
REAL = [
    ("ccc-interoperable-ra-tls/gramine-cert.pem", 10068, 1, "03dbbf0f", INTEROPERABLE, 4734),
    ("ccc-interoperable-ra-tls/intel-sgxsdk-cert.pem", 9822, 1, "b9558db1", INTEROPERABLE, 4600),
    ("ccc-interoperable-ra-tls/rats-tls-cert.pem", 5264, 1, "8bb1fda0", INTEROPERABLE, 4734),
    ("inclavare-rats-tls/rats-tls-cert-openssl-sample.pem", 5841, 9527, "ae9215a8", LEGACY, 4728),
    ("inclavare-rats-tls/rats-tls-cert-sample.pem", 5859, 0x120FB591CAE8C26F4F65A3E9EA4D7F7A, "7359c788", LEGACY, 4728),
    ("openenclave/host_verify/data/sgx_cert_ec_bad.der", 5064, 1, "68b01c80", None, 0),
    ("openenclave/host_verify/data/sgx_cert_rsa_bad.der", 5457, 1, "f0651aa2", None, 0),
    ("sgx-ra-tls/ecdsa-ratls.der", 9889, 0xB5F91C7544300B6AF7D6A57986C971, "66b31f9e", LEGACY, 1456),
    ("sgx-ra-tls/ecdsa-ratls.pem", 9889, 0xB5F91C7544300B6AF7D6A57986C971, "66b31f9e", LEGACY, 1456),
]


@needs_vectors
@pytest.mark.vectors
@pytest.mark.parametrize("case", REAL, ids=lambda case: case[0])
def test_real_certificates(case: tuple[str, int, int, str, CertificateFormat | None, int]) -> None:
    path, size, serial, identifier, form, evidence_size = case
    certificate = parse_certificate(vector(f"ra-tls/{path}"))
    assert (len(certificate.der), certificate.serial, certificate.version) == (size, serial, 2)
    assert certificate.attestation_id == identifier
    assert certificate.endorsements is None
    if form is None:
        assert certificate.evidence is None
    else:
        assert certificate.evidence is not None
        assert certificate.evidence.certificate_format is form
        assert certificate.evidence.kind is EvidenceKind.SGX_ECDSA
        assert len(certificate.evidence.evidence) == evidence_size


@needs_vectors
@pytest.mark.vectors
def test_claims_of_a_real_certificate() -> None:
    evidence = parse_certificate(vector("ra-tls/ccc-interoperable-ra-tls/rats-tls-cert.pem")).evidence
    assert evidence is not None
    assert evidence.claims is not None
    assert dict(evidence.claims.custom) == {"key_0": b"value_0\x00", "key_1": b"value_1\x00"}
    assert evidence.claims.public_key_hash_algorithm == 1


@needs_vectors
@pytest.mark.vectors
def test_of_gramines_two_quotes_only_the_interoperable_one_is_read() -> None:
    certificate = parse_certificate(vector("ra-tls/ccc-interoperable-ra-tls/gramine-cert.pem"))
    values = {each.oid: each.value for each in certificate.extensions}
    assert certificate.unread_evidence == ("0.6.9.42.840.113741.1337.6",)
    assert certificate.evidence is not None
    assert certificate.evidence.evidence in values[EVIDENCE_OID]
    assert certificate.evidence.evidence != values["0.6.9.42.840.113741.1337.6"]


@needs_vectors
@pytest.mark.vectors
@pytest.mark.parametrize("path", [case[0] for case in REAL if "gramine" not in case[0] and "ec_bad" not in case[0]])
def test_every_field_agrees_with_cryptography_where_it_reads_the_certificate(path: str) -> None:
    agrees_with_cryptography(parse_certificate(vector(f"ra-tls/{path}")).der)


def agrees_with_cryptography(der: bytes) -> None:
    ours, theirs = parse_certificate(der), x509.load_der_x509_certificate(der)
    assert ours.tbs == theirs.tbs_certificate_bytes
    assert ours.signature == theirs.signature
    assert ours.signature_algorithm.oid == theirs.signature_algorithm_oid.dotted_string
    assert ours.serial == theirs.serial_number
    assert ours.subject_der == theirs.subject.public_bytes()
    assert ours.issuer_der == theirs.issuer.public_bytes()
    assert (ours.not_before, ours.not_after) == (theirs.not_valid_before_utc, theirs.not_valid_after_utc)
    assert ours.spki_der == theirs.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert [(each.oid, each.critical, each.value) for each in ours.extensions] == [
        (each.oid.dotted_string, each.critical, each.value.public_bytes()) for each in theirs.extensions
    ]


def test_every_field_agrees_with_cryptography() -> None:
    agrees_with_cryptography(Forged().with_extensions(interoperable(), ENDORSEMENTS).der())
    agrees_with_cryptography(Forged(not_after=generalized(datetime(2055, 1, 2, 3, 4, 5, tzinfo=UTC))).der())


@pytest.mark.parametrize("version", [0, 1, 2, 3])
def test_reads_versions_one_to_four(version: int) -> None:
    forged = Forged(version=tlv(0xA0, tlv(0x02, bytes((version,))))).with_extensions(interoperable())
    certificate = parse_certificate(forged.der())
    assert certificate.version == version
    assert certificate.evidence is not None
    without = Forged(version=b"").with_extensions(interoperable())
    assert parse_certificate(without.der()).version == 0


@pytest.mark.parametrize("version", [b"\x04", b"\xff", b"\x00\x80"])
def test_refuses_later_versions(version: bytes) -> None:
    with pytest.raises(UnsupportedError, match="version field"):
        parse_certificate(Forged(version=tlv(0xA0, tlv(0x02, version))).der())


def test_reads_what_cryptography_refuses() -> None:
    fourth = Forged(version=tlv(0xA0, tlv(0x02, b"\x03"))).with_extensions(legacy())
    with pytest.raises(x509.InvalidVersion):
        x509.load_der_x509_certificate(fourth.der())
    null_parameters = Forged(parameters=tlv(0x05)).with_extensions(legacy())
    for forged in (fourth, null_parameters):
        assert parse_certificate(forged.der()).evidence is not None


def test_reads_gramines_object_identifier() -> None:
    listed = tlv(0x30, GRAMINE_OID_CONTENT, tlv(0x04, quote()))
    forged = Forged(extensions=(), after_key=tlv(0xA3, tlv(0x30, listed)))
    certificate = parse_certificate(forged.der())
    assert certificate.evidence is not None
    assert (certificate.evidence.kind, certificate.evidence.certificate_format) == (EvidenceKind.SGX_ECDSA, LEGACY)


@pytest.mark.parametrize(("identifier", "kind"), LEGACY_KINDS.items())
def test_legacy_object_identifiers_name_the_kind(identifier: str, kind: EvidenceKind) -> None:
    evidence = quote(version=4, tee=0x81) if kind is EvidenceKind.TDX_ECDSA else quote()
    certificate = parse_certificate(Forged().with_extensions((identifier, False, evidence)).der())
    assert certificate.evidence is not None
    assert certificate.evidence.kind is kind


def test_a_certificate_without_evidence() -> None:
    certificate = parse_certificate(Forged().der())
    assert (certificate.evidence, certificate.endorsements, certificate.unread_evidence) == (None, None, ())
    assert certificate.spki_der == spki_of(EC_KEY)
    assert parse_certificate(Forged(extensions=()).der()).extensions == ()


@pytest.mark.parametrize("order", [1, -1])
def test_the_interoperable_evidence_wins_in_any_order(order: int) -> None:
    both = (interoperable(), legacy(OTHER_EC_KEY))[::order]
    certificate = parse_certificate(Forged().with_extensions(*both).der())
    assert certificate.evidence is not None
    assert certificate.evidence.certificate_format is INTEROPERABLE
    assert certificate.unread_evidence == ("1.2.840.113741.1337.6",)


@pytest.mark.parametrize("order", [1, -1])
def test_of_several_legacy_ones_the_first_of_a_fixed_order_is_the_evidence(order: int) -> None:
    both = (legacy(), ("1.2.840.113741.1337.20", False, b"r" * 1184))[::order]
    certificate = parse_certificate(Forged().with_extensions(*both).der())
    assert certificate.evidence is not None
    assert certificate.evidence.kind is EvidenceKind.SGX_ECDSA
    assert certificate.unread_evidence == ("1.2.840.113741.1337.20",)


@pytest.mark.parametrize("value", [b"", b"\xa0", bytes.fromhex("d9ea6180"), bytes.fromhex("d9ea6080")])
def test_evidence_that_cannot_be_read_is_never_passed_over(value: bytes) -> None:
    with pytest.raises(REFUSALS):
        parse_certificate(Forged().with_extensions((EVIDENCE_OID, False, value), legacy()).der())
    with pytest.raises(REFUSALS):
        parse_certificate(Forged().with_extensions(("1.2.840.113741.1337.6", False, value)).der())


def test_endorsements_go_beside_an_intel_quote_only() -> None:
    assert parse_certificate(Forged().with_extensions(interoperable(), ENDORSEMENTS).der()).endorsements == COLLATERAL
    assert parse_certificate(Forged().with_extensions(ENDORSEMENTS, legacy()).der()).endorsements == COLLATERAL
    snp = ("1.2.840.113741.1337.20", False, b"r" * 1184)
    for extensions in ((ENDORSEMENTS,), (snp, ENDORSEMENTS)):
        with pytest.raises(MalformedError, match="no SGX or TDX quote beside them"):
            parse_certificate(Forged().with_extensions(*extensions).der())


def test_an_extension_may_not_come_twice() -> None:
    for twice in (interoperable(), legacy(), BASIC_CONSTRAINTS):
        with pytest.raises(MalformedError, match="two extensions"):
            parse_certificate(Forged(extensions=(twice, BASIC_CONSTRAINTS, twice)).der())


def test_the_number_of_extensions_is_bounded() -> None:
    many = tuple((f"1.3.{number}", False, b"") for number in range(32))
    assert len(parse_certificate(Forged(extensions=many).der()).extensions) == 32
    with pytest.raises(LimitExceededError):
        parse_certificate(Forged(extensions=(*many, BASIC_CONSTRAINTS)).der())


def test_unique_identifiers_are_passed_over() -> None:
    forged = Forged(after_key=tlv(0x81, b"\x00a") + tlv(0x82, b"\x00b")).with_extensions(legacy())
    assert parse_certificate(forged.der()).evidence is not None


VALID = Forged().with_extensions(interoperable())


@pytest.mark.parametrize(
    "der",
    [
        pytest.param(VALID.der() + b"\x00", id="byte after the certificate"),
        pytest.param(VALID.der()[:-1], id="cut off"),
        pytest.param(VALID.but(tail=tlv(0x05)).der(), id="field after the extensions"),
        pytest.param(VALID.but(after_key=tlv(0xA3, tlv(0x30))).der(), id="extensions twice"),
        pytest.param(VALID.but(serial=b"").der(), id="no serial"),
        pytest.param(VALID.but(version=tlv(0xA0, tlv(0x02, b"\x02"), b"\x05\x00")).der(), id="two versions"),
        pytest.param(VALID.but(not_after=tlv(0x17, b"270101000000+0000")).der(), id="time with an offset"),
        pytest.param(VALID.but(outer_algorithm=tlv(0x30)).der(), id="no algorithm"),
        pytest.param(
            VALID.but(extensions=(), after_key=tlv(0xA3, tlv(0x30, extension("1.3.1", True, b"") + b"\x05\x00"))).der(),
            id="an extension that is none",
        ),
        pytest.param(
            VALID.but(extensions=(), after_key=tlv(0xA3, tlv(0x30), b"\x05\x00")).der(), id="after the extensions"
        ),
        pytest.param(b"\x30\x80" + VALID.der()[4:] + b"\x00\x00", id="indefinite length"),
        pytest.param(b"\x03\x00", id="neither PEM nor DER"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_refuses_what_is_not_exactly_one_certificate(der: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_certificate(der)


def test_size_is_bounded() -> None:
    with pytest.raises(LimitExceededError):
        parse_certificate(b"\x30" + bytes(MAX_CERTIFICATE_BYTES))


def test_pem_and_der_are_told_apart_by_the_first_bytes() -> None:
    der = VALID.der()
    pem = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"
    assert b"-----BEGIN CERTIFICATE" in der
    assert parse_certificate(pem) == parse_certificate(b"\n" + pem) == parse_certificate(der)
    with pytest.raises(MalformedError, match="exactly one PEM block"):
        parse_certificate(pem + pem)
    assert looks_like_certificate(der)
    assert looks_like_certificate(pem)
    assert not looks_like_certificate(quote())


def test_the_id_is_that_of_the_whole_certificate() -> None:
    der = VALID.der()
    assert parse_certificate(der).attestation_id == attestation_id(der) == hashlib.sha256(der).hexdigest()[:8]


@given(st.binary(max_size=200))
def test_any_bytes_give_a_certificate_or_our_error(data: bytes) -> None:
    for candidate in (data, b"\x30" + data, b"-----BEGIN CERTIFICATE-----\n" + data):
        with pytest.raises(VerdictdError) as caught:
            parse_certificate(candidate)
        assert isinstance(caught.value, REFUSALS)


UNDAMAGED = [Forged().der(), Forged(parameters=tlv(0x05)).der()]


@given(data=st.data())
def test_what_is_read_of_a_damaged_certificate_is_what_openssl_reads(data: st.DataObject) -> None:
    """The key that is judged must be the key that TLS uses, or evidence for one would vouch for the other."""
    damaged = bytearray(data.draw(st.sampled_from(UNDAMAGED)))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        match data.draw(st.integers(0, 2)):
            case 0:
                damaged[at] = data.draw(st.integers(0, 255))
            case 1:
                damaged.insert(at, data.draw(st.integers(0, 255)))
            case _:
                del damaged[at]
    try:
        ours = parse_certificate(bytes(damaged))
    except REFUSALS:
        return
    try:
        theirs = crypto.load_certificate(crypto.FILETYPE_ASN1, bytes(damaged))
        key = crypto.dump_publickey(crypto.FILETYPE_ASN1, theirs.get_pubkey())
    except crypto.Error:
        return
    judged = {check.name: check.result for check in check_certificate(ours, AT)}
    assert key == ours.spki_der or judged["certificate.key"] is CheckResult.FAIL
