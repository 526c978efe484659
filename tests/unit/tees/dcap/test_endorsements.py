"""Items of collateral, each by itself: who may sign what, and that nothing else is taken for it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from tests.unit.tees.simulated import (
    AT,
    YEAR_2050,
    flipped,
    in_year_zero,
    key_usage,
    other,
    platform,
    roots_of,
    signed_again,
    with_extension,
)
from verdictd.core.errors import AuthenticityError, LimitExceededError, MalformedError, UnsupportedError, VerdictdError
from verdictd.core.limits import MAX_CRL_BYTES, MAX_SIGNED_DOCUMENT_BYTES
from verdictd.simulator.certificate_builder import CertificateSpec, issue_certificate, simulated_name
from verdictd.simulator.crl_builder import RevokedCertificate
from verdictd.simulator.keys import Credential, generate_key
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.tees.dcap.collateral import RevocationList, SignedDocument
from verdictd.tees.dcap.endorsements import (
    VerifiedCRL,
    verify_crl_by,
    verify_pck_crl,
    verify_qe_identity,
    verify_root_ca_crl,
    verify_tcb_info,
)
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.trust_roots import TrustRoots
from verdictd.tees.dcap.x509_names import parse_certificate

Verify = Callable[[SignedDocument, TrustRoots], Any]
EACH_DOCUMENT = pytest.mark.parametrize(
    ("item", "verify"), [("tcb_info", verify_tcb_info), ("qe_identity", verify_qe_identity)]
)


def document(item: str, sim: SimulatedPlatform | None = None, signer: Credential | None = None) -> SignedDocument:
    source = sim or platform()
    if item == "tcb_info":
        return source.issue_tcb_info(source.tcb_info_spec(), AT, signer=signer)
    return source.issue_qe_identity(source.qe_identity_spec(), AT, signer=signer)


def pck_crl(signer_of: SimulatedPlatform | None = None, **changes: object) -> RevocationList:
    sim = signer_of or platform()
    return sim.issue_pck_crl(replace(sim.pck_crl_spec(), **changes), AT)  # type: ignore[arg-type]


def root_ca_crl(**changes: object) -> RevocationList:
    sim = platform()
    return sim.issue_root_ca_crl(replace(sim.root_ca_crl_spec(), **changes), AT)  # type: ignore[arg-type]


def signer(change: Callable[[CertificateSpec], CertificateSpec], issuer: Credential | None = None) -> Credential:
    """Another TCB signer under the platform's root."""
    key = generate_key()
    spec = replace(platform().certificate_spec("tcb-signing"), public_key=key.public_key())
    return Credential(issue_certificate(change(spec), (issuer or platform().pki.root_ca).key), key)


@EACH_DOCUMENT
def test_a_document_tells_who_vouches_and_how_long(item: str, verify: Verify) -> None:
    verified = verify(document(item), roots_of(platform()))
    assert verified.root.certificate == platform().pki.root_ca.certificate
    assert verified.chain.leaf.certificate == platform().pki.tcb_signing.certificate
    assert verified.issue_date == AT - timedelta(minutes=10)
    assert verified.next_update == verified.issue_date + timedelta(days=30)
    assert verified.expires_at == verified.next_update
    assert verified.sequence == (17, verified.issue_date)


def test_tcb_info_tells_what_it_is_for() -> None:
    verified = verify_tcb_info(document("tcb_info"), roots_of(platform()))
    assert (verified.fmspc, verified.pce_id) == (platform().hardware.fmspc, platform().hardware.pce_id)
    assert verified.tee_id == "SGX"


@EACH_DOCUMENT
def test_a_document_expires_with_its_signer(item: str, verify: Verify) -> None:
    soon = AT + timedelta(days=1)
    assert (
        verify(
            document(item, signer=signer(lambda spec: replace(spec, not_after=soon))), roots_of(platform())
        ).expires_at
        == soon
    )


