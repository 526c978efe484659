"""What is wrong although its signature is right, and what is wrong around what is signed."""

from collections.abc import Callable
from datetime import timedelta
from itertools import count

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from tests.unit.tees.amd.conftest import NOW
from verdictd.core.der import read_single
from verdictd.core.errors import AuthenticityError, ConfigError, MalformedError
from verdictd.simulator.amd_certificates import AMDTCB, PSS, SHA384, issue_endorsement_key
from verdictd.simulator.amd_pki import AMDPKI
from verdictd.tees.amd.certificates import verify_chain, verify_leaf
from verdictd.tees.amd.revocation import verify_crl
from verdictd.tees.amd.roots import AMDRoots, parse_amd_roots
from verdictd.tees.amd.signed import verify_signature


def der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    length = bytes([size]) if size < 0x80 else bytes([0x82]) + size.to_bytes(2, "big")
    if 0x80 <= size <= 0xFF:
        length = bytes([0x81, size])
    return bytes([tag]) + length + content


def parts_of(pki: AMDPKI) -> list[bytes]:
    """The body, the algorithm and the signature of a VCEK's certificate."""
    whole = issue_endorsement_key(pki.spec("vcek", bytes(range(64)), AMDTCB(), NOW), pki.ask.key)
    return [part.encoded for part in read_single(whole).children()]


def signed_anew(pki: AMDPKI, change: Callable[[list[bytes]], None]) -> bytes:
    """The certificate with other members of its body, rightly signed."""
    body, algorithm, _ = parts_of(pki)
    members = [member.encoded for member in read_single(body).children()]
    change(members)
    changed = der(0x30, *members)
    return der(0x30, changed, algorithm, der(0x03, b"\0", pki.ask.key.sign(changed, PSS, SHA384)))


def extensions_of(members: list[bytes]) -> list[bytes]:
    return [each.encoded for each in read_single(members[-1]).children()[0].children()]


def repeat_an_extension(members: list[bytes]) -> None:
    found = extensions_of(members)
    members[-1] = der(0xA3, der(0x30, *found, found[0]))


def make_an_extension_critical(members: list[bytes]) -> None:
    found = extensions_of(members)
    name, value = (part.encoded for part in read_single(found[0]).children())
    members[-1] = der(0xA3, der(0x30, der(0x30, name, b"\x01\x01\xff", value), *found[1:]))


def add_to_the_version(members: list[bytes]) -> None:
    members[0] = der(0xA0, b"\x02\x01\x02", b"\x05\x00")


def make_it_version_2(members: list[bytes]) -> None:
    members[0] = der(0xA0, b"\x02\x01\x01")


def add_a_unique_identifier(members: list[bytes]) -> None:
    members.insert(-1, der(0x81, b"\0\1"))


def test_what_is_signed_anew_holds(milan: AMDPKI, roots: AMDRoots) -> None:
    verify_leaf(signed_anew(milan, lambda _: None), verify_chain(milan.chain("vcek"), roots))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (repeat_an_extension, "twice"),
        (make_an_extension_critical, "critical"),
        (add_to_the_version, "not of version 3"),
        (make_it_version_2, "not of version 3"),
        (add_a_unique_identifier, "9 members"),
    ],
)
def test_what_is_signed_but_wrong_is_refused(
    milan: AMDPKI, roots: AMDRoots, change: Callable[[list[bytes]], None], message: str
) -> None:
    with pytest.raises(MalformedError, match=message):
        verify_leaf(signed_anew(milan, change), verify_chain(milan.chain("vcek"), roots))


def test_the_algorithm_beside_what_is_signed_is_the_same(milan: AMDPKI, roots: AMDRoots) -> None:
    body, algorithm, signature = parts_of(milan)
    name, parameters = read_single(algorithm).children()
    members = [each.encoded for each in parameters.children()]
    other = members[:-1] if members[-1] == bytes.fromhex("a303020101") else [*members, bytes.fromhex("a303020101")]
    changed = der(0x30, body, der(0x30, name.encoded, der(0x30, *other)), signature)
    with pytest.raises(AuthenticityError, match="one signature algorithm"):
        verify_leaf(changed, verify_chain(milan.chain("vcek"), roots))


def test_a_signature_is_of_whole_bytes(milan: AMDPKI, roots: AMDRoots) -> None:
    body, algorithm, signature = parts_of(milan)
    changed = der(0x30, body, algorithm, der(0x03, b"\1", read_single(signature).value[1:]))
    with pytest.raises(MalformedError, match="whole bytes"):
        verify_leaf(changed, verify_chain(milan.chain("vcek"), roots))


def test_a_crl_with_a_critical_extension_of_an_entry_is_refused(milan: AMDPKI, roots: AMDRoots) -> None:
    issuer = x509.CertificateIssuer([x509.DirectoryName(milan.ask.certificate.subject)])
    entry = x509.RevokedCertificateBuilder().serial_number(1).revocation_date(NOW).add_extension(issuer, critical=True)
    builder = x509.CertificateRevocationListBuilder().issuer_name(milan.ark.certificate.subject).last_update(NOW)
    builder = builder.next_update(NOW + timedelta(days=1)).add_extension(x509.CRLNumber(1), critical=False)
    crl = builder.add_revoked_certificate(entry.build()).sign(milan.ark.key, SHA384, rsa_padding=PSS)
    with pytest.raises(AuthenticityError, match="critical"):
        verify_crl(crl.public_bytes(Encoding.DER), roots)


@pytest.mark.parametrize(("may_sign_crls", "is_own", "message"), [(False, True, "CRLs"), (True, False, "not verify")])
def test_a_root_that_may_not_vouch_is_refused(
    milan: AMDPKI,
    may_sign_crls: bool,
    is_own: bool,
    message: str,
) -> None:
    old = milan.ark.certificate
    builder = x509.CertificateBuilder().subject_name(old.subject).issuer_name(old.issuer).serial_number(1)
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1)).public_key(old.public_key())
    usage = x509.KeyUsage(False, False, False, False, False, True, may_sign_crls, False, False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    signer = milan.ark.key if is_own else milan.ask.key
    root = builder.add_extension(usage, critical=True).sign(signer, SHA384, rsa_padding=PSS)
    with pytest.raises(ConfigError, match=message):
        parse_amd_roots(root.public_bytes(Encoding.PEM), "x.pem")


def test_a_signature_without_its_first_zero_is_refused() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    signature = next(found for _ in count() if not (found := key.sign(b"it", PSS, SHA384))[0])
    verify_signature(key.public_key(), signature, b"it", "it", "its issuer")
    for other in (signature[1:], b"\0" + signature):
        with pytest.raises(AuthenticityError, match="does not verify"):
            verify_signature(key.public_key(), other, b"it", "it", "its issuer")
