"""What the right keys signed may still be nonsense: nothing but a whole result comes of it, and the same each time.

The damage is done before signing, so that it reaches what is read only once a signature was found to hold.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.tees.inputs import Input, quote_parts, with_item
from tests.unit.tees.simulated import AT, pem_of, platform, quote, roots_of, signed_again
from verdictd.core.checks import CheckResult
from verdictd.core.errors import VerdictdError
from verdictd.simulator.crl_builder import RevokedCertificate
from verdictd.tees.dcap.acceptance import Acceptance, TCBStatus
from verdictd.tees.dcap.collateral import Collateral, RevocationList
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.pck import verify_pck_chain
from verdictd.tees.sgx_ecdsa.verifier import REQUIREMENTS

# Damaged serial numbers and algorithms make the library say that it will refuse them one day.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

LENIENT = Acceptance(tcb_statuses=frozenset(TCBStatus), allow_debug=True, allow_expired_collateral=True)
TELLING = st.sampled_from((0x00, 0x01, 0x02, 0x05, 0x17, 0x18, 0x30, 0x31, 0x7F, 0x80, 0x81, 0xA0, 0xFF, 0x22, 0x7B))


@cache
def collateral() -> Collateral:
    return platform().collateral(AT)


def revoking(item: str) -> RevocationList:
    """A CRL with an entry, so that there is one to be damaged."""
    sim, revoked = platform(), (RevokedCertificate(serial_number=5, since=AT),)
    if item == "pck_crl":
        return sim.issue_pck_crl(replace(sim.pck_crl_spec(), revoked=revoked), AT)
    return sim.issue_root_ca_crl(replace(sim.root_ca_crl_spec(), revoked=revoked), AT)


def pck(body: bytes) -> Input:
    pki = platform().pki
    chain = pem_of(signed_again(body, pki.platform_ca.key)) + pki.platform_ca.pem
    return Input(quote=platform().sign(replace(quote_parts(), certification_data=chain)))


def platform_ca(body: bytes) -> Input:
    pki = platform().pki
    chain = pki.pck.pem + pem_of(signed_again(body, pki.root_ca.key))
    return Input(quote=platform().sign(replace(quote_parts(), certification_data=chain)))


def tcb_signer(body: bytes) -> Input:
    chain = pem_of(signed_again(body, platform().pki.root_ca.key))
    assert collateral().tcb_info is not None
    return with_item(tcb_info=replace(collateral().tcb_info, issuer_chain=chain))  # type: ignore[type-var]


def tcb_info(body: bytes) -> Input:
    return with_item(tcb_info=platform().sign_document(body))


def qe_identity(body: bytes) -> Input:
    return with_item(qe_identity=platform().sign_document(body))


def pck_crl(body: bytes) -> Input:
    der = signed_again(body, platform().pki.platform_ca.key)
    return with_item(pck_crl=replace(revoking("pck_crl"), der=der))


def root_ca_crl(body: bytes) -> Input:
    der = signed_again(body, platform().pki.root_ca.key)
    return with_item(root_ca_crl=replace(revoking("root_ca_crl"), der=der))


def body_of(kind: str) -> bytes:
    """The signed part of each, undamaged."""
    pki, items = platform().pki, collateral()
    assert items.tcb_info
    assert items.qe_identity
    return {
        "pck": lambda: pki.pck.certificate.tbs_certificate_bytes,
        "platform CA": lambda: pki.platform_ca.certificate.tbs_certificate_bytes,
        "TCB signer": lambda: pki.tcb_signing.certificate.tbs_certificate_bytes,
        "TCB info": lambda: items.tcb_info.body,
        "QE identity": lambda: items.qe_identity.body,
        "PCK CRL": lambda: x509.load_der_x509_crl(revoking("pck_crl").der).tbs_certlist_bytes,
        "root CA CRL": lambda: x509.load_der_x509_crl(revoking("root_ca_crl").der).tbs_certlist_bytes,
    }[kind]()


KINDS: dict[str, Callable[[bytes], Input]] = {
    "pck": pck,
    "platform CA": platform_ca,
    "TCB signer": tcb_signer,
    "TCB info": tcb_info,
    "QE identity": qe_identity,
    "PCK CRL": pck_crl,
    "root CA CRL": root_ca_crl,
}


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(changed) - 1))
        match draw(st.sampled_from(("bit", "telling byte", "delete", "insert", "copy"))):
            case "bit":
                changed[place] ^= 1 << draw(st.integers(0, 7))
            case "telling byte":
                changed[place] = draw(TELLING)
            case "delete" if len(changed) > 10:
                del changed[place : place + draw(st.integers(1, 5))]
            case "insert":
                changed[place:place] = draw(st.binary(min_size=1, max_size=5))
            case _:
                start, size = draw(st.integers(0, len(changed) - 1)), draw(st.integers(1, 20))
                changed[place : place + size] = changed[start : start + size]
    return bytes(changed)


def test_undamaged_all_of_it_holds() -> None:
    for kind, present in KINDS.items():
        assert present(body_of(kind)).appraise().allowed, kind


SEEN = FactMemory(max_facts=200)
"""Shared by all examples: whatever was seen before, good or damaged, must not matter."""


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_signed_nonsense_gives_a_whole_result_and_always_the_same(kind: str, data: st.DataObject) -> None:
    present = KINDS[kind](data.draw(damaged(body_of(kind))))
    given_one = replace(present, acceptance=LENIENT)
    result = given_one.appraise()
    assert [check.name for check in result.checks] == list(REQUIREMENTS)
    assert result.allowed is (not result.refusals)
    assert result.allowed is all(check.result is CheckResult.PASS for check in result.checks)
    assert given_one.appraise(SEEN) == result
    assert all(len(check.sentence) < 2000 for check in result.checks), "a message stays one that a person reads"


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_damaged_quote_is_accepted_for_more_than_text_around_its_certificates(data: st.DataObject) -> None:
    version = data.draw(st.sampled_from((3, 4, 5)))
    genuine = quote(version)
    changed = data.draw(damaged(genuine))
    result = replace(Input(quote=changed), acceptance=LENIENT).appraise()
    assert [check.name for check in result.checks] == list(REQUIREMENTS)
    if result.allowed:
        start = genuine.index(b"-----BEGIN")
        assert changed[:start] == genuine[:start]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_damaged_pem_names_another_platform(data: st.DataObject) -> None:
    """What is read of a chain comes from signed bytes alone, whatever is done to the text around them."""
    pem = data.draw(damaged(platform().pki.chain("pck")))
    try:
        verified = verify_pck_chain(pem, roots_of(platform()), FactMemory())
    except VerdictdError:
        return
    assert verified.chain.leaf.certificate == platform().pki.pck.certificate
    assert verified.chain.issuer.certificate == platform().pki.platform_ca.certificate
    assert verified.chain.root.certificate == platform().pki.root_ca.certificate


def test_a_signature_that_holds_over_nothing_at_all() -> None:
    for body in (b"", b"\0", b"\x30\x00", b"{}", b"null", b"[" * 100_000):
        for kind, present in KINDS.items():
            result = present(body).appraise()
            assert not result.allowed, kind
