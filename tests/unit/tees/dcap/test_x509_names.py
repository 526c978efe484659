"""Certificates and CRLs as bytes: what is signed and whose it is are the library's, byte for byte."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.unit.tees.simulated import AT, flipped, platform, signed_again
from verdictd.core.errors import MalformedError
from verdictd.simulator.der_encoding import encode_object_identifier, encode_octets, encode_sequence
from verdictd.simulator.pki import CertificateRole
from verdictd.tees.dcap.trust_roots import intel_trust_root
from verdictd.tees.dcap.x509_names import common_name, describe_name, parse_certificate, parse_crl

CN, O = NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME  # noqa: E741 - as they are abbreviated everywhere


def name(*attributes: tuple[x509.ObjectIdentifier, str]) -> bytes:
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes]).public_bytes()


@pytest.mark.parametrize("role", ["root-ca", "platform-ca", "tcb-signing", "pck"])
def test_a_certificates_parts_are_the_librarys(role: CertificateRole) -> None:
    certificate = platform().pki.credential(role).certificate
    der = certificate.public_bytes(Encoding.DER)
    entry = parse_certificate(der)
    assert entry.certificate == certificate
    assert entry.der == der
    assert entry.body == certificate.tbs_certificate_bytes
    assert (entry.issuer, entry.subject) == (certificate.issuer.public_bytes(), certificate.subject.public_bytes())
    assert entry.common_name == certificate.subject.get_attributes_for_oid(CN)[0].value
    assert str(entry) == repr(entry.common_name)


def test_intels_roots_parts_are_the_librarys_too() -> None:
    certificate = intel_trust_root().certificate
    entry = parse_certificate(certificate.public_bytes(Encoding.DER))
    assert entry.body == certificate.tbs_certificate_bytes
    assert entry.subject == entry.issuer == certificate.subject.public_bytes()
    assert entry.common_name == "Intel SGX Root CA"


def test_a_crls_parts_are_the_librarys() -> None:
    collateral = platform().collateral(AT)
    for item, issuer in ((collateral.pck_crl, "platform-ca"), (collateral.root_ca_crl, "root-ca")):
        assert item is not None
        crl, body, found = parse_crl(item.der)
        assert body == crl.tbs_certlist_bytes
        assert found == platform().pki.credential(issuer).certificate.subject.public_bytes()  # type: ignore[arg-type]


def test_a_crl_of_version_1_has_its_issuer_too() -> None:
    """It has no version field, and no extensions either: no CRL number, so that it is refused later."""
    collateral = platform().collateral(AT)
    assert collateral.pck_crl is not None
    body = x509.load_der_x509_crl(collateral.pck_crl.der).tbs_certlist_bytes
    stripped = body.replace(b"\x02\x01\x01", b"", 1)
    (extensions,) = [
        at for at in range(len(stripped) - 1) if stripped[at] == 0xA0 and at + 2 + stripped[at + 1] == len(stripped)
    ]
    stripped = stripped[:extensions]
    crl, _, issuer = parse_crl(signed_again(stripped, platform().pki.platform_ca.key))
    assert list(crl.extensions) == []
    assert issuer == platform().pki.platform_ca.certificate.subject.public_bytes()


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ([(CN, "one")], "one"),
        ([(O, "x"), (CN, "one"), (O, "y")], "one"),
        ([(CN, "ä ö")], "ä ö"),
        ([], ""),
        ([(O, "x")], ""),
        ([(CN, "SGX PCK Certificate"), (CN, "SGX TCB Signing")], ""),
    ],
)
def test_the_common_name_is_the_only_one_or_none(
    attributes: list[tuple[x509.ObjectIdentifier, str]], expected: str
) -> None:
    """Two of them could be read as one by one reader and as the other by the next."""
    assert common_name(name(*attributes)) == expected


def test_a_common_name_in_a_set_of_several_is_found() -> None:
    several = x509.Name(
        [x509.RelativeDistinguishedName([x509.NameAttribute(CN, "one"), x509.NameAttribute(O, "x")])]
    ).public_bytes()
    assert common_name(several) == "one"


@pytest.mark.parametrize(
    "data", [b"", b"\x30", b"\x30\x02\x31\x01", name((CN, "one")) + b"\0", b"\x30\x04\x31\x02\x30\x00"]
)
def test_what_is_no_name_is_malformed_and_described_by_its_bytes(data: bytes) -> None:
    with pytest.raises(MalformedError):
        common_name(data)
    assert describe_name(data) == repr(data.hex())


def test_names_are_described_for_people() -> None:
    assert describe_name(name((CN, "it's \n one"))) == repr("it's \n one"), "a line break cannot forge a log line"
    assert describe_name(name((O, "x"))) == repr(name((O, "x")).hex())


LONG_COMMON_NAME = encode_sequence(encode_object_identifier("2.5.4.3"), encode_octets(b"x" * 60_000))


@pytest.mark.parametrize(
    "data", [bytes(60_000), name(*[(O, "x" * 60)] * 900), encode_sequence(encode_sequence(LONG_COMMON_NAME))]
)
def test_a_name_of_any_length_is_described_briefly(data: bytes) -> None:
    """A peer writes the names in its chain, and they go into logs and the history of attestations."""
    assert len(describe_name(data)) < 110
    assert describe_name(data).endswith("…'")


@pytest.mark.parametrize("serial", ["00", "ff", "80", "01", "008100ff"])
def test_serial_numbers_are_positive(serial: str) -> None:
    """RFC 5280, 4.1.2.2. Revocation goes by them."""
    certificate = platform().pki.pck.certificate
    present = certificate.serial_number
    body = certificate.tbs_certificate_bytes
    size = present.bit_length() // 8 + 1
    old = bytes([2, size]) + present.to_bytes(size, "big")
    assert body.count(old) == 1
    new = bytes.fromhex(serial)
    changed = signed_again(body.replace(old, bytes([2, len(new)]) + new), platform().pki.platform_ca.key)
    number = int.from_bytes(new, "big", signed=True)
    if number > 0:
        assert parse_certificate(changed).certificate.serial_number == number
    else:
        with pytest.raises(MalformedError, match="serial number is not positive"):
            parse_certificate(changed)


@pytest.mark.parametrize("data", [b"", b"\0", b"\x30\x00", b"\x30\x03\x30\x01\x02", bytes(200)])
def test_what_is_neither_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError, match=r"not an X\.509 certificate"):
        parse_certificate(data)
    with pytest.raises(MalformedError, match=r"not an X\.509 CRL"):
        parse_crl(data)


def test_every_shorter_and_longer_one_is_malformed() -> None:
    der = platform().pki.pck.certificate.public_bytes(Encoding.DER)
    for size in range(0, len(der), 13):
        with pytest.raises(MalformedError):
            parse_certificate(der[:size])
    with pytest.raises(MalformedError):
        parse_certificate(der + b"\0")
    with pytest.raises(MalformedError):
        parse_certificate(flipped(der, 0))


@pytest.mark.parametrize("unused_bits", range(1, 8))
def test_a_signature_is_whole_bytes(unused_bits: int) -> None:
    """The library passes over the count where those bits are zero: the bytes would differ, the object would not."""
    certificate = platform().pki.credential("pck").certificate
    crl_item = platform().collateral(AT).pck_crl
    assert crl_item is not None
    crl = x509.load_der_x509_crl(crl_item.der)
    whole = [
        (certificate.public_bytes(Encoding.DER), certificate.signature, parse_certificate),
        (crl_item.der, crl.signature, parse_crl),
    ]
    for der, signature, parse in whole:
        count = len(der) - len(signature) - 1
        assert der[count] == 0
        with pytest.raises(MalformedError):
            parse(der[:count] + bytes([unused_bits]) + der[count + 1 :])