@EACH_DOCUMENT
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda spec: replace(spec, subject=simulated_name("Somebody")), "expected an SGX TCB Signing certificate"),
        (lambda spec: replace(spec, subject=simulated_name("SGX PCK Certificate")), "expected an SGX TCB Signing"),
        (lambda spec: replace(spec, is_ca=True), "is a CA"),
        (lambda spec: replace(spec, may_sign_certificates=True), "not to make signatures"),
        (lambda spec: replace(spec, hash_algorithm=hashes.SHA384()), "not signed with ECDSA and SHA-256"),
    ],
    ids=["another name", "a PCK's name", "a CA", "key usage", "SHA-384"],
)
def test_only_a_tcb_signer_signs_documents(
    item: str, verify: Verify, change: Callable[[CertificateSpec], CertificateSpec], message: str
) -> None:
    with pytest.raises(AuthenticityError, match=message):
        verify(document(item, signer=signer(change)), roots_of(platform()))


@EACH_DOCUMENT
def test_a_tcb_signer_below_another_ca_is_none(item: str, verify: Verify) -> None:
    """The platform CA names its issued certificate a TCB signer: the root alone appoints those."""
    pki = platform().pki
    appointed = signer(lambda spec: replace(spec, issuer=pki.platform_ca.certificate.subject), pki.platform_ca)
    signed = document(item, signer=appointed)
    chain = appointed.pem + pki.chain("platform-ca")
    with pytest.raises(AuthenticityError, match="expected an SGX TCB Signing certificate of the root"):
        verify(replace(signed, issuer_chain=chain), roots_of(platform()))


@EACH_DOCUMENT
@pytest.mark.parametrize("role", ["pck", "platform-ca", "root-ca"])
def test_other_keys_of_the_pki_sign_no_documents(item: str, verify: Verify, role: Any) -> None:
    pki = platform().pki
    signed = document(item, signer=pki.credential(role))
    for chain in (pki.chain(role), pki.chain("tcb-signing")):
        with pytest.raises(AuthenticityError):
            verify(replace(signed, issuer_chain=chain), roots_of(platform()))


@EACH_DOCUMENT
def test_every_byte_and_the_signature_count(item: str, verify: Verify) -> None:
    genuine = document(item)
    for bit in range(0, len(genuine.body) * 8, 197):
        with pytest.raises(AuthenticityError, match="does not verify"):
            verify(replace(genuine, body=flipped(genuine.body, bit)), roots_of(platform()))
    for bit in range(0, 512, 7):
        with pytest.raises(AuthenticityError, match="does not verify"):
            verify(replace(genuine, signature=flipped(genuine.signature, bit)), roots_of(platform()))
    for size in (0, 63, 65):
        with pytest.raises(AuthenticityError, match="64 bytes long"):
            verify(replace(genuine, signature=bytes(size)), roots_of(platform()))
    with pytest.raises(AuthenticityError, match="does not verify"):
        verify(replace(genuine, body=genuine.body + b" "), roots_of(platform()))


@EACH_DOCUMENT
def test_one_document_is_not_the_other(item: str, verify: Verify) -> None:
    """Both are signed by one key: what tells them apart is what they say."""
    wrong = document("qe_identity" if item == "tcb_info" else "tcb_info")
    with pytest.raises((MalformedError, UnsupportedError)):
        verify(wrong, roots_of(platform()))


@EACH_DOCUMENT
def test_under_roots_that_do_not_vouch_there_is_none(item: str, verify: Verify) -> None:
    with pytest.raises(AuthenticityError, match="not trusted"):
        verify(document(item), roots_of(other()))
    assert verify(document(item), roots_of(other(), platform())).root.certificate == platform().pki.root_ca.certificate
    for chain in (b"", b"\0", other().pki.chain("tcb-signing")):
        with pytest.raises(VerdictdError, match="chain"):
            verify(replace(document(item), issuer_chain=chain), roots_of(platform()))


