"""cpio archives in the "new ASCII" format, which is what an RPM's payload is.

Spec:
    cpio(5), "New ASCII Format" and "New CRC Format".
"""

import stat
from collections.abc import Iterator
from typing import Final, NamedTuple

from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError
from verdictd.unpacking.limits import Budget
from verdictd.unpacking.streams import PartStream, Stream, read_whole

_HEADER_BYTES: Final = 110
_FIELD_BYTES: Final = 8
_MODE, _SIZE, _NAME_BYTES = 1, 6, 11
_MAGICS: Final = (b"070701", b"070702")
_STRIPPED: Final = b"07070X"
_TRAILER: Final = b"TRAILER!!!"
_ALIGNMENT: Final = 4
_HEX: Final = frozenset(b"0123456789abcdefABCDEF")


class Member(NamedTuple):
    """A file in an archive: its name as it stands there, its size, its content. To be read before the next one."""

    name: bytes
    size: int
    content: PartStream


def read_cpio(stream: Stream, budget: Budget) -> Iterator[Member]:
    """Read the regular files of an archive. Of a file with several names, its content comes with the last one.

    Raises:
        MalformedError: it does not follow the format, or ends early.
        UnsupportedError: it leaves out what stands in the headers of an RPM with files of 4 GiB and more.
        LimitExceededError: more members, or a longer name, than allowed.
    """
    while True:
        fields = _read_header(stream)
        name_bytes = fields[_NAME_BYTES]
        if name_bytes > budget.limits.name_bytes:
            raise LimitExceededError(f"a name has {name_bytes} bytes, the limit is {budget.limits.name_bytes}")
        name, end, rest = read_whole(stream, name_bytes, "a name").partition(b"\0")
        if not end or rest.strip(b"\0"):
            raise MalformedError(f"a name does not end where its header says: {name[:100]!r}")
        _skip_padding(stream, _HEADER_BYTES + name_bytes)
        if name == _TRAILER:
            return
        budget.spend_member()
        size = fields[_SIZE]
        content = PartStream(stream, size, "a file")
        if stat.S_ISREG(fields[_MODE]):
            yield Member(name, size, content)
        content.skip_rest()
        _skip_padding(stream, size)


def _read_header(stream: Stream) -> list[int]:
    magic = read_whole(stream, len(_MAGICS[0]), "the header of a file")
    if magic == _STRIPPED:
        raise UnsupportedError("an RPM with files of 4 GiB and more is not supported", remedy="unpack it with rpm2cpio")
    if magic not in _MAGICS:
        raise MalformedError(f"the header of a file begins with {magic!r}, expected 070701 or 070702")
    text = read_whole(stream, _HEADER_BYTES - len(magic), "the header of a file")
    if not _HEX.issuperset(text):
        raise MalformedError("the header of a file holds something else than hexadecimal numbers")
    return [int(text[start : start + _FIELD_BYTES], 16) for start in range(0, len(text), _FIELD_BYTES)]


def _skip_padding(stream: Stream, size: int) -> None:
    read_whole(stream, -size % _ALIGNMENT, "the padding of a file")
