import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdictd.core.errors import LimitExceededError, MalformedError
from verdictd.policy.protocol import MAX_MESSAGE_BYTES, encode_message, parse_body, read_message


@given(st.lists(st.binary(max_size=50), max_size=16))
def test_what_is_written_is_read(parts: list[bytes]) -> None:
    data = encode_message(*parts)
    stream = io.BytesIO(data + data)
    assert read_message(stream.read) == tuple(parts)
    assert read_message(stream.read) == tuple(parts)
    assert read_message(stream.read) is None


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=5), st.data())
def test_what_is_cut_off_is_refused(parts: list[bytes], data: st.DataObject) -> None:
    message = encode_message(*parts)
    length = data.draw(st.integers(1, len(message) - 1))
    with pytest.raises(MalformedError):
        read_message(io.BytesIO(message[:length]).read)


@given(st.binary(max_size=80))
def test_any_body_gives_parts_or_our_error(body: bytes) -> None:
    try:
        parts = parse_body(body)
    except MalformedError:
        return
    assert encode_message(*parts)[4:] == body


def test_lengths_that_contradict_are_refused() -> None:
    with pytest.raises(MalformedError, match="claims 9 bytes"):
        parse_body(struct.pack("<I", 5) + b"abc")
    with pytest.raises(MalformedError, match="malformed at byte 64"):
        parse_body(struct.pack("<I", 0) * 17)


def test_size_is_refused_before_memory_is_spent() -> None:
    with pytest.raises(LimitExceededError, match="a message claims"):
        read_message(io.BytesIO(struct.pack("<I", MAX_MESSAGE_BYTES + 1)).read)
    with pytest.raises(LimitExceededError):
        encode_message(b"x" * MAX_MESSAGE_BYTES)
