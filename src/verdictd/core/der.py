"""A small reader of DER (ITU-T X.690): tag, length, value, within bounds, and nothing else.

It exists because what has to be read here is what libraries refuse or do not know: Intel's SGX extension, and the
certificates of peers that write version 4 or odd algorithm parameters. It reads structure; meaning is judged elsewhere.
"""

from typing import NamedTuple

from verdictd.core.errors import MalformedError

BOOLEAN = 0x01
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
NULL = 0x05
OBJECT_IDENTIFIER = 0x06
ENUMERATED = 0x0A
SEQUENCE = 0x30

_MAX_LENGTH_BYTES = 4


class Element(NamedTuple):
    """One DER element inside `data`: its tag, and where it, and its value, begin and end (byte offsets)."""

    data: bytes
    tag: int
    start: int
    value_start: int
    end: int

    @property
    def value(self) -> bytes:
        """The value's bytes."""
        return self.data[self.value_start : self.end]

    @property
    def encoded(self) -> bytes:
        """The whole element: tag, length and value."""
        return self.data[self.start : self.end]

    def children(self) -> list["Element"]:
        """The elements inside the value, which must be filled by them exactly."""
        return read_elements(self.data, self.value_start, self.end)

    def expect(self, tag: int, what: str) -> "Element":
        """Return this element if it has the given tag.

        Raises:
            MalformedError: it has another.
        """
        if self.tag != tag:
            raise MalformedError(f"{what} has the DER tag 0x{self.tag:02x}, expected 0x{tag:02x}")
        return self


def read_element(data: bytes, offset: int, end: int) -> Element:
    """Read one element that begins at `offset` and must end at or before `end`.

    Raises:
        MalformedError: truncated, an indefinite or non-minimal length, or a tag of more than one byte.
    """
    tag, value_start, value_end = read_header(data, offset, end)
    return Element(data, tag, offset, value_start, value_end)


def read_header(data: bytes, offset: int, end: int) -> tuple[int, int, int]:
    """Like `read_element`, for loops over many: returns tag, and where the value begins and ends."""
    if offset + 2 > end:
        raise MalformedError(f"DER element at byte {offset} is cut off")
    tag, length = data[offset], data[offset + 1]
    if tag & 0x1F == 0x1F:
        raise MalformedError(f"DER element at byte {offset} has a tag of several bytes, which nothing here uses")
    value_start = offset + 2
    if length & 0x80:
        length, value_start = _read_long_length(data, offset, end)
    value_end = value_start + length
    if value_end > end:
        raise MalformedError(f"DER element at byte {offset} claims {length} bytes, {end - value_start} are there")
    return tag, value_start, value_end


def read_spans(data: bytes, offset: int, end: int) -> list[tuple[int, int, int]]:
    """Read the headers of the elements that fill the bytes from `offset` to `end` exactly, for each as `read_header`.

    Each element begins where the one before it ends.
    """
    spans = []
    while offset < end:
        tag, value_start, offset = read_header(data, offset, end)
        spans.append((tag, value_start, offset))
    return spans


def _read_long_length(data: bytes, offset: int, end: int) -> tuple[int, int]:
    """Read a length field of more than one byte; return the length and where the value begins."""
    count = data[offset + 1] & 0x7F
    value_start = offset + 2 + count
    if not 1 <= count <= _MAX_LENGTH_BYTES or value_start > end:
        raise MalformedError(f"DER element at byte {offset} has an unusable length field")
    length = int.from_bytes(data[offset + 2 : value_start], "big")
    if length < 0x80 or length >> (8 * (count - 1)) == 0:
        raise MalformedError(f"DER element at byte {offset} does not encode its length in the shortest form")
    return length, value_start


def read_elements(data: bytes, offset: int, end: int) -> list[Element]:
    """Read the elements that fill the bytes from `offset` to `end` exactly."""
    elements = []
    while offset < end:
        element = read_element(data, offset, end)
        elements.append(element)
        offset = element.end
    return elements


def read_single(data: bytes) -> Element:
    """Read the one element that `data` consists of.

    Raises:
        MalformedError: there is none, or bytes follow it.
    """
    element = read_element(data, 0, len(data))
    if element.end != len(data):
        raise MalformedError(f"{len(data) - element.end} bytes follow the DER element")
    return element


def parse_unsigned(element: Element, what: str, maximum: int) -> int:
    """Read an INTEGER (or ENUMERATED) between 0 and `maximum`.

    Raises:
        MalformedError: another tag, empty, negative, not in its shortest form, or larger.
    """
    if element.tag not in {INTEGER, ENUMERATED}:
        raise MalformedError(f"{what} has the DER tag 0x{element.tag:02x}, expected an INTEGER")
    value = element.value
    if not value or (len(value) > 1 and value[0] == 0 and not value[1] & 0x80):
        raise MalformedError(f"{what} is not an INTEGER in its shortest form")
    number = int.from_bytes(value, "big", signed=True)
    if not 0 <= number <= maximum:
        found = str(number) if len(value) <= 8 else f"a number of {len(value)} bytes"
        raise MalformedError(f"{what} is {found}, expected 0 to {maximum}")
    return number