@EACH_DOCUMENT
def test_size_is_limited_before_anything_is_done(item: str, verify: Verify) -> None:
    big = replace(document(item), body=bytes(MAX_SIGNED_DOCUMENT_BYTES + 1), issuer_chain=b"")
    with pytest.raises(LimitExceededError, match=str(MAX_SIGNED_DOCUMENT_BYTES)):
        verify(big, roots_of(platform()))


def test_a_crl_tells_who_vouches_and_how_long() -> None:
    verified = verify_pck_crl(pck_crl(), roots_of(platform()))
    assert verified.root.certificate == platform().pki.root_ca.certificate
    assert verified.issuer == platform().pki.platform_ca.certificate.subject.public_bytes()
    assert verified.issue_date == AT - timedelta(minutes=10)
    assert verified.expires_at == verified.next_update == verified.issue_date + timedelta(days=30)
    assert (verified.number, verified.sequence) == (1, (1, verified.issue_date))
    of_root = verify_root_ca_crl(root_ca_crl(number=77), roots_of(platform()))
    assert of_root.issuer == platform().pki.root_ca.certificate.subject.public_bytes()
    assert of_root.sequence == (77, of_root.issue_date)


def test_a_crl_expires_with_its_issuer() -> None:
    soon = AT + timedelta(days=1)
    sim = platform()
    short = sim.with_certificate("platform-ca", replace(sim.certificate_spec("platform-ca"), not_after=soon))
    assert verify_pck_crl(pck_crl(short), roots_of(sim)).expires_at == soon


def test_every_entry_of_a_crl_counts() -> None:
    since = datetime(2026, 5, 1, tzinfo=UTC)
    serials = [1, 2, 255, 2**64, 2**158]
    verified = verify_pck_crl(
        pck_crl(revoked=tuple(RevokedCertificate(serial_number=serial, since=since) for serial in serials)),
        roots_of(platform()),
    )
    assert [verified.revocation_date(serial) for serial in serials] == [since] * len(serials)
    assert [verified.revocation_date(serial) for serial in (3, 254, 2**64 + 1)] == [None] * 3
    assert verify_pck_crl(pck_crl(), roots_of(platform())).revocation_date(1) is None


def verify_of_root(crl: RevocationList, roots: TrustRoots) -> VerifiedCRL:
    return verify_root_ca_crl(crl, roots)


@pytest.mark.parametrize(("make", "verify"), [(pck_crl, verify_pck_crl), (root_ca_crl, verify_of_root)])
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"number": None}, MalformedError, "no CRL number"),
        ({"hash_algorithm": hashes.SHA384()}, AuthenticityError, "not signed with ECDSA and SHA-256"),
        ({"issuer": simulated_name("Somebody")}, AuthenticityError, "Somebody"),
        ({"added": ((x509.DeltaCRLIndicator(1), True),)}, AuthenticityError, "critical extension 2.5.29.27"),
        (
            {"added": ((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b""), True),)},
            AuthenticityError,
            "critical extension 1.2.3",
        ),
    ],
    ids=["no number", "SHA-384", "another issuer", "delta", "unknown critical extension"],
)
def test_a_crl_that_is_not_the_whole_one_is_refused(
    make: Callable[..., RevocationList],
    verify: Callable[[RevocationList, TrustRoots], VerifiedCRL],
    changes: dict[str, object],
    error: type[VerdictdError],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        verify(make(**changes), roots_of(platform()))


def test_an_extension_that_is_not_critical_may_be_there() -> None:
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"")
    assert verify_pck_crl(pck_crl(added=((extension, False),)), roots_of(platform())).number == 1


def test_a_crl_without_next_update_never_expires_and_is_refused() -> None:
    sim = platform()
    crl = pck_crl().der
    parsed = x509.load_der_x509_crl(crl)
    assert parsed.next_update_utc is not None
    # The field is cut out of the signed part, which is then signed again.
    body = parsed.tbs_certlist_bytes
    field = b"\x17\x0d" + f"{parsed.next_update_utc:%y%m%d%H%M%SZ}".encode()
    assert body.count(field) == 1
    signed = signed_again(body.replace(field, b""), sim.pki.platform_ca.key)
    with pytest.raises(MalformedError, match="does not say when the next one is due"):
        verify_pck_crl(replace(pck_crl(), der=signed), roots_of(sim))


