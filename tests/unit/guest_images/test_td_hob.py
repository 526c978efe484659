import json

import pytest

from tests.unit.guest_images.ovmf_images import Ovmf
from tests.vectors import needs_vectors, vector
from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError
from verdictd.guest_images.td_hob import calculate_configuration_digest, calculate_td_hob_digest
from verdictd.guest_images.tdvf_metadata import TdSection, TdSectionKind, parse_tdvf_sections

GIB = 1 << 30
SECTIONS = parse_tdvf_sections(Ovmf().build())
"""Its memory is laid out as edk2's OVMF is, so the answers are those of real firmware."""
RECORDED = "tdx/dstack/dstack/verifier/fixtures/tdx-lite-getquote.json"


@pytest.mark.parametrize(
    ("memory", "digest"),
    [
        (
            GIB,
            "1055c9b9a1fc534e688560e2304e18c8597b7261818cf61fb163d40c130547309b750575947a4dcaedbdce4b8d0535f2",
        ),
        (
            2 * GIB,
            "0b8772e5b0b41b83e6044a68397e02f49fb47066b4fbe4917ea2c45c64f323fdacbb37948f821ebaf8bc9c938ba8a749",
        ),
        (
            0xB0000000 - 4096,
            "4e7f62d8d6e4185576116da418582a3b0b73e9ce0837d8f9b14969fa1b23828025bc6fe96cdb2e85d4e9e1af41f40334",
        ),
        (
            0xB0000000,
            "8eb1a02074362aa0761541cdb4dc3f1788dfeb4538803b241477848e26de294dbe917ab56c5628732679b3abc168c2de",
        ),
        (
            16 * GIB,
            "cd2312a0d87ef3c4a928df87088969a80b33d7bf3fc584bdde637b09ed808a8d821a56b78a13a6eb506db7578444abbe",
        ),
    ],
)
def test_known_answers_of_another_calculator(memory: int, digest: str) -> None:
    assert calculate_td_hob_digest(SECTIONS, memory).hex() == digest


@needs_vectors
def test_a_recorded_td_of_2_gib_has_the_digest_that_is_computed() -> None:
    log = json.loads(json.loads(vector(RECORDED))["event_log"])
    first = next(event for event in log if event["imr"] == 0)
    assert first["digest"] == calculate_td_hob_digest(SECTIONS, 2 * GIB).hex()


def test_the_order_of_the_sections_does_not_matter() -> None:
    assert calculate_td_hob_digest(SECTIONS[::-1], GIB) == calculate_td_hob_digest(SECTIONS, GIB)


def test_sections_outside_of_the_memory_are_refused() -> None:
    for address in (0x90000000, 0xBFFFF000):
        section = TdSection(
            address=address, size=0x1000, kind=TdSectionKind.TEMPORARY_MEMORY, data=b"", is_measured=False
        )
        with pytest.raises(MalformedError, match="not in the guest's memory"):
            calculate_td_hob_digest((*SECTIONS, section), 3 * GIB)
        with pytest.raises(MalformedError, match="not in the guest's memory"):
            calculate_td_hob_digest((*SECTIONS, section), GIB)


def test_a_section_may_be_at_the_end_of_the_memory_or_at_4_gib() -> None:
    for address in (0x7FFFF000, 1 << 32, (5 << 30) - 0x1000):
        section = TdSection(
            address=address, size=0x1000, kind=TdSectionKind.TEMPORARY_MEMORY, data=b"", is_measured=False
        )
        assert calculate_td_hob_digest((*SECTIONS, section), 3 * GIB) != calculate_td_hob_digest(SECTIONS, 3 * GIB)


def test_a_list_that_does_not_fit_its_section_is_refused() -> None:
    small = tuple(
        TdSection(
            address=0x900000 + 0x2000 * number,
            size=0x1000,
            kind=TdSectionKind.TEMPORARY_MEMORY,
            data=b"",
            is_measured=False,
        )
        for number in range(60)
    )
    hob = TdSection(address=0x809000, size=0x1000, kind=TdSectionKind.TD_HOB, data=b"", is_measured=False)
    with pytest.raises(MalformedError, match="the section for it 4096"):
        calculate_td_hob_digest((hob, *small), GIB)


def test_no_memory_and_no_section_are_refused() -> None:
    with pytest.raises(MalformedError):
        calculate_td_hob_digest(SECTIONS, 0)
    with pytest.raises(LimitExceededError):
        calculate_td_hob_digest(SECTIONS, 1 << 60)
    with pytest.raises(MalformedError, match="no section TD_HOB"):
        calculate_td_hob_digest(tuple(each for each in SECTIONS if each.kind is not TdSectionKind.TD_HOB), GIB)


def test_the_variables_are_one_section() -> None:
    image = Ovmf().build()
    other = image[:0x10] + b"changed" + image[0x17:]
    assert calculate_configuration_digest(parse_tdvf_sections(image)) != calculate_configuration_digest(
        parse_tdvf_sections(other)
    )
    without = tuple(each for each in SECTIONS if each.kind is not TdSectionKind.CONFIGURATION)
    with pytest.raises(UnsupportedError, match="0 sections"):
        calculate_configuration_digest(without)
