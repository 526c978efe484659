"""SGXS streams: the bytes themselves are what is hashed, and nothing but a canonical stream is."""

import hashlib
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.enclave.streams import PAGE, add, create, extend, page, typical, unmeasured
from verdictd.core.errors import ConfigError, LimitExceededError, MalformedError, UnsupportedError, VerdictdError
from verdictd.enclave.sgxs import MAX_FILE_BYTES, measure_sgxs


def measured(stream: bytes) -> bytes:
    return measure_sgxs(io.BytesIO(stream))


def test_what_is_measured_is_the_stream_without_the_blocks_that_are_not() -> None:
    stream = typical()
    assert measured(stream) == hashlib.sha256(stream.replace(unmeasured(0x3000), b"")).digest()


@pytest.mark.parametrize(
    "stream",
    [
        create(),
        create() + add(0),
        create() + page(0),
        create() + add(0) + extend(0xF00) + extend(0),
        create() + page(0) + add(0x1000) + extend(0x1000),
        create() + add(0x1000) + extend(0x1000) + page(0x2000),
        create(1 << 36) + page((1 << 36) - PAGE),
    ],
)
def test_streams_of_measured_blocks_are_hashed_as_they_are(stream: bytes) -> None:
    assert measured(stream) == hashlib.sha256(stream).digest()


def spoil(block: bytes, at: int, value: bytes = b"\x01") -> bytes:
    return block[:at] + value + block[at + len(value) :]


BROKEN = {
    "nothing": b"",
    "no beginning": page(0),
    "two beginnings": create() + create(),
    "a beginning later": create() + page(0) + create(),
    "something behind the beginning": spoil(create(), 63),
    "a size that is no power of two": create(0x30000),
    "a size of less than a page": create(2048),
    "content without a page": create() + extend(0),
    "an SSA frame of no pages": create(0x40000, 0),
    "pages in no order": create() + page(0x1000) + page(0),
    "a page twice": create() + add(0) + add(0),
    "a page within a page": create() + add(0x800),
    "a page behind the end": create() + add(0x40000),
    "content of another page": create() + add(0) + extend(0x1000),
    "content of the page before": create() + add(0) + add(0x1000) + extend(0xF00),
    "content at no place": create() + add(0) + extend(0x80),
    "content twice": create() + add(0) + extend(0) + extend(0),
    "content twice, once unmeasured": create() + add(0) + extend(0x100) + unmeasured(0x100),
    "something behind a page's flags": create() + spoil(add(0), 24),
    "something behind a content's offset": create() + add(0) + spoil(extend(0), 16),
    "something behind the offset of a page that is whole": create() + spoil(page(0), 64 + 320 + 20),
    "a block of no kind": create() + b"EMODPR\0\0" + bytes(56),
    "a TCS that may be read": create() + add(0, 0x101),
    "a beginning that is cut off": create()[:63],
    "a page that is cut off": create() + add(0)[:63],
    "content that is cut off": create() + add(0) + extend(0)[:100],
    "a content's header that is cut off": create() + add(0) + extend(0)[:60],
    "a byte behind the end": create() + page(0) + b"\0",
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_not_canonical_is_malformed(name: str) -> None:
    with pytest.raises(MalformedError):
        measured(BROKEN[name])


def test_a_stream_without_a_size_is_not_supported() -> None:
    with pytest.raises(UnsupportedError, match="how large"):
        measured(b"UNSIZED\0" + create()[8:])


def test_a_stream_of_terabytes_is_refused_before_it_is_read() -> None:
    class Endless(io.BytesIO):
        def seek(self, offset: int, whence: int = 0, /) -> int:
            return MAX_FILE_BYTES + 1 if whence == 2 else super().seek(offset, whence)

    with pytest.raises(LimitExceededError, match="limit"):
        measure_sgxs(Endless(typical()))


def test_a_stream_that_cannot_be_read_is_the_operators_matter() -> None:
    class Broken(io.BytesIO):
        def read(self, *_: Any) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(ConfigError, match="cannot be read"):
        measure_sgxs(Broken(typical()))


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    stream = create(1 << 30) + b"".join(page(number * PAGE) for number in range(500))
    measure_sgxs(io.BytesIO(stream), lambda done, total: told.append((done, total)))
    assert len(told) >= 2
    assert told == sorted(told)
    assert {total for _, total in told} == {len(stream)}


STREAM = typical()


@pytest.mark.parametrize("size", range(0, len(STREAM), 97))
def test_what_is_cut_off_is_malformed_or_another_enclave(size: int) -> None:
    try:
        found = measured(STREAM[:size])
    except MalformedError:
        return
    assert found != measured(STREAM)


@given(st.integers(0, len(STREAM) * 8 - 1))
def test_a_flipped_bit_is_refused_or_changes_the_measurement(bit: int) -> None:
    stream = bytearray(STREAM)
    stream[bit // 8] ^= 1 << bit % 8
    start = STREAM.index(b"UNMEASRD")
    try:
        found = measured(bytes(stream))
    except VerdictdError:
        return
    assert found != measured(STREAM) or start <= bit // 8 < start + 320


@given(st.binary(max_size=1000))
def test_any_bytes_give_a_measurement_or_our_error(data: bytes) -> None:
    for stream in (data, create() + data, create() + add(0) + data):
        try:
            assert len(measured(stream)) == 32
        except VerdictdError:
            continue
