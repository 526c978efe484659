"""tar archives: the "ustar" form of POSIX, with its extended headers and with GNU's long names.

The standard library's reader is not used. It matches extended headers against a pattern that takes time quadratic in
their length, keeps every long name and global header, and every entry of the map of a sparse file. An archive of a few
kilobytes can keep it busy for hours, or make it fill the memory.

Spec:
    POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError
from verdictd.unpacking.cpio import Member
from verdictd.unpacking.limits import Budget
from verdictd.unpacking.pax import parse_pax, sparse_error
from verdictd.unpacking.streams import PartStream, Stream, read_whole

_BLOCK_BYTES: Final = 512
_NAME, _SIZE, _CHECKSUM, _KIND, _PREFIX = slice(100), slice(124, 136), slice(148, 156), slice(156, 157), slice(345, 500)
_MAGIC: Final = slice(257, 263)
_POSIX: Final = b"ustar\0"
_FAMILY: Final = b"ustar"
_BINARY: Final = 0x80
"""The first byte of a size that stands there in binary, and not in octal digits: one of 8 GiB and more."""

_REGULAR: Final = (b"0", b"\0", b"7")
_WITHOUT_CONTENT: Final = (b"1", b"2", b"3", b"4", b"5", b"6")
"""Links, devices, directories. Their size says nothing of the archive."""

_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL, _SPARSE = b"L", b"K", b"x", b"g", b"S"
_MAX_EXTENSIONS: Final = 4
"""Before one file: each kind once."""

HEAD_BYTES: Final = _BLOCK_BYTES


@dataclass(slots=True)
class _Extensions:
    """What the extended headers before a file say of it."""

    long_name: bytes | None = None
    name: bytes | None = None
    size: int | None = None


def looks_like_tar(head: bytes) -> bool:
    """Whether data that begins so is a tar archive. The form of before 1988 has no mark, and is not found."""
    return head[_MAGIC].startswith(_FAMILY)


def read_tar(stream: Stream, budget: Budget) -> Iterator[Member]:
    """Read the regular files of an archive. Links are passed over: what they lead to is there under its own name.

    Raises:
        MalformedError: it does not follow the format, or ends without its mark of the end.
        UnsupportedError: a file with holes in it, or a header that names all files.
        LimitExceededError: more members, or longer names or headers, than allowed.
    """
    while True:
        extensions = _Extensions()
        header = _read_extensions(stream, budget, extensions)
        if header is None:
            return
        budget.spend_member()
        name = _find_name(header, extensions)
        if len(name) > budget.limits.name_bytes:
            raise LimitExceededError(f"a name has {len(name)} bytes, the limit is {budget.limits.name_bytes}")
        size = _find_size(header, extensions)
        content = PartStream(stream, size, "a file")
        # Before there was a kind for directories, a slash at the end of the name was their mark.
        if header[_KIND] in _REGULAR and not name.endswith(b"/"):
            yield Member(name, size, content)
        content.skip_rest()
        read_whole(stream, -size % _BLOCK_BYTES, "the padding of a file")


def _read_extensions(stream: Stream, budget: Budget, extensions: _Extensions) -> bytes | None:
    """Read up to the next file's own header, and return that; ``None`` at the mark of the end."""
    for _ in range(_MAX_EXTENSIONS + 1):
        header = _read_header(stream)
        if header is None:
            return None
        kind = header[_KIND]
        if kind == _SPARSE:
            raise sparse_error()
        if kind not in {_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL}:
            return header
        data = _read_extension(stream, _parse_size(header), budget.limits.header_bytes)
        if kind == _LONG_NAME:
            extensions.long_name = data.partition(b"\0")[0]
        elif kind == _PAX:
            extensions.name, extensions.size = parse_pax(data)
        elif kind == _PAX_GLOBAL and parse_pax(data) != (None, None):
            raise UnsupportedError("an archive with a header that names all its files is not supported")
    raise LimitExceededError(f"more than {_MAX_EXTENSIONS} extended headers stand before one file")


def _read_header(stream: Stream) -> bytes | None:
    header = stream.read(_BLOCK_BYTES)
    if len(header) < _BLOCK_BYTES:
        raise MalformedError("it ends without a tar archive's mark of the end", remedy="fetch it anew: it was cut off")
    if not any(header):
        return None
    said = _parse_octal(header[_CHECKSUM], "checksum")
    blank = header[: _CHECKSUM.start] + b" " * 8 + header[_CHECKSUM.stop :]
    summed = sum(blank)
    # Some old programs took bytes for signed numbers.
    if said not in {summed, summed - 256 * sum(each >= 0x80 for each in blank)}:
        raise MalformedError(f"the header of a file has the checksum {summed}, and says {said}")
    return header


def _read_extension(stream: Stream, size: int, max_bytes: int) -> bytes:
    if size > max_bytes:
        raise LimitExceededError(f"an extended header has {size} bytes, the limit is {max_bytes}")
    data = read_whole(stream, size, "an extended header")
    read_whole(stream, -size % _BLOCK_BYTES, "the padding of an extended header")
    return data


def _find_name(header: bytes, extensions: _Extensions) -> bytes:
    if extensions.name is not None:
        return extensions.name
    if extensions.long_name is not None:
        return extensions.long_name
    name = header[_NAME].partition(b"\0")[0]
    prefix = header[_PREFIX].partition(b"\0")[0] if header[_MAGIC] == _POSIX else b""  # GNU has times there
    return prefix + b"/" + name if prefix else name


def _find_size(header: bytes, extensions: _Extensions) -> int:
    if header[_KIND] in _WITHOUT_CONTENT:
        return 0
    return _parse_size(header) if extensions.size is None else extensions.size


def _parse_size(header: bytes) -> int:
    field = header[_SIZE]
    if field[0] == _BINARY:
        return int.from_bytes(field[1:], "big")
    return _parse_octal(field, "size")


def _parse_octal(field: bytes, what: str) -> int:
    digits = field.partition(b"\0")[0].strip(b" ")
    if not digits.isdigit() or digits.strip(b"01234567"):
        raise MalformedError(f"the header of a file has the {what} {field!r}, expected octal digits")
    return int(digits, 8)
