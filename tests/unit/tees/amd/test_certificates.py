"""Each rule by an input that it alone refuses, made by a simulated AMD."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.tees.amd.conftest import NOW
from verdictd.core.errors import AuthenticityError, ConfigError, LimitExceededError, MalformedError, VerdictdError
from verdictd.simulator.amd_certificates import (
    AMDTCB,
    PSS,
    SHA384,
    EndorsementKeySpec,
    amd_name,
    issue_amd_crl,
    issue_endorsement_key,
)
from verdictd.simulator.amd_pki import AMDPKI
from verdictd.tees.amd.certificates import verify_chain, verify_leaf
from verdictd.tees.amd.revocation import verify_crl
from verdictd.tees.amd.roots import ARK_SHA256, AMDRoots, amd_roots, parse_amd_roots

CHIP = bytes(range(64))
TCB = AMDTCB(bootloader=3, tee=1, snp=8, microcode=115)


def leaf_spec(pki: AMDPKI, **changes: Any) -> EndorsementKeySpec:
    chip_id = CHIP[:8] if pki.product == "Turin" else CHIP
    return replace(pki.spec("vcek", chip_id, TCB, NOW), **changes)


def issue(pki: AMDPKI, **changes: Any) -> bytes:
    return issue_endorsement_key(leaf_spec(pki, **changes), pki.ask.key)


def crl(pki: AMDPKI, *serials: int, extensions: tuple[tuple[x509.ExtensionType, bool], ...] = ()) -> bytes:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(pki.ark.certificate.subject)
        .last_update(NOW)
        .next_update(NOW + timedelta(days=365))
    )
    for extension, critical in extensions or ((x509.CRLNumber(7), False),):
        builder = builder.add_extension(extension, critical=critical)
    for serial in serials:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(pki.ark.key, SHA384, rsa_padding=PSS).public_bytes(Encoding.DER)


def reissue(pki: AMDPKI, *, name: str = "SEV-Milan", key: Any = None, **rest: Any) -> bytes:
    """An intermediate with something else in one place, in front of the root; PEM."""
    profile: dict[str, Any] = {
        "path_length": 0,
        "padding": PSS,
        "algorithm": SHA384,
        "cert_sign": True,
        "extra": None,
        "issuer": pki.ark.certificate.subject,
        "signer": pki.ark.key,
    } | rest
    usage = x509.KeyUsage(
        digital_signature=not profile["cert_sign"],
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=profile["cert_sign"],
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(amd_name(name))
        .issuer_name(profile["issuer"])
        .serial_number(0x10001)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1000))
        .public_key((key or pki.ask.key).public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=profile["path_length"]), critical=True)
        .add_extension(usage, critical=True)
    )
    if profile["extra"] is not None:
        builder = builder.add_extension(profile["extra"], critical=True)
    signed = builder.sign(profile["signer"], profile["algorithm"], rsa_padding=profile["padding"])
    return signed.public_bytes(Encoding.PEM) + pki.ark.pem


def test_what_a_vcek_says(milan: AMDPKI, roots: AMDRoots) -> None:
    leaf = verify_leaf(issue(milan), verify_chain(milan.chain("vcek"), roots))
    assert (leaf.endorsed.tcb, leaf.endorsed.chip_id) == (bytes([3, 1, 0, 0, 0, 0, 8, 115]), CHIP)
    assert (leaf.endorsed.product_name, leaf.endorsed.csp_id) == ("Milan-B0", "")
    assert leaf.key == milan.endorsement_key("vcek", CHIP, TCB).public_key()
    assert (leaf.not_before, leaf.not_after.year) == (NOW, 2033)


def test_what_a_vlek_says(milan: AMDPKI, roots: AMDRoots) -> None:
    der = issue_endorsement_key(milan.spec("vlek", b"", TCB, NOW), milan.asvk.key)
    leaf = verify_leaf(der, verify_chain(milan.chain("vlek"), roots))
    assert (leaf.endorsed.chip_id, leaf.endorsed.csp_id) == (b"", "CN=tee-sim.invalid")


def test_turin_has_another_order(turin: AMDPKI, roots: AMDRoots) -> None:
    tcb = AMDTCB(fmc=9, bootloader=3, tee=1, snp=8, microcode=115)
    leaf = verify_leaf(issue(turin, tcb=tcb), verify_chain(turin.chain("vcek"), roots))
    assert (leaf.endorsed.tcb, leaf.endorsed.chip_id) == (bytes([9, 3, 1, 8, 0, 0, 0, 115]), CHIP[:8])


def test_a_wrapped_chip_id_is_read(milan: AMDPKI, roots: AMDRoots) -> None:
    chain = verify_chain(milan.chain("vcek"), roots)
    assert verify_leaf(issue(milan, hardware_id=b"\x04\x40" + CHIP), chain).endorsed.chip_id == CHIP


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"omitted": frozenset({"3.1"})}, "extensions.*3.1"),
        ({"omitted": frozenset({"1"})}, "extensions"),
        ({"has_fmc": True}, "extensions.*3.9"),
        ({"csp_id": "CN=x"}, "extensions.*5"),
        ({"hardware_id": None}, "extensions.*4"),
        ({"hardware_id": CHIP[:63]}, "."),
        ({"hardware_id": b"\x04\x08" + CHIP[:8]}, "8 bytes long, expected 64"),
        ({"product_name": "Genoa-B0"}, "of the product 'Genoa-B0'"),
        ({"product_name": "Milan\n"}, "printable"),
        ({"tcb": AMDTCB(tee=256)}, "expected 0 to 255"),
        ({"subject": amd_name("SEV-VLEK")}, "is named 'SEV-VLEK'"),
        ({"issuer": amd_name("SEV-Genoa")}, "another issuer"),
        ({"public_key": ec.generate_private_key(ec.SECP256R1()).public_key()}, "not on P-384"),
    ],
)
def test_a_leaf_that_is_something_else_is_refused(
    milan: AMDPKI, roots: AMDRoots, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises((MalformedError, AuthenticityError), match=message):
        verify_leaf(issue(milan, **changes), verify_chain(milan.chain("vcek"), roots))


def test_a_leaf_of_another_signer_is_refused(milan: AMDPKI, roots: AMDRoots) -> None:
    der = issue_endorsement_key(leaf_spec(milan), milan.asvk.key)
    with pytest.raises(AuthenticityError, match="does not verify"):
        verify_leaf(der, verify_chain(milan.chain("vcek"), roots))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "SEV-Genoa"}, "begins with 'SEV-Genoa'"),
        ({"name": "ARK-Milan"}, "begins with 'ARK-Milan'"),
        ({"path_length": 1}, "may issue CAs"),
        ({"path_length": None}, "may issue CAs"),
        ({"cert_sign": False}, "no CA"),
        ({"extra": x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"")}, "critical extension 1.2.3"),
        ({"padding": padding.PKCS1v15()}, "not signed with RSASSA-PSS"),
        ({"padding": padding.PSS(padding.MGF1(SHA384), 32)}, "48 bytes of salt"),
        ({"padding": padding.PSS(padding.MGF1(hashes.SHA256()), 48)}, "not signed with RSASSA-PSS"),
        ({"algorithm": hashes.SHA512()}, "not signed with RSASSA-PSS"),
        ({"key": rsa.generate_private_key(public_exponent=65537, key_size=2048)}, "no RSA key of 4096"),
        ({"key": ec.generate_private_key(ec.SECP384R1())}, "no RSA key of 4096"),
        ({"issuer": amd_name("ARK-Genoa")}, "another issuer"),
    ],
)
def test_a_chain_that_does_not_hold_is_refused(
    milan: AMDPKI, roots: AMDRoots, changes: dict[str, Any], message: str
) -> None:
    verify_chain(reissue(milan), roots)
    with pytest.raises(AuthenticityError, match=message):
        verify_chain(reissue(milan, **changes), roots)


def test_an_intermediate_of_another_signer_is_refused(milan: AMDPKI, roots: AMDRoots) -> None:
    with pytest.raises(AuthenticityError, match="does not verify"):
        verify_chain(reissue(milan, signer=milan.ask.key), roots)


def test_a_root_that_is_not_trusted_is_refused(milan: AMDPKI) -> None:
    with pytest.raises(AuthenticityError, match="none of the trusted roots"):
        verify_chain(milan.chain("vcek"), AMDRoots(amd_roots()))


def test_a_chain_is_two_certificates(milan: AMDPKI, roots: AMDRoots) -> None:
    for pem in (milan.ask.pem, milan.chain("vcek") + milan.ark.pem, b"", b"x" + milan.chain("vcek")):
        with pytest.raises(MalformedError):
            verify_chain(pem, roots)
    for pem in (milan.ask.pem * 9, b" " * 70_000):
        with pytest.raises(LimitExceededError):
            verify_chain(pem, roots)


def test_what_a_crl_says(milan: AMDPKI, turin: AMDPKI, roots: AMDRoots) -> None:
    found = verify_crl(crl(milan, 0x10001, 5), roots)
    assert (found.product, found.number, dict(found.revoked)) == ("Milan", 7, {0x10001: NOW, 5: NOW})
    assert found.expires_at == NOW + timedelta(days=365)
    assert verify_crl(crl(turin), roots).product == "Turin"


def test_a_crl_that_does_not_hold_is_refused(milan: AMDPKI, turin: AMDPKI, roots: AMDRoots) -> None:
    subject, when = milan.ark.certificate.subject, {"this_update": NOW, "next_update": NOW + timedelta(days=1)}
    for der, message in (
        (crl(milan, extensions=((x509.DeltaCRLIndicator(1), True), (x509.CRLNumber(2), False))), "critical"),
        (crl(milan, extensions=((x509.DeltaCRLIndicator(1), False),)), "no CRL number"),
        (issue_amd_crl(subject, turin.ark.key, number=1, **when), "does not verify"),
        (issue_amd_crl(amd_name("ARK-X"), milan.ark.key, number=1, **when), "no trusted root"),
        (issue_amd_crl(milan.ask.certificate.subject, milan.ask.key, number=1, **when), "no trusted root"),
    ):
        with pytest.raises((AuthenticityError, MalformedError), match=message):
            verify_crl(der, roots)


def test_roots_that_are_none_are_refused(milan: AMDPKI) -> None:
    for pem in (milan.ask.pem, b"", milan.ark.pem[:-40]):
        with pytest.raises(ConfigError):
            parse_amd_roots(pem, "x.pem")
    with pytest.raises(ConfigError, match="no root"):
        AMDRoots(())
    assert [root.product for root in amd_roots()] == [*ARK_SHA256]
    assert not parse_amd_roots(milan.ark.pem, "x")[0].is_amd


@settings(max_examples=150, deadline=None)
@given(place=st.floats(min_value=0, max_value=1, exclude_max=True), bit=st.integers(0, 7))
def test_every_flipped_bit_is_refused(milan: AMDPKI, roots: AMDRoots, place: float, bit: int) -> None:
    chain = verify_chain(milan.chain("vcek"), roots)
    for content, verify in (
        (issue(milan), lambda der: verify_leaf(der, chain)),
        (crl(milan, 9), lambda der: verify_crl(der, roots)),
    ):
        damaged = bytearray(content)
        damaged[int(place * len(content))] ^= 1 << bit
        with pytest.raises(VerdictdError):
            verify(bytes(damaged))


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=400))
def test_any_bytes_are_refused(milan: AMDPKI, roots: AMDRoots, content: bytes) -> None:
    chain = verify_chain(milan.chain("vcek"), roots)
    for verify in (
        lambda: verify_leaf(content, chain),
        lambda: verify_crl(content, roots),
        lambda: verify_chain(content, roots),
    ):
        with pytest.raises((MalformedError, AuthenticityError, LimitExceededError)):
            verify()
