"""tar archives, read by the standard library, which is held to forward reading of bounded pieces.

The library keeps a record of each member, and reads extended headers whole, whatever size they claim to have: it is
given a file that refuses that, and its records are thrown away.
"""

import tarfile
from collections.abc import Iterator
from typing import BinaryIO, Final, cast

from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError
from verdictd.unpacking.cpio import Member
from verdictd.unpacking.limits import Budget
from verdictd.unpacking.streams import PartStream, Stream

_MAGIC_AT: Final = 257
_MAGIC: Final = b"ustar"
_SKIP_BYTES: Final = 256 * 1024
HEAD_BYTES: Final = _MAGIC_AT + len(_MAGIC)


def looks_like_tar(head: bytes) -> bool:
    """Whether data that begins so is a tar archive. The form of before 1988 has no mark, and is not found."""
    return head[_MAGIC_AT : _MAGIC_AT + len(_MAGIC)] == _MAGIC


def read_tar(stream: Stream, budget: Budget) -> Iterator[Member]:
    """Read the regular files of an archive. Links are passed over: what they lead to is there under its own name.

    Raises:
        MalformedError: it does not follow the format, or ends without its mark of the end.
        UnsupportedError: a file with holes in it.
        LimitExceededError: more members, or longer names or headers, than allowed.
    """
    forward = _ForwardFile(stream, budget.limits.header_bytes)
    for member in _list_members(forward):
        budget.spend_member()
        if not member.isreg():
            continue
        name = member.name.encode("utf-8", "surrogateescape")
        if len(name) > budget.limits.name_bytes:
            raise LimitExceededError(f"a name has {len(name)} bytes, the limit is {budget.limits.name_bytes}")
        if member.issparse():
            raise UnsupportedError("an archive with sparse files is not supported", remedy="unpack it with GNU tar")
        forward.seek(member.offset_data)
        yield Member(name, member.size, PartStream(forward, member.size, "a file"))
    if not forward.has_more:
        raise MalformedError("it ends without a tar archive's mark of the end", remedy="fetch it anew: it was cut off")


def _list_members(forward: "_ForwardFile") -> Iterator[tarfile.TarInfo]:
    try:
        # What it reads by is `read`, `seek` and `tell`.
        with tarfile.open(fileobj=cast(BinaryIO, forward), mode="r:") as archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # documented, but not in the types
                yield member
    except (tarfile.TarError, ValueError, OverflowError, UnicodeError, RecursionError) as error:
        raise MalformedError(f"it is no tar archive that can be read: {error!r:.200}") from error


class _ForwardFile:
    """A stream in the form of a file that can only go forward.

    Attributes:
        has_more: whether all that was asked for was there.
    """

    def __init__(self, source: Stream, max_read_bytes: int) -> None:
        self._source = source
        self._max_read_bytes = max_read_bytes
        self._at = 0
        self.has_more = True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int) -> int:
        if offset < self._at:
            raise ValueError("a header leads back into the archive")
        while self._at < offset and self.has_more:
            self.read(min(_SKIP_BYTES, offset - self._at))
        return self._at

    def read(self, size: int) -> bytes:
        if size > self._max_read_bytes:
            raise LimitExceededError(f"an extended header has {size} bytes, the limit is {self._max_read_bytes}")
        data = self._source.read(size)
        self._at += len(data)
        self.has_more = self.has_more and len(data) == size
        return data
