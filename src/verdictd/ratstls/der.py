"""Reads the fields of a peer's certificate in their order, also where a full X.509 parser gives up.

Elements are found by `core.der`; here they are named, expected, and turned into values. It never recurses and reads
only what the caller names. What it accepts is a subset of what OpenSSL accepts, so that both see the same fields.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from verdictd.core.der import read_header
from verdictd.core.errors import MalformedError

UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18

_MAX_INTEGER_BYTES: Final = 64
_MAX_OID_BYTES: Final = 64
_TIME: Final = {UTC_TIME: re.compile(rb"\d{12}Z"), GENERALIZED_TIME: re.compile(rb"\d{14}Z")}
_PEM: Final = re.compile(rb"\s*-----BEGIN ([A-Z0-9 ]{1,40})-----\r?\n([A-Za-z0-9+/=\s]*)-----END \1-----\s*")


@dataclass(frozen=True, slots=True)
class DERElement:
    """One tag-length-value, with its place in the data it was read from."""

    data: bytes
    tag: int
    start: int
    content_start: int
    end: int

    @property
    def raw(self) -> bytes:
        """Tag, length and value, byte for byte."""
        return self.data[self.start : self.end]

    @property
    def content(self) -> bytes:
        """The value alone, byte for byte."""
        return self.data[self.content_start : self.end]

    def reader(self) -> "DERReader":
        """Return a reader of the elements inside this one."""
        return DERReader(self.data, self.content_start, self.end)


class DERReader:
    """Reads the elements of one level, in order. `what` in its methods names the field, for the operator."""

    __slots__ = ("_data", "_end", "_position")

    def __init__(self, data: bytes, start: int = 0, end: int | None = None) -> None:
        self._data = data
        self._position = start
        self._end = len(data) if end is None else end

    @property
    def exhausted(self) -> bool:
        """Whether every element of this level has been read."""
        return self._position == self._end

    def next_is(self, tag: int) -> bool:
        """Whether there is a next element and it has this tag."""
        return not self.exhausted and self._data[self._position] == tag

    def read(self, tag: int, what: str) -> DERElement:
        """Read the next element, which must have this tag."""
        element = self.read_any(what)
        if element.tag != tag:
            raise MalformedError(f"{what}: expected DER tag 0x{tag:02x}, found 0x{element.tag:02x}")
        return element

    def read_any(self, what: str) -> DERElement:
        """Read the next element, whatever its tag.

        Raises:
            MalformedError: there is none, its length is indefinite or not minimal, or it ends after its container.
        """
        start = self._position
        try:
            tag, content_start, self._position = read_header(self._data, start, self._end)
        except MalformedError as error:
            raise MalformedError(f"{what}: {error.message}") from error
        return DERElement(self._data, tag, start, content_start, self._position)

    def finish(self, what: str) -> None:
        """Insist that nothing is left at this level."""
        if not self.exhausted:
            raise MalformedError(f"{what}: {self._end - self._position} bytes left over after its last field")


def parse_integer(element: DERElement, what: str) -> int:
    """Read an INTEGER of at most 64 bytes, minimally encoded."""
    content = element.content
    if not 1 <= len(content) <= _MAX_INTEGER_BYTES:
        raise MalformedError(f"{what}: expected an INTEGER of 1 to {_MAX_INTEGER_BYTES} bytes, found {len(content)}")
    if len(content) > 1 and content[0] in {0x00, 0xFF} and (content[0] ^ content[1]) < 0x80:
        raise MalformedError(f"{what}: INTEGER is written in more bytes than it needs")
    return int.from_bytes(content, "big", signed=True)


def parse_boolean(element: DERElement, what: str) -> bool:
    """Read a BOOLEAN: 0x00 or 0xff."""
    if element.content not in {b"\x00", b"\xff"}:
        raise MalformedError(f"{what}: expected the BOOLEAN 00 or ff, found {element.content[:4].hex() or 'nothing'}")
    return element.content == b"\xff"


def parse_bit_string(element: DERElement, what: str) -> bytes:
    """Read a BIT STRING of whole bytes."""
    if element.content[:1] != b"\x00":
        raise MalformedError(f"{what}: expected a BIT STRING of whole bytes")
    return element.content[1:]


def parse_object_identifier(element: DERElement, what: str) -> str:
    """Read an OBJECT IDENTIFIER as dotted decimal text."""
    content = element.content
    if not 1 <= len(content) <= _MAX_OID_BYTES or content[-1] & 0x80:
        raise MalformedError(f"{what}: OBJECT IDENTIFIER is empty, cut off or longer than {_MAX_OID_BYTES} bytes")
    arcs: list[int] = []
    arc = 0
    for byte in content:
        if arc == 0 and byte == 0x80:
            raise MalformedError(f"{what}: OBJECT IDENTIFIER has a padded arc")
        arc = arc << 7 | byte & 0x7F
        if not byte & 0x80:
            arcs.append(arc)
            arc = 0
    root = min(arcs[0] // 40, 2)
    return ".".join(map(str, (root, arcs[0] - 40 * root, *arcs[1:])))


def parse_time(element: DERElement, what: str) -> datetime:
    """Read a UTCTime (1950 to 2049) or GeneralizedTime to the second, in UTC.

    Spec:
        RFC 5280, 4.1.2.5. A GeneralizedTime before 2050, which it forbids, is read all the same: peers write it.
    """
    form = _TIME.get(element.tag)
    if form is None or form.fullmatch(element.content) is None:
        raise MalformedError(f"{what}: expected a UTCTime or GeneralizedTime to the second in UTC")
    text = element.content.decode("ascii")
    if element.tag == UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise MalformedError(f"{what}: {text} is not a time") from error


def decode_pem(data: bytes, label: str) -> bytes:
    """Return the bytes of the one PEM block that `data` consists of.

    Raises:
        MalformedError: not one block with that label and nothing but white space around it, or not base64.
    Spec:
        RFC 7468, without explanatory text.
    """
    block = _PEM.fullmatch(data)
    if block is None or block.group(1) != label.encode("ascii"):
        raise MalformedError(f"expected exactly one PEM block named {label} and nothing else")
    try:
        return base64.b64decode(b"".join(block.group(2).split()), validate=True)
    except binascii.Error as error:
        raise MalformedError(f"PEM block {label} is not base64: {error}") from error
