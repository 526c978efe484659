"""Any bytes at all give a value or one of our errors, and any flipped bit of signed bytes is refused."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.tees.simulated import AT, flipped, pem_of, platform, quote, roots_of
from verdictd.core.errors import VerdictdError
from verdictd.simulator.pki import CertificateRole
from verdictd.tees.dcap.acceptance import ANY_STATUS_BUT_REVOKED, Acceptance
from verdictd.tees.dcap.certificates import verify_pem_chain
from verdictd.tees.dcap.collateral import (
    Collateral,
    RevocationList,
    SignedDocument,
    encode_signed_document,
    parse_signed_document,
)
from verdictd.tees.dcap.endorsements import verify_pck_crl, verify_qe_identity, verify_root_ca_crl, verify_tcb_info
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.pck import parse_sgx_extension, verify_pck_chain
from verdictd.tees.dcap.qe_identity import parse_qe_identity
from verdictd.tees.dcap.quote import parse_quote
from verdictd.tees.dcap.tcb_info import parse_tcb_info
from verdictd.tees.dcap.trust_roots import TrustRoots, parse_trust_roots
from verdictd.tees.dcap.x509_names import parse_certificate, parse_crl
from verdictd.tees.sgx_ecdsa.verifier import REQUIREMENTS, appraise_sgx

# Damaged serial numbers make the library say that it will refuse them one day.
pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")

LENIENT = Acceptance(tcb_statuses=ANY_STATUS_BUT_REVOKED, allow_debug=True, allow_expired_collateral=True)


@cache
def roots() -> TrustRoots:
    return roots_of(platform())


@cache
def good_collateral() -> Collateral:
    return platform().collateral(AT)


def document(body: bytes, chain: bytes = b"") -> SignedDocument:
    return SignedDocument(body=body, signature=bytes(64), issuer_chain=chain, source="test")


def crl(der: bytes, chain: bytes = b"") -> RevocationList:
    return RevocationList(der=der, issuer_chain=chain, source="test")


def genuine(item: str) -> bytes:
    collateral, sim = good_collateral(), platform()
    assert collateral.tcb_info and collateral.qe_identity  # noqa: PT018 - both are there or neither
    assert collateral.pck_crl and collateral.root_ca_crl  # noqa: PT018 - both are there or neither
    return {
        "quote": quote(),
        "quote 4": quote(4),
        "quote 5": quote(5),
        "answer": encode_signed_document(collateral.tcb_info, "tcbInfo"),
        "chain": sim.pki.chain("pck"),
        "signer chain": sim.pki.chain("tcb-signing"),
        "ca chain": sim.pki.chain("platform-ca"),
        "root": sim.trust_root_pem,
        "der": sim.pki.pck.certificate.public_bytes(Encoding.DER),
        "tcb info": collateral.tcb_info.body,
        "qe identity": collateral.qe_identity.body,
        "pck crl": collateral.pck_crl.der,
        "root crl": collateral.root_ca_crl.der,
        "extension": sim.pki.pck.certificate.extensions.get_extension_for_oid(
            x509.ObjectIdentifier("1.2.840.113741.1.13.1")
        ).value.public_bytes(),
    }[item]


PARSERS: dict[str, tuple[Callable[[bytes], object], tuple[str, ...]]] = {
    "quote": (parse_quote, ("quote", "quote 4", "quote 5")),
    "tcb info": (parse_tcb_info, ("tcb info",)),
    "qe identity": (parse_qe_identity, ("qe identity",)),
    "extension": (parse_sgx_extension, ("extension",)),
    "answer": (lambda data: parse_signed_document(data, "tcbInfo", issuer_chain=b"", source="x"), ("answer",)),
    "certificate": (parse_certificate, ("der",)),
    "crl": (parse_crl, ("pck crl", "root crl")),
    "trust root": (lambda data: parse_trust_roots(data, "it"), ("root",)),
    "chain": (lambda data: verify_pem_chain(data, roots(), "it", FactMemory()), ("chain", "signer chain", "ca chain")),
    "pck chain": (lambda data: verify_pck_chain(data, roots(), FactMemory()), ("chain",)),
    "tcb info's chain": (
        lambda data: verify_tcb_info(document(genuine("tcb info"), data), roots()),
        ("signer chain", "chain"),
    ),
    "qe identity's chain": (
        lambda data: verify_qe_identity(document(genuine("qe identity"), data), roots()),
        ("signer chain", "ca chain"),
    ),
    "signed tcb info": (lambda data: verify_tcb_info(document(data, genuine("signer chain")), roots()), ("tcb info",)),
    "pck crl": (lambda data: verify_pck_crl(crl(data, genuine("ca chain")), roots()), ("pck crl",)),
    "pck crl's chain": (lambda data: verify_pck_crl(crl(genuine("pck crl"), data), roots()), ("ca chain",)),
    "root crl": (lambda data: verify_root_ca_crl(crl(data), roots()), ("root crl",)),
}


def give(parse: Callable[[bytes], object], data: bytes) -> None:
    try:
        parse(data)
    except VerdictdError as error:
        assert error.message  # noqa: PT017 - every error says something


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=600))
def test_any_bytes_give_a_value_or_our_error(name: str, data: bytes) -> None:
    give(PARSERS[name][0], data)


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_damaged_bytes_give_a_value_or_our_error(name: str, data: st.DataObject) -> None:
    parse, seeds = PARSERS[name]
    damaged = bytearray(genuine(data.draw(st.sampled_from(seeds))))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(damaged)))
        match data.draw(st.sampled_from(("flip", "insert", "delete", "overwrite"))):
            case "flip" if place < len(damaged):
                damaged[place] ^= 1 << data.draw(st.integers(0, 7))
            case "insert":
                damaged[place:place] = data.draw(st.binary(min_size=1, max_size=8))
            case "delete":
                del damaged[place : place + data.draw(st.integers(1, 40))]
            case _:
                damaged[place : place + 4] = data.draw(st.sampled_from((bytes(4), b"\xff" * 4, b"\x80" + bytes(3))))
    give(parse, bytes(damaged))


@settings(max_examples=150, deadline=None)
@given(data=st.one_of(st.binary(max_size=2000), st.integers(1, 5000).map(lambda cut: quote()[:-cut])))
def test_any_evidence_gives_a_result_that_lists_every_check(data: bytes) -> None:
    result = appraise_sgx(data, collateral=good_collateral(), roots=roots(), acceptance=LENIENT, at=AT)
    assert [check.name for check in result.checks] == list(REQUIREMENTS)
    assert result.allowed is (not result.refusals)
    assert not result.allowed


@pytest.mark.parametrize("version", [3, 4, 5])
@settings(max_examples=250, deadline=None)
@given(data=st.data())
def test_any_flipped_bit_of_a_quote_is_refused(version: int, data: st.DataObject) -> None:
    """Every bit of a quote is signed, or a signature, or decides how the rest is read."""
    genuine = quote(version)
    end = genuine.index(b"-----BEGIN")
    damaged = flipped(genuine, data.draw(st.integers(0, end * 8 - 1)))
    result = appraise_sgx(damaged, collateral=good_collateral(), roots=roots(), acceptance=LENIENT, at=AT)
    assert not result.allowed


@pytest.mark.parametrize("item", ["tcb_info", "qe_identity", "pck_crl", "root_ca_crl"])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_flipped_bit_of_collateral_is_refused(item: str, data: st.DataObject) -> None:
    original = getattr(good_collateral(), item)
    field = "body" if isinstance(original, SignedDocument) else "der"
    content = getattr(original, field)
    changed = flipped(content, data.draw(st.integers(0, len(content) * 8 - 1)))
    damaged = replace(good_collateral(), **{item: replace(original, **{field: changed})})
    result = appraise_sgx(quote(), collateral=damaged, roots=roots(), acceptance=LENIENT, at=AT)
    assert not result.allowed


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_flipped_bit_of_a_certificate_is_refused(data: st.DataObject) -> None:
    """The leaf and the CA. The root beside them is not trusted for being there, so that it need not be whole."""
    sim = platform()
    roles: tuple[CertificateRole, CertificateRole] = ("pck", "platform-ca")
    role, other = data.draw(st.sampled_from((roles, roles[::-1])))
    der = sim.pki.credential(role).certificate.public_bytes(Encoding.DER)
    chain = (
        pem_of(flipped(der, data.draw(st.integers(0, len(der) * 8 - 1))))
        + sim.pki.credential(other).pem
        + sim.trust_root_pem
    )
    parts = replace(sim.quote_parts(report_data=bytes(64)), certification_data=chain)
    result = appraise_sgx(sim.sign(parts), collateral=good_collateral(), roots=roots(), acceptance=LENIENT, at=AT)
    assert not result.allowed


def test_names_that_the_library_cannot_read_are_our_error() -> None:
    """A self-made CA whose alternative name is of a kind the library does not know (x400Address)."""
    sim = platform()
    x400 = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), b"\x30\x04\xa3\x02\x05\x00")
    spec = sim.certificate_spec("platform-ca")
    odd = sim.with_certificate("platform-ca", replace(spec, added=((x400, False),)))
    result = appraise_sgx(
        odd.quote(report_data=bytes(64)), collateral=good_collateral(), roots=roots(), acceptance=LENIENT, at=AT
    )
    assert "pck.chain" in {check.name for check in result.refusals}


def test_certificates_and_crls_of_unknown_versions_are_our_error() -> None:
    for item in ("der", "pck crl"):
        odd = (
            genuine(item)
            .replace(b"\x02\x01\x01", b"\x02\x01\x04", 1)
            .replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x03")
        )
        with pytest.raises(VerdictdError):
            verify_pck_chain(pem_of(odd), roots(), FactMemory())
        with pytest.raises(VerdictdError):
            verify_root_ca_crl(crl(odd), roots())
