"""Keys and signatures are read as they are written, and numbers that are too long are not cut."""

import pytest

from verdictd.core.errors import MalformedError, UnsupportedError
from verdictd.simulator.hygon_certificates import encode_key, encode_signature
from verdictd.simulator.sm2_key import derive_sm2_key
from verdictd.tees.csv.sm2_fields import KEY_BYTES, read_key, read_signature
from verdictd.tees.sm2.verification import SM2Signature

KEY = derive_sm2_key(b"seed", b"A-NAME").public_key
ENCODED = encode_key(KEY)


def changed(data: bytes, offset: int, value: int) -> bytes:
    return data[:offset] + bytes([value]) + data[offset + 1 :]


def test_what_was_written_is_read() -> None:
    assert len(ENCODED) == KEY_BYTES
    assert read_key(ENCODED, "X") == KEY
    signature = SM2Signature(5, 2**256 - 1)
    assert read_signature(encode_signature(signature), "X") == signature


@pytest.mark.parametrize("offset", [4 + 32, 4 + 71, 76 + 32, 76 + 71])
def test_coordinates_are_not_cut(offset: int) -> None:
    with pytest.raises(MalformedError, match="longer than 32 bytes"):
        read_key(changed(ENCODED, offset, 1), "X")


@pytest.mark.parametrize("offset", [32, 71, 104, 143])
def test_numbers_of_signatures_are_not_cut(offset: int) -> None:
    with pytest.raises(MalformedError, match="longer than 32 bytes"):
        read_signature(changed(bytes(144), offset, 1), "X")


def test_other_curves_and_points_off_the_curve_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="curve 2"):
        read_key(changed(ENCODED, 0, 2), "X")
    with pytest.raises(MalformedError, match="not a point"):
        read_key(changed(ENCODED, 4, ENCODED[4] ^ 1), "X")


def test_a_name_that_is_longer_than_its_room_is_refused() -> None:
    assert len(read_key(changed(ENCODED, 148, 254), "X").name) == 254
    with pytest.raises(MalformedError, match="255 bytes"):
        read_key(changed(ENCODED, 148, 255), "X")
    with pytest.raises(MalformedError, match="bytes long"):
        read_key(changed(ENCODED, 149, 255), "X")