def test_a_stranger_signs_no_crl() -> None:
    sim, stranger = platform(), generate_key()
    with pytest.raises(AuthenticityError, match="does not verify"):
        verify_pck_crl(sim.issue_pck_crl(sim.pck_crl_spec(), AT, signer=stranger), roots_of(sim))
    with pytest.raises(AuthenticityError, match="does not verify"):
        verify_root_ca_crl(sim.issue_root_ca_crl(sim.root_ca_crl_spec(), AT, signer=stranger), roots_of(sim))


def test_every_bit_of_a_crl_counts() -> None:
    genuine = pck_crl(revoked=(RevokedCertificate(serial_number=4711, since=AT),))
    for bit in range(0, len(genuine.der) * 8, 11):
        with pytest.raises(VerdictdError):
            verify_pck_crl(replace(genuine, der=flipped(genuine.der, bit)), roots_of(platform()))


def test_one_ca_s_crl_is_not_another_s() -> None:
    """A CRL says nothing about certificates of whoever did not issue it."""
    sim = platform()
    of_root = replace(root_ca_crl(), issuer_chain=sim.pki.chain("platform-ca"))
    with pytest.raises(AuthenticityError, match="was issued by 'Simulated SGX Root CA', expected"):
        verify_pck_crl(of_root, roots_of(sim))
    with pytest.raises(AuthenticityError, match="which is no trusted root"):
        verify_root_ca_crl(pck_crl(), roots_of(sim))
    processor = simulated_name("Simulated SGX PCK Processor CA")
    ca = parse_certificate(sim.pki.platform_ca.certificate.public_bytes(Encoding.DER))
    with pytest.raises(AuthenticityError, match=r"Processor CA', expected .*Platform CA"):
        verify_crl_by(pck_crl(issuer=processor), ca, roots_of(sim).roots[0], FactMemory())


@pytest.mark.parametrize("role", ["pck", "tcb-signing", "root-ca"])
def test_a_pck_crl_comes_with_a_pck_cas_chain(role: Any) -> None:
    with pytest.raises(VerdictdError, match=r"expected a PCK Platform or Processor CA|expected one path"):
        verify_pck_crl(replace(pck_crl(), issuer_chain=platform().pki.chain(role)), roots_of(platform()))
    with pytest.raises(MalformedError):
        verify_pck_crl(replace(pck_crl(), issuer_chain=b""), roots_of(platform()))


def test_who_signs_crls_says_so() -> None:
    sim = platform()
    wrong = with_extension(sim, "platform-ca", key_usage("key_cert_sign"), critical=True)
    with pytest.raises(AuthenticityError, match="key usage of 'Simulated SGX PCK Platform CA' is not to sign CRLs"):
        verify_pck_crl(pck_crl(wrong), roots_of(sim))


def test_the_right_one_of_two_roots_of_one_name_is_found() -> None:
    """Simulated vendors bear the same names."""
    for order in ((platform(), other()), (other(), platform())):
        verified = verify_root_ca_crl(root_ca_crl(), roots_of(*order))
        assert verified.root.certificate == platform().pki.root_ca.certificate
    with pytest.raises(AuthenticityError, match="does not verify"):
        verify_root_ca_crl(root_ca_crl(), roots_of(other()))


@pytest.mark.parametrize("der", [b"", b"\0", b"\x30\x00", b"-----BEGIN X509 CRL-----", bytes(100)])
def test_what_is_no_crl_is_malformed(der: bytes) -> None:
    crl = RevocationList(der=der, issuer_chain=platform().pki.chain("platform-ca"), source="test")
    for verify in (verify_pck_crl, verify_root_ca_crl):
        with pytest.raises(MalformedError):
            verify(crl, roots_of(platform()))


