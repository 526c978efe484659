"""The DER reader: the shortest form or nothing, within its bounds, whatever the bytes."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdictd.core import der
from verdictd.core.der import (
    Element,
    parse_unsigned,
    read_element,
    read_elements,
    read_header,
    read_single,
    read_spans,
)
from verdictd.core.errors import MalformedError
from verdictd.simulator.der_encoding import encode_enumerated, encode_integer, encode_octets, encode_sequence


def tlv(tag: int, value: bytes) -> bytes:
    """Written by hand, so as not to share anything with what reads it."""
    size = len(value)
    if size < 0x80:
        return bytes([tag, size]) + value
    for count in (1, 2, 3, 4):
        if size < 1 << 8 * count:
            return bytes([tag, 0x80 | count]) + size.to_bytes(count, "big") + value
    raise ValueError(size)


tags = st.integers(0, 255).filter(lambda tag: tag & 0x1F != 0x1F)
values = st.one_of(
    st.binary(max_size=20), st.sampled_from((126, 127, 128, 129, 255, 256, 257, 65535, 65536)).map(bytes)
)


@given(tag=tags, value=values, before=st.binary(max_size=3), after=st.binary(max_size=3))
def test_an_element_is_found_where_it_stands(tag: int, value: bytes, before: bytes, after: bytes) -> None:
    encoded = tlv(tag, value)
    data = before + encoded + after
    element = read_element(data, len(before), len(data))
    assert (element.tag, element.value, element.encoded) == (tag, value, encoded)
    assert (element.start, element.end) == (len(before), len(before) + len(encoded))
    assert read_header(data, len(before), len(data)) == (tag, element.value_start, element.end)


@given(tag=tags, value=values)
def test_an_element_ends_where_its_surroundings_end(tag: int, value: bytes) -> None:
    encoded = tlv(tag, value)
    assert read_element(encoded + b"more", 0, len(encoded)).value == value
    for end in {0, 1, len(encoded) - len(value), len(encoded) - 1} - {len(encoded)}:
        with pytest.raises(MalformedError):
            read_element(encoded + b"more", 0, end)


@given(st.lists(st.tuples(tags, st.binary(max_size=200)), max_size=5))
def test_elements_fill_their_place_exactly(members: list[tuple[int, bytes]]) -> None:
    data = b"".join(tlv(*each) for each in members)
    elements = read_elements(b"<" + data + b">", 1, 1 + len(data))
    assert [(element.tag, element.value) for element in elements] == members
    assert read_single(tlv(0x30, data)).children() == read_elements(
        tlv(0x30, data), len(tlv(0x30, data)) - len(data), len(tlv(0x30, data))
    )
    spans = read_spans(data, 0, len(data))
    assert [(tag, data[start:end]) for tag, start, end in spans] == members
    if data:
        for read in (read_elements, read_spans):
            with pytest.raises(MalformedError):
                read(data + b"\x04", 0, len(data) + 1)
            with pytest.raises(MalformedError):
                read(data, 0, len(data) - 1) if members[-1][1] else read(data + b"\x04\x01", 0, len(data) + 2)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cut off"),
        (b"\x04", "cut off"),
        (b"\x04\x01", "claims 1 bytes, 0 are there"),
        (b"\x04\x80", "unusable length"),
        (b"\x30\x80\x00\x00", "unusable length"),
        (b"\x04\xff" + bytes(200), "unusable length"),
        (b"\x04\x85\x00\x00\x00\x00\x01x", "unusable length"),
        (b"\x04\x81", "unusable length"),
        (b"\x04\x82\x01", "unusable length"),
        (b"\x04\x84\xff\xff\xff", "unusable length"),
        (b"\x04\x84\xff\xff\xff\xff", "claims 4294967295 bytes"),
        (b"\x04\x81\x7f" + bytes(127), "shortest form"),
        (b"\x04\x81\x00", "shortest form"),
        (b"\x04\x82\x00\xff" + bytes(255), "shortest form"),
        (b"\x04\x83\x00\xff\xff" + bytes(65535), "shortest form"),
        (b"\x1f\x01\x00", "tag of several bytes"),
        (b"\xbf\x81\x01\x00", "tag of several bytes"),
    ],
)
def test_anything_but_the_shortest_form_is_malformed(data: bytes, message: str) -> None:
    for read in (
        read_single,
        lambda data: read_elements(data, 0, len(data)),
        lambda data: read_spans(data, 0, len(data)),
    ):
        if data or read is read_single:
            with pytest.raises(MalformedError, match=message):
                read(data)


def test_nothing_may_follow_a_single_element() -> None:
    assert read_single(b"\x05\x00").tag == der.NULL
    with pytest.raises(MalformedError, match="2 bytes follow"):
        read_single(b"\x05\x00\x05\x00")


def test_the_wrong_tag_is_named() -> None:
    element = read_single(b"\x04\x00")
    assert element.expect(der.OCTET_STRING, "it") is element
    with pytest.raises(MalformedError, match="it has the DER tag 0x04, expected 0x30"):
        element.expect(der.SEQUENCE, "it")


@given(st.integers(0, 2**80))
def test_numbers_are_read_as_written(number: int) -> None:
    for encode in (encode_integer, encode_enumerated):
        assert parse_unsigned(read_single(encode(number)), "it", number) == number
        if number:
            with pytest.raises(MalformedError, match=f"expected 0 to {number - 1}"):
                parse_unsigned(read_single(encode(number)), "it", number - 1)


@pytest.mark.parametrize(
    ("encoded", "message"),
    [
        (b"\x02\x00", "shortest form"),
        (b"\x02\x02\x00\x00", "shortest form"),
        (b"\x02\x02\x00\x7f", "shortest form"),
        (b"\x02\x01\x80", "is -128"),
        (b"\x02\x01\xff", "is -1"),
        (b"\x02\x02\xff\xff", "is -1"),
        (b"\x0a\x01\xff", "is -1"),
        (b"\x02\x82\x10\x00" + b"\x7f" * 4096, "is a number of 4096 bytes"),  # more digits than Python writes
        (b"\x01\x01\x01", "tag 0x01, expected an INTEGER"),
        (encode_octets(b"\1"), "tag 0x04, expected an INTEGER"),
        (encode_sequence(), "tag 0x30, expected an INTEGER"),
    ],
)
def test_what_is_no_unsigned_number(encoded: bytes, message: str) -> None:
    with pytest.raises(MalformedError, match=message):
        parse_unsigned(read_single(encoded), "it", 1000)


READERS: list[Callable[[bytes], object]] = [
    read_single,
    lambda data: read_elements(data, 0, len(data)),
    lambda data: read_spans(data, 0, len(data)),
    lambda data: parse_unsigned(read_single(data), "it", 255),
    lambda data: [child.children() for child in read_single(data).children()],
]


@pytest.mark.parametrize("read", READERS)
@given(st.one_of(st.binary(max_size=40), st.binary(max_size=30).map(lambda data: b"\x30" + bytes([len(data)]) + data)))
def test_any_bytes_give_a_value_or_our_error(read: Callable[[bytes], object], data: bytes) -> None:
    try:
        read(data)
    except MalformedError as error:
        assert error.message  # noqa: PT017 - every error says something


@given(st.binary(max_size=60))
def test_both_ways_to_read_many_agree(data: bytes) -> None:
    """One is for loops over many elements; what the two take for DER is the same."""
    spans: list[tuple[int, int, int]] | None
    elements: list[Element] | None
    try:
        spans = read_spans(data, 0, len(data))
    except MalformedError:
        spans = None
    try:
        elements = read_elements(data, 0, len(data))
    except MalformedError:
        elements = None
    assert spans == (None if elements is None else [(each.tag, each.value_start, each.end) for each in elements])
