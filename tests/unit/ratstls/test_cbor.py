from contextlib import suppress

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from verdictd.core.errors import LimitExceededError, MalformedError
from verdictd.ratstls.cbor import encode_cbor, parse_cbor, parse_tagged_array


def parse(data: bytes) -> object:
    return parse_cbor(data, "it", max_bytes=1 << 16)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("", id="nothing"),
        pytest.param("0101", id="a second item"),
        pytest.param("5f4161ff", id="byte string of indefinite length"),
        pytest.param("7f6161ff", id="text of indefinite length"),
        pytest.param("9f01ff", id="array of indefinite length"),
        pytest.param("bf616101ff", id="map of indefinite length"),
        pytest.param("a2616101616102", id="key twice"),
        pytest.param("a26161017801 6102", id="key twice in two encodings"),
        pytest.param("a1810101", id="array as a key"),
        pytest.param("5bffffffffffffffff", id="length beyond the data"),
        pytest.param("9bffffffffffffffff", id="count beyond the data"),
        pytest.param("bb7fffffffffffffff", id="map beyond the data"),
        pytest.param("8181818181818101", id="nested too deep"),
        pytest.param("61ff", id="text that is not UTF-8"),
        pytest.param("ff", id="break without a start"),
        pytest.param("1c", id="reserved length"),
        pytest.param("d9ea60", id="tag of nothing"),
    ],
)
def test_refuses(data: str) -> None:
    with pytest.raises(MalformedError):
        parse(bytes.fromhex(data))


def test_size_is_checked_first() -> None:
    with pytest.raises(LimitExceededError, match="5 bytes long, the limit is 4"):
        parse_cbor(b"\xff" * 5, "it", max_bytes=4)


@pytest.mark.parametrize("tag", [0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 43000, 55799, 256, 258, 260, 261])
def test_no_tag_is_given_a_meaning(tag: int) -> None:
    item = cbor2.dumps(cbor2.CBORTag(60001, "x")).replace(b"\xd9\xea\x61", b"\xd9" + tag.to_bytes(2, "big"))
    assert parse(item) == cbor2.CBORTag(tag, "x")


@given(st.binary(max_size=80))
def test_any_bytes_give_a_value_or_our_error(data: bytes) -> None:
    with suppress(MalformedError):
        parse(data)


@given(st.binary(max_size=300), st.binary(min_size=1, max_size=600))
@example(b"", bytes(31))
@example(b"x" * 29, b"\xff")
@example(b"x" * 30, bytes(32))
@example(b"x" * 31, bytes(31))
@example(b"x" * 31, bytes(32))
@example(b"x" * 254, bytes(256))
def test_after_the_item_only_the_rest_of_the_buffer_that_libcbor_grew_is_passed_over(item: bytes, rest: bytes) -> None:
    written = encode_cbor(item)
    assert parse(written) == item
    buffer = 32
    while buffer < len(written):
        buffer *= 2
    if len(written + rest) == buffer:
        assert parse(written + rest) == item
    else:
        with pytest.raises(MalformedError, match=f"has {len(rest)} bytes after its CBOR item"):
            parse(written + rest)
    assert parse(written.ljust(buffer, b"\xff")) == item
    for wrong_size in (buffer + 1, 2 * buffer):
        with pytest.raises(MalformedError, match="after its CBOR item"):
            parse(written.ljust(wrong_size, b"\x00"))
    for cut in range(0, len(written), 7):
        with pytest.raises(MalformedError):
            parse(written[:cut])


@given(st.dictionaries(st.text(max_size=8), st.binary(max_size=300), max_size=5))
def test_reads_back_what_was_written(item: dict[str, bytes]) -> None:
    assert parse(encode_cbor(item)) == item


@pytest.mark.parametrize("item", [[b"a", b"b"], cbor2.CBORTag(60000, b"a"), cbor2.CBORTag(60000, {"a": 1}), None])
def test_a_tagged_array_is_nothing_else(item: object) -> None:
    with pytest.raises(MalformedError, match="expected a CBOR tag with an array in it"):
        parse_tagged_array(cbor2.dumps(item), "it", max_bytes=99)
