"""Debian packages: an ar archive with a tar archive of the package's files in it.

Spec:
    deb(5); ar(5), "System V" form.
"""

from collections.abc import Iterator
from typing import Final

from verdictd.core.errors import MalformedError, UnsupportedError
from verdictd.unpacking.cpio import Member
from verdictd.unpacking.decompression import DecompressedStream, find_compression
from verdictd.unpacking.limits import Budget
from verdictd.unpacking.streams import PartStream, PeekedStream, Stream, read_whole, skip_all
from verdictd.unpacking.tar import HEAD_BYTES, looks_like_tar, read_tar

MAGIC: Final = b"!<arch>\ndebian-binary"

_ARCHIVE_MAGIC_BYTES: Final = 8
_HEADER_BYTES: Final = 60
_NAME, _SIZE, _END = slice(16), slice(48, 58), slice(58, 60)
_HEADER_END: Final = b"`\n"
_FORMAT: Final = b"2."


def read_deb(stream: Stream, budget: Budget) -> Iterator[Member]:
    """Read the regular files that a package installs.

    Raises:
        MalformedError: it does not follow the format, or ends early.
        UnsupportedError: its files are compressed in an unknown way.
        LimitExceededError: it is larger than allowed.
    """
    read_whole(stream, _ARCHIVE_MAGIC_BYTES, "the package")
    while True:
        header = stream.read(_HEADER_BYTES)
        if not header:
            raise MalformedError("the package has no data.tar", remedy="fetch it anew: it was cut off")
        name, size = _read_header(header)
        budget.spend_member()
        part = PartStream(stream, size, name)
        if name == "debian-binary" and (form := part.read(len(_FORMAT))) != _FORMAT:
            raise UnsupportedError(f"the package is of the format {form!r}, supported is 2")
        if name.startswith("data.tar"):
            yield from _read_data(part, budget, name)
            return
        part.skip_rest()
        read_whole(stream, size % 2, name)


def _read_header(header: bytes) -> tuple[str, int]:
    size = header[_SIZE].strip()
    if header[_END] != _HEADER_END or not size.isdigit():  # of one that is cut off, the end is missing
        raise MalformedError("a part of the package has no header that can be read")
    return header[_NAME].rstrip(b" /").decode("ascii", "replace"), int(size)


def _read_data(part: PartStream, budget: Budget, name: str) -> Iterator[Member]:
    peeked = PeekedStream(part, HEAD_BYTES)
    compression = find_compression(peeked.head)
    if compression is None and not looks_like_tar(peeked.head):
        raise UnsupportedError(f"{name} is not compressed in a way that is supported")
    data = peeked if compression is None else DecompressedStream(peeked, compression, budget)
    yield from read_tar(data, budget)
    skip_all(data)  # the checksum of what was compressed comes last, and the end of what was not
