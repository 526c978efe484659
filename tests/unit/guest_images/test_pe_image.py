import contextlib
import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.guest_images.linux_images import (
    CHECKSUM_AT,
    DIRECTORY_AT,
    FILE_BYTES,
    HEADERS_END,
    OPTIONAL_AT,
    PE_AT,
    TABLE_AT,
    Huge,
    build_kernel,
    sign,
)
from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError, VerdictdError
from verdictd.guest_images.boot_files import MAX_KERNEL_BYTES
from verdictd.guest_images.pe_image import hash_pe_image

KERNEL = build_kernel()
DIGEST = hash_pe_image(KERNEL)


def changed(offset: int, layout: str, *values: int, of: bytes = KERNEL) -> bytes:
    image = bytearray(of)
    struct.pack_into(layout, image, offset, *values)
    return bytes(image)


def test_all_but_checksum_and_signature_is_hashed() -> None:
    parts = KERNEL[:CHECKSUM_AT], KERNEL[CHECKSUM_AT + 4 : DIRECTORY_AT], KERNEL[DIRECTORY_AT + 8 :]
    assert hashlib.sha384(b"".join(parts)).digest() == DIGEST


def test_a_signature_does_not_change_the_digest() -> None:
    assert hash_pe_image(sign(KERNEL)) == DIGEST
    assert hash_pe_image(sign(KERNEL, b"another, longer one")) == DIGEST


def test_what_follows_the_sections_is_hashed_up_to_the_signature() -> None:
    longer = build_kernel(trailer=b"trailing")
    assert hash_pe_image(longer) != DIGEST
    assert hash_pe_image(sign(longer)) == hash_pe_image(longer)


def test_sections_are_hashed_in_the_order_of_the_file() -> None:
    one = build_kernel(sections=((0x1000, 0x1000), (0x2000, 0x2000)))
    other = build_kernel(sections=((0x2000, 0x2000), (0x1000, 0x1000)))
    table = slice(TABLE_AT, TABLE_AT + 80)
    expected = one[:CHECKSUM_AT] + one[CHECKSUM_AT + 4 : DIRECTORY_AT] + one[DIRECTORY_AT + 8 :]
    assert hash_pe_image(one) == hashlib.sha384(expected).digest()
    assert hash_pe_image(other) == hashlib.sha384(expected.replace(one[table], other[table])).digest()


def test_a_program_for_32_bits_has_its_directories_elsewhere() -> None:
    image = changed(OPTIONAL_AT, "<H", 0x10B)
    image = changed(OPTIONAL_AT + 92, "<I", 6, of=image)
    at = OPTIONAL_AT + 96 + 4 * 8
    parts = image[:CHECKSUM_AT], image[CHECKSUM_AT + 4 : at], image[at + 8 :]
    assert hash_pe_image(image) == hashlib.sha384(b"".join(parts)).digest()


def test_headers_may_end_where_their_table_does() -> None:
    assert hash_pe_image(changed(OPTIONAL_AT + 60, "<I", TABLE_AT + 120)) != DIGEST


def test_a_program_with_few_directories_has_no_signature() -> None:
    image = changed(OPTIONAL_AT + 108, "<I", 4)
    assert hash_pe_image(image) == hashlib.sha384(image[:CHECKSUM_AT] + image[CHECKSUM_AT + 4 :]).digest()


@given(st.integers(0, FILE_BYTES - 1), st.integers(0, 7))
def test_any_other_bit_changes_the_digest(offset: int, bit: int) -> None:
    if CHECKSUM_AT <= offset < CHECKSUM_AT + 4 or DIRECTORY_AT <= offset < DIRECTORY_AT + 4:
        return
    image = bytearray(KERNEL)
    image[offset] ^= 1 << bit
    with contextlib.suppress(MalformedError, UnsupportedError, LimitExceededError):
        assert hash_pe_image(bytes(image)) != DIGEST


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (b"", MalformedError, "does not begin with MZ"),
        (KERNEL[:0x3E], MalformedError, "header of it is at 60"),
        (KERNEL[: PE_AT + 23], MalformedError, "header of it is at 128"),
        (KERNEL[: OPTIONAL_AT + 1], MalformedError, "header of it is at 152"),
        (changed(0x3C, "<I", 0xFFFFFFFF), MalformedError, "header of it is at 4294967295"),
        (changed(PE_AT, "<I", 0), MalformedError, "PE header begins with"),
        (changed(PE_AT + 6, "<H", 97), LimitExceededError, "97 sections"),
        (changed(OPTIONAL_AT, "<H", 0x107), UnsupportedError, "expected PE32"),
        (changed(PE_AT + 20, "<H", 112 + 39), MalformedError, "optional header has 151 bytes"),
        (changed(OPTIONAL_AT + 60, "<I", TABLE_AT + 119), MalformedError, "headers end"),
        (changed(OPTIONAL_AT + 60, "<I", FILE_BYTES + 1), MalformedError, "headers end"),
        (build_kernel(sections=((0x1000, 0x1000), (0x1FFF, 1))), MalformedError, "a section"),
        (build_kernel(sections=((0x1000, 0x3001),)), MalformedError, "a section"),
        (build_kernel(sections=((HEADERS_END - 1, 1),)), MalformedError, "a section"),
        (changed(DIRECTORY_AT, "<II", FILE_BYTES, 1), MalformedError, "signatures have 1 bytes"),
        (Huge.of(MAX_KERNEL_BYTES + 1, b"MZ"), LimitExceededError, "the limit is"),
    ],
)
def test_each_fault_is_refused(image: bytes, error: type[VerdictdError], message: str) -> None:
    with pytest.raises(error, match=message):
        hash_pe_image(image)


@given(st.binary(max_size=600), st.integers(0, 0x200))
def test_any_bytes_are_hashed_or_refused(data: bytes, offset: int) -> None:
    image = bytearray(KERNEL)
    image[offset : offset + len(data)] = data
    for each in (bytes(image), b"MZ" + data):
        with contextlib.suppress(MalformedError, UnsupportedError, LimitExceededError):
            assert len(hash_pe_image(each)) == 48
