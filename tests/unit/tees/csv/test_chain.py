"""The chain, step by step: what each returns, and that no link is taken for another."""

import pytest

from tests.unit.tees.csv.inputs import HSK_BYTES, HYGON, OTHER, hsk_cek, pek, root_of
from verdictd.core.errors import AuthenticityError, MalformedError
from verdictd.tees.csv.chain import read_platform_key, verify_cek, verify_hsk, verify_pek
from verdictd.tees.csv.roots import HygonRoots
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.psp.certificate import KeyUsage

ROOTS = HygonRoots((root_of(OTHER), root_of(HYGON)))


def test_the_chain_holds_and_says_what_it_found() -> None:
    memory = FactMemory()
    hsk = verify_hsk(hsk_cek(), ROOTS, memory)
    cek = verify_cek(hsk_cek(), hsk, memory)
    found = verify_pek(pek(), cek, memory)
    assert hsk.root == root_of(HYGON)
    assert hsk.certificate.key == HYGON.key(KeyUsage.VENDOR_SIGNING).public_key
    assert cek.key == HYGON.key(KeyUsage.CEK).public_key
    assert found.key == HYGON.key(KeyUsage.PEK).public_key
    assert found.certificate.firmware == (1, 3)


def test_links_of_two_vendors_do_not_fit() -> None:
    memory = FactMemory()
    hsk, other = (verify_hsk(each, ROOTS, memory) for each in (hsk_cek(), OTHER.hsk_cek))
    with pytest.raises(AuthenticityError, match="the signature of the CEK does not verify"):
        verify_cek(OTHER.hsk_cek, hsk, memory)
    with pytest.raises(AuthenticityError, match="the signature of the PEK does not verify"):
        verify_pek(pek(), verify_cek(OTHER.hsk_cek, other, memory), memory)


def test_a_certificate_of_a_platform_is_no_certificate_of_the_vendor_and_the_other_way_round() -> None:
    memory = FactMemory()
    with pytest.raises(MalformedError, match="the HSK is 0 bytes"):
        verify_hsk(b"", ROOTS, memory)
    with pytest.raises(MalformedError, match="the CEK is 0 bytes"):
        verify_cek(hsk_cek()[:HSK_BYTES], verify_hsk(hsk_cek(), ROOTS, memory), memory)
    with pytest.raises(AuthenticityError, match="the HSK is for a key of usage 0x0"):
        verify_hsk(HYGON.hrk_certificate, ROOTS, memory)


def test_a_key_is_read_for_what_it_is() -> None:
    assert read_platform_key(pek(), KeyUsage.PEK).key.name == b"HYGON-SSD-PEK"
    with pytest.raises(AuthenticityError, match="the CEK is for a key of usage 0x1002, expected 0x1004"):
        read_platform_key(pek(), KeyUsage.CEK)