def test_size_of_a_crl_is_limited() -> None:
    crl = RevocationList(der=bytes(MAX_CRL_BYTES + 1), issuer_chain=platform().pki.chain("platform-ca"), source="test")
    for verify in (verify_pck_crl, verify_root_ca_crl):
        with pytest.raises(LimitExceededError, match=str(MAX_CRL_BYTES)):
            verify(crl, roots_of(platform()))


def test_what_is_remembered_is_asked_for_with_everything_that_made_it() -> None:
    """One memory, the same bytes, and each time one part that is another."""
    sim, memory = platform(), FactMemory()
    roots = roots_of(sim)
    info, crl = document("tcb_info"), pck_crl()
    assert verify_tcb_info(info, roots, memory) is verify_tcb_info(info, roots, memory)
    assert verify_pck_crl(crl, roots, memory) is verify_pck_crl(crl, roots, memory)
    for broken in (
        replace(info, signature=bytes(64)),
        replace(info, body=info.body + b" "),
        replace(info, issuer_chain=sim.pki.chain("pck")),
    ):
        with pytest.raises(VerdictdError):
            verify_tcb_info(broken, roots, memory)
    with pytest.raises(VerdictdError):
        verify_tcb_info(info, roots_of(other()), memory)
    with pytest.raises(VerdictdError):
        verify_qe_identity(info, roots, memory)
    with pytest.raises(VerdictdError):
        verify_root_ca_crl(crl, roots, memory)
    with pytest.raises(VerdictdError):
        verify_pck_crl(crl, roots_of(other()), memory)
    stranger = parse_certificate(other().pki.platform_ca.certificate.public_bytes(Encoding.DER))
    with pytest.raises(AuthenticityError):
        verify_crl_by(crl, stranger, roots.roots[0], memory)


def year_zero_crl(**changes: object) -> RevocationList:
    """A CRL with the beginning of 2050 in it moved to the year 0."""
    written = pck_crl(platform(), **changes)
    body = in_year_zero(x509.load_der_x509_crl(written.der).tbs_certlist_bytes)
    return replace(written, der=signed_again(body, platform().pki.platform_ca.key))


@pytest.mark.parametrize(
    "dates",
    [{"this_update": YEAR_2050, "next_update": YEAR_2050 + timedelta(days=1)}, {"next_update": YEAR_2050}],
    ids=["this_update", "next_update"],
)
def test_a_crl_of_the_year_zero_is_malformed(dates: dict[str, datetime]) -> None:
    """X.509 can write it, and `datetime` cannot hold it."""
    with pytest.raises(MalformedError, match="dates cannot be read"):
        verify_pck_crl(year_zero_crl(**dates), roots_of(platform()))


def test_what_was_revoked_in_the_year_zero_is_revoked() -> None:
    entry = RevokedCertificate(serial_number=4711, since=YEAR_2050)
    verified = verify_pck_crl(year_zero_crl(revoked=(entry,)), roots_of(platform()))
    assert verified.revocation_date(4711) == datetime(1, 1, 1, tzinfo=UTC)
    assert verified.revocation_date(4712) is None


@pytest.mark.parametrize(("number", "fits"), [(2**160 - 1, True), (2**160, False)])
def test_a_crl_number_has_at_most_20_octets(number: int, fits: bool) -> None:
    """RFC 5280, 5.2.3. Python does not write numbers of any size, and messages hold this one."""
    extension = x509.UnrecognizedExtension(x509.CRLNumber.oid, b"\x02\x15" + number.to_bytes(21, "big"))
    crl = pck_crl(number=None, added=((extension, False),))
    if fits:
        assert verify_pck_crl(crl, roots_of(platform())).number == number
        return
    with pytest.raises(MalformedError, match="20 octets"):
        verify_pck_crl(crl, roots_of(platform()))
