"""Numbers are little-endian, and never cut."""

import pytest

from verdictd.core.errors import MalformedError
from verdictd.tees.psp.numbers import EC_FIELD_BYTES, read_number


def test_numbers_are_little_endian() -> None:
    data = b"\xff\x01\x02" + bytes(EC_FIELD_BYTES - 2) + b"\xff"
    assert read_number(data, 1, "x", used_bytes=32) == 0x0201


@pytest.mark.parametrize("offset", [32, 33, 71])
def test_a_longer_number_is_refused(offset: int) -> None:
    data = bytearray(EC_FIELD_BYTES)
    data[offset] = 1
    with pytest.raises(MalformedError, match="x is longer than 32 bytes"):
        read_number(bytes(data), 0, "x", used_bytes=32)
    assert read_number(bytes(data), 0, "x", used_bytes=EC_FIELD_BYTES) == 1 << 8 * offset
