import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.guest_images.ovmf_images import (
    BOOT_FIRMWARE,
    CONFIGURATION,
    TD_HOB,
    TEMPORARY_MEMORY,
    Ovmf,
    td_sections,
)
from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError, VerdictdError
from verdictd.guest_images.tdvf_metadata import parse_tdvf_sections

SECTIONS = td_sections(4)
FIRMWARE, VARIABLES, TEMPORARY, _, HOB, _ = SECTIONS
END = 1 << 32


def test_the_sections_are_read() -> None:
    image = Ovmf().build()
    sections = parse_tdvf_sections(image)
    assert [(each.address, each.size, each.kind) for each in sections] == [
        (address, size, kind) for _, _, address, size, kind, _ in SECTIONS
    ]
    assert [each.data for each in sections] == [image[0x1000:], image[:0x1000], b"", b"", b"", b""]
    assert [each.is_measured for each in sections] == [True, False, False, False, False, False]


@pytest.mark.parametrize(
    ("ovmf", "error", "message"),
    [
        (Ovmf(td_from_end=None), UnsupportedError, "no metadata of TDX"),
        (Ovmf(td_from_end=15), MalformedError, "before the end"),
        (Ovmf(td_from_end=4 * 4096 + 1), MalformedError, "before the end"),
        (Ovmf(td_header=(b"TDVE", None, 1, None)), MalformedError, "begins with"),
        (Ovmf(td_header=(b"TDVF", None, 2, None)), UnsupportedError, "version 2"),
        (Ovmf(td_header=(b"TDVF", None, 1, 65)), LimitExceededError, "65 sections"),
        (Ovmf(td_header=(b"TDVF", None, 1, 5)), MalformedError, "for 5 sections"),
        (Ovmf(td_header=(b"TDVF", 0, 1, None)), MalformedError, "has 0 bytes"),
        (Ovmf(td_sections=(FIRMWARE,)), MalformedError, "0 sections TD_HOB"),
        (Ovmf(td_sections=(FIRMWARE, HOB, (0, 0, 0x900000, 0x1000, TD_HOB, 0))), MalformedError, "2 sections TD_HOB"),
        (Ovmf(td_sections=(HOB, VARIABLES)), MalformedError, "no section of firmware"),
        (Ovmf(td_sections=(HOB, (*FIRMWARE[:5], 0))), MalformedError, "no section of firmware"),
    ],
)
def test_each_fault_of_the_image_is_refused(ovmf: Ovmf, error: type[VerdictdError], message: str) -> None:
    with pytest.raises(error, match=message):
        parse_tdvf_sections(ovmf.build())


@pytest.mark.parametrize(
    ("section", "error", "message"),
    [
        ((0, 0, 0x900000, 0x1000, 4, 0), UnsupportedError, "of kind 4"),
        ((0, 0, 0x900000, 0x1000, TEMPORARY_MEMORY, 2), UnsupportedError, "attributes 0x2"),
        ((0, 0, 0x900000, 0x1000, TEMPORARY_MEMORY, 1), UnsupportedError, "TEMPORARY_MEMORY of TDX is measured"),
        ((0, 0, 0x900001, 0x1000, TEMPORARY_MEMORY, 0), MalformedError, "expected whole pages"),
        ((0, 0, 0x900000, 0x1001, TEMPORARY_MEMORY, 0), MalformedError, "expected whole pages"),
        ((0, 0, 0x900000, 0, TEMPORARY_MEMORY, 0), MalformedError, "expected whole pages"),
        ((0, 1, 0x900000, 0x1000, TEMPORARY_MEMORY, 0), MalformedError, "expected none"),
        ((0, 0, 0x81F000, 0x2000, TEMPORARY_MEMORY, 0), MalformedError, "overlaps"),
        ((0, 0, END, 0x1000, TEMPORARY_MEMORY, 0), MalformedError, "overlaps"),
        ((0, 0, END - 0x5000, 0x3000, TEMPORARY_MEMORY, 0), MalformedError, "overlaps"),
        ((0, 0, 1 << 63, 0x1000, TEMPORARY_MEMORY, 0), MalformedError, "overlaps"),
        ((0, 0, 0x900000, 0x10000000, TEMPORARY_MEMORY, 0), LimitExceededError, "the limit"),
        ((0, 0, END - 0x4000, 0x1000, CONFIGURATION, 0), MalformedError, "has 0 bytes"),
        ((0, 0x1001, END - 0x4000, 0x1000, CONFIGURATION, 0), MalformedError, "for 4096"),
        ((0x4000, 1, END, 0x1000, CONFIGURATION, 0), MalformedError, "at 16384 of 16384"),
        ((0, 0x1000, END - 0x5000, 0x1000, BOOT_FIRMWARE, 1), MalformedError, "code and variables"),
    ],
)
def test_each_section_that_cannot_be_is_refused(
    section: tuple[int, ...], error: type[VerdictdError], message: str
) -> None:
    with pytest.raises(error, match=message):
        parse_tdvf_sections(Ovmf(td_sections=(FIRMWARE, TEMPORARY, HOB, section)).build())


@given(
    st.lists(
        st.tuples(
            *[st.integers(0, 0x5000)] * 2,
            *[st.integers(0, END) | st.integers(0, (1 << 64) - 1)] * 2,
            st.integers(0, 4),
            st.integers(0, 2),
        ),
        max_size=4,
    ),
    st.integers(0, 0x4000),
)
def test_any_metadata_is_read_or_refused(sections: list[tuple[int, ...]], from_end: int) -> None:
    for ovmf in (Ovmf(td_sections=(*SECTIONS, *sections)), Ovmf(td_from_end=from_end)):
        with contextlib.suppress(MalformedError, UnsupportedError, LimitExceededError):
            parse_tdvf_sections(ovmf.build())
