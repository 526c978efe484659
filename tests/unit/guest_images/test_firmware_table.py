import contextlib
import struct
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.guest_images.ovmf_images import FOOTER, Ovmf, entry
from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError
from verdictd.guest_images.firmware_table import MAX_FIRMWARE_BYTES, parse_firmware_table

MINE = UUID("11111111-2222-3333-4444-555555555555")


def with_table(table: bytes, size: int | None = None) -> bytes:
    end = struct.pack("<H16s", len(table) + 18 if size is None else size, FOOTER.bytes_le)
    return (table + end + bytes(32)).rjust(8192, b"\xee")


def test_a_block_is_found_by_its_guid() -> None:
    table = parse_firmware_table(Ovmf(more_blocks=((MINE, b"\x01\x02\x03\x04rest"),)).build())
    assert table.read_word(MINE, "block") == 0x04030201


def test_a_block_that_is_missing_is_not_supported() -> None:
    with pytest.raises(UnsupportedError, match="no block"):
        parse_firmware_table(Ovmf().build()).read_word(MINE, "block")


def test_a_block_of_three_bytes_has_no_word() -> None:
    table = parse_firmware_table(Ovmf(more_blocks=((MINE, b"abc"),)).build())
    with pytest.raises(MalformedError, match="has 3 bytes"):
        table.read_word(MINE, "block")


def test_a_block_that_is_there_twice_is_refused() -> None:
    with pytest.raises(MalformedError, match="twice"):
        parse_firmware_table(Ovmf(more_blocks=((MINE, b"1234"), (MINE, b"5678"))).build())


@pytest.mark.parametrize(
    ("table", "size", "message"),
    [
        (b"", 17, "says that it has 17 bytes"),
        (b"", 8192, "says that it has 8192 bytes"),
        (b"x", None, "begins with 1 bytes"),
        (entry(MINE, b"")[:-18] + struct.pack("<H16s", 17, MINE.bytes_le), None, "says that it has 17 bytes"),
        (struct.pack("<H16s", 19, MINE.bytes_le), None, "says that it has 19 bytes"),
    ],
)
def test_a_table_that_does_not_follow_its_format_is_refused(table: bytes, size: int | None, message: str) -> None:
    with pytest.raises(MalformedError, match=message):
        parse_firmware_table(with_table(table, size))


def test_a_table_without_blocks_is_one() -> None:
    assert not parse_firmware_table(with_table(b"")).has(MINE)


def test_a_block_may_be_empty() -> None:
    assert parse_firmware_table(with_table(entry(MINE, b""))).has(MINE)


def test_the_largest_image_is_read() -> None:
    assert MAX_FIRMWARE_BYTES == 64 << 20
    assert not parse_firmware_table(bytes(MAX_FIRMWARE_BYTES - 8192) + with_table(b"")).has(MINE)


def test_an_image_without_the_footer_is_refused() -> None:
    with pytest.raises(MalformedError, match="no OVMF image"):
        parse_firmware_table(Ovmf(footer=MINE).build())


@pytest.mark.parametrize("size", [0, 1, 4095, 4097])
def test_an_image_that_is_not_whole_pages_is_refused(size: int) -> None:
    with pytest.raises(MalformedError, match="whole pages"):
        parse_firmware_table(bytes(size))


def test_an_image_that_is_too_large_is_refused() -> None:
    with pytest.raises(LimitExceededError):
        parse_firmware_table(bytes(MAX_FIRMWARE_BYTES + 4096))


@given(st.binary(max_size=400), st.none() | st.integers(0, 0xFFFF))
def test_any_table_is_read_or_refused(table: bytes, size: int | None) -> None:
    with contextlib.suppress(MalformedError):
        parse_firmware_table(with_table(table, size))
