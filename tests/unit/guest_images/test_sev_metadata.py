import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.guest_images.ovmf_images import (
    CPUID,
    HASH_TABLE_AT,
    KERNEL_HASHES,
    RESET_AT,
    SEC_MEMORY,
    SECRETS,
    SEV_SECTIONS,
    Ovmf,
)
from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError, VerdictdError
from verdictd.guest_images.sev_metadata import parse_sev_metadata


def parse_with(*sections: tuple[int, int, int]) -> None:
    parse_sev_metadata(Ovmf(sev_sections=sections, hash_table_at=None).build())


def test_the_metadata_is_read() -> None:
    metadata = parse_sev_metadata(Ovmf().build())
    assert tuple(tuple(section) for section in metadata.sections) == SEV_SECTIONS
    assert (metadata.reset_address, metadata.hash_table_address) == (RESET_AT, HASH_TABLE_AT)


def test_without_a_section_for_hashes_their_place_does_not_matter() -> None:
    sections = tuple(section for section in SEV_SECTIONS if section[2] != KERNEL_HASHES)
    assert parse_sev_metadata(Ovmf(sev_sections=sections, hash_table_at=0).build()).hash_table_address is None


@pytest.mark.parametrize("address", [0x80FC00, 0x811000, 0])
def test_hashes_outside_of_their_section_are_refused(address: int) -> None:
    with pytest.raises(MalformedError, match="not in their one section"):
        parse_sev_metadata(Ovmf(hash_table_at=address).build())


def test_two_sections_for_hashes_are_refused() -> None:
    with pytest.raises(MalformedError, match="not in their one section"):
        parse_sev_metadata(Ovmf(sev_sections=(*SEV_SECTIONS, (0x900000, 0x1000, KERNEL_HASHES))).build())


@pytest.mark.parametrize(
    ("ovmf", "error", "message"),
    [
        (Ovmf(reset_at=None), UnsupportedError, "reset block"),
        (Ovmf(reset_at=0), MalformedError, "address 0"),
        (Ovmf(sev_from_end=None), UnsupportedError, "metadata of SEV"),
        (Ovmf(hash_table_at=None), UnsupportedError, "place of the kernel's hashes"),
        (Ovmf(sev_from_end=15), MalformedError, "before the end"),
        (Ovmf(sev_from_end=4 * 4096 + 1), MalformedError, "before the end"),
        (Ovmf(sev_header=(b"ASEW", None, 1, None)), MalformedError, "begins with"),
        (Ovmf(sev_header=(b"ASEV", None, 2, None)), UnsupportedError, "version 2"),
        (Ovmf(sev_header=(b"ASEV", None, 1, 6)), MalformedError, "for 6 sections"),
        (Ovmf(sev_header=(b"ASEV", 99, 1, None)), MalformedError, "99 bytes"),
        (Ovmf(sev_header=(b"ASEV", None, 1, 65)), LimitExceededError, "65 sections"),
    ],
)
def test_each_fault_of_the_image_is_refused(ovmf: Ovmf, error: type[VerdictdError], message: str) -> None:
    with pytest.raises(error, match=message):
        parse_sev_metadata(ovmf.build())


def test_metadata_that_would_go_on_after_the_image_is_refused() -> None:
    image = bytearray(Ovmf().build())
    image[-0x100 : -0x100 + 16] = b"ASEV" + (16 + 40 * 12).to_bytes(4, "little") + b"\x01\0\0\0" + b"\x28\0\0\0"
    at = image.rindex((0x600).to_bytes(4, "little"))
    image[at : at + 4] = (0x100).to_bytes(4, "little")
    with pytest.raises(MalformedError, match="for 40 sections"):
        parse_sev_metadata(bytes(image))


@pytest.mark.parametrize(
    ("section", "error"),
    [
        ((0x800000, 0x1000, 5), UnsupportedError),
        ((0x800000, 0x1000, 0), UnsupportedError),
        ((0x800001, 0x1000, SEC_MEMORY), MalformedError),
        ((0x800000, 0x1001, SEC_MEMORY), MalformedError),
        ((0x800000, 0, SEC_MEMORY), MalformedError),
        ((0x800000, 0x2000, SECRETS), UnsupportedError),
        ((0x800000, 0x2000, CPUID), UnsupportedError),
        ((0x800000, 0x2000, KERNEL_HASHES), UnsupportedError),
        ((0xFFFFB000, 0x2000, SEC_MEMORY), MalformedError),
        ((0xFFFFF000, 0x1000, SEC_MEMORY), MalformedError),
        ((0x800000, 0x10001000, SEC_MEMORY), LimitExceededError),
    ],
)
def test_a_section_that_cannot_be_is_refused(section: tuple[int, int, int], error: type[VerdictdError]) -> None:
    with pytest.raises(error):
        parse_with(section)


def test_sections_may_touch_but_not_overlap() -> None:
    parse_with((0x801000, 0x1000, SEC_MEMORY), (0x800000, 0x1000, SEC_MEMORY), (0xFFFFB000, 0x1000, SEC_MEMORY))
    with pytest.raises(MalformedError, match="overlaps"):
        parse_with((0x801000, 0x1000, SEC_MEMORY), (0x800000, 0x2000, SEC_MEMORY))


@given(
    st.lists(st.tuples(*[st.integers(0, 0xFFFFFFFF)] * 3), max_size=4),
    st.tuples(
        st.sampled_from([b"ASEV", b"asev"]), st.none() | st.integers(0, 999), st.integers(0, 2), st.integers(0, 99)
    ),
    st.integers(0, 0x5000),
)
def test_any_metadata_is_read_or_refused(
    sections: list[tuple[int, int, int]], header: tuple[bytes, int | None, int, int], from_end: int
) -> None:
    for each in (replace(Ovmf(), sev_header=header), replace(Ovmf(), sev_from_end=from_end)):
        with contextlib.suppress(MalformedError, UnsupportedError, LimitExceededError):
            parse_sev_metadata(replace(each, sev_sections=tuple(sections)).build())
