import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.guest_images.ovmf_images import Ovmf, td_sections
from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError
from verdictd.guest_images.mrtd import PageOrder, calculate_mrtd
from verdictd.guest_images.tdvf_metadata import parse_tdvf_sections

IMAGE = Ovmf().build()


@pytest.mark.parametrize(
    ("order", "digest"),
    [
        (
            PageOrder.PAGE_BY_PAGE,
            "ee71a20db1ace74d62f86dccee70f2ba1184c3d23b03f015386386a4db4b1e7ab0780ff16f4680da2d80f6f15b90f489",
        ),
        (
            PageOrder.SECTION_BY_SECTION,
            "7fbb7e52a653207c5b0e488d15c32332d1814379f679a7a4871fac2f316efd0972c390fbacfa7cdc41950da166c46368",
        ),
    ],
)
def test_known_answers_of_another_calculator(order: PageOrder, digest: str) -> None:
    assert calculate_mrtd(IMAGE, order).hex() == digest


def test_it_is_the_digest_of_what_the_module_is_told() -> None:
    digest = hashlib.sha384()
    for section in parse_tdvf_sections(IMAGE):
        for page in range(section.address, section.address + section.size, 4096):
            digest.update(b"MEM.PAGE.ADD".ljust(16, b"\0") + page.to_bytes(8, "little") + bytes(104))
            for chunk in range(page, page + 4096, 256) if section.is_measured else ():
                digest.update(b"MR.EXTEND".ljust(16, b"\0") + chunk.to_bytes(8, "little") + bytes(104))
                digest.update(section.data[chunk - section.address :][:256])
    assert calculate_mrtd(IMAGE) == digest.digest()


def test_the_variables_are_not_part_of_it_but_the_firmware_is() -> None:
    same, other = bytearray(IMAGE), bytearray(IMAGE)
    same[0x800] ^= 1
    other[0x1800] ^= 1
    for order in PageOrder:
        assert calculate_mrtd(bytes(same), order) == calculate_mrtd(IMAGE, order)
        assert calculate_mrtd(bytes(other), order) != calculate_mrtd(IMAGE, order)


@given(st.integers(0x1000, 4 * 4096 - 1), st.integers(0, 7))
def test_any_bit_of_the_firmware_changes_it(offset: int, bit: int) -> None:
    image = bytearray(IMAGE)
    image[offset] ^= 1 << bit
    try:
        digest = calculate_mrtd(bytes(image))
    except (MalformedError, UnsupportedError, LimitExceededError):
        return
    assert digest != calculate_mrtd(IMAGE)


def test_the_order_of_the_sections_is_part_of_it() -> None:
    sections = td_sections(4)
    turned = Ovmf(td_sections=(*sections[1:], sections[0])).build()
    assert calculate_mrtd(turned) != calculate_mrtd(IMAGE)


def test_a_section_larger_than_its_data_is_filled_with_zeros() -> None:
    firmware, *others = td_sections(4)
    short = Ovmf(td_sections=((firmware[0], firmware[1] - 0x1000, *firmware[2:]), *others)).build()
    full = bytearray(short)
    full[-0x1000:] = bytes(0x1000)
    assert calculate_mrtd(short) == _calculate_with(bytes(full), short)


def _calculate_with(image: bytes, metadata_of: bytes) -> bytes:
    """Compute it over all pages of one image, by the addresses of another."""
    digest = hashlib.sha384()
    for section in parse_tdvf_sections(metadata_of):
        for page in range(section.address, section.address + section.size, 4096):
            digest.update(b"MEM.PAGE.ADD".ljust(16, b"\0") + page.to_bytes(8, "little") + bytes(104))
            for chunk in range(page, page + 4096, 256) if section.is_measured else ():
                digest.update(b"MR.EXTEND".ljust(16, b"\0") + chunk.to_bytes(8, "little") + bytes(104))
                at = chunk - ((1 << 32) - len(image))
                digest.update(image[at : at + 256])
    return digest.digest()
