"""The chain, step by step: what each returns, and that no link is taken for another."""

import pytest

from tests.unit.tees.sev.inputs import ask_ark, evidence, other, roots, sim
from verdictd.core.errors import AuthenticityError
from verdictd.tees.psp.certificate import KeyUsage
from verdictd.tees.sev.chain import read_platform_key, verify_ask, verify_cek, verify_issued
from verdictd.tees.sev.evidence import parse_sev_evidence


def test_the_chain_holds_and_says_what_it_found() -> None:
    parsed = parse_sev_evidence(evidence())
    ask = verify_ask(ask_ark(), roots())
    assert ask.root.label == "ark.cert"
    cek = verify_cek(parsed.cek, ask)
    pek = verify_issued(parsed.pek, KeyUsage.PEK, cek)
    assert cek.key.public_numbers() == sim().cek.public_key().public_numbers()
    assert pek.key.public_numbers() == sim().pek.public_key().public_numbers()
    assert pek.certificate.firmware == (0, 24)


def test_links_of_two_platforms_do_not_fit() -> None:
    ask = verify_ask(ask_ark(), roots())
    with pytest.raises(AuthenticityError, match="the signature of the CEK by the VENDOR_SIGNING does not verify"):
        verify_cek(other().cek_certificate, ask)
    cek = verify_cek(sim().cek_certificate, ask)
    with pytest.raises(AuthenticityError, match="the signature of the PEK by the CEK does not verify"):
        verify_issued(other().pek_certificate, KeyUsage.PEK, cek)


def test_a_certificate_is_read_for_what_it_is() -> None:
    with pytest.raises(AuthenticityError, match="the PEK is for a key of usage 0x1004, expected 0x1002"):
        read_platform_key(sim().cek_certificate, KeyUsage.PEK)
