"""Extended headers of tar archives: what they say of a file's name and size.

Spec:
    POSIX.1-2017, pax, "pax Extended Header".
"""

import re
from collections.abc import Iterator
from typing import Final

from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError

_MAX_RECORDS: Final = 128
"""In one header. Usual are a dozen: times, owner, a few attributes. Each costs time, however short it is."""

_LENGTH: Final = re.compile(rb"([0-9]{1,8}) ")
_SIZE: Final = re.compile(rb"[0-9]{1,18}")
_SPARSE: Final = b"GNU.sparse."


def parse_pax(data: bytes) -> tuple[bytes | None, int | None]:
    """Parse an extended header.

    Args:
        data: records of the form ``LENGTH KEY=VALUE`` and a line feed, untrusted.
    Returns:
        The file's name and size, ``None`` where the header does not say.
    Raises:
        MalformedError: it does not follow the format.
        UnsupportedError: it describes a file with holes in it.
        LimitExceededError: it has too many records.
    """
    name, size = None, None
    for count, (key, value) in enumerate(_read_records(data), start=1):
        if count > _MAX_RECORDS:
            raise LimitExceededError(f"an extended header has more than {_MAX_RECORDS} records")
        if key.startswith(_SPARSE):
            raise sparse_error()
        if key == b"path":
            name = value or None  # an empty value takes back what was said
        elif key == b"size":
            if value and not _SIZE.fullmatch(value):
                raise MalformedError(f"an extended header says that the size is {value[:40]!r}")
            size = int(value) if value else None
    return name, size


def sparse_error() -> UnsupportedError:
    """Make the error of a file with holes in it."""
    return UnsupportedError("an archive with sparse files is not supported", remedy="unpack it with GNU tar")


def _read_records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(data):
        length = _LENGTH.match(data, at)
        end = at + int(length[1]) if length else 0
        # Of a record that leads out of the header there is no line feed; of one that ends in its own length, no value.
        if length is None or data[end - 1 : end] != b"\n":
            raise MalformedError(f"an extended header has a record at byte {at} that is none")
        key, equals, value = data[length.end() : end - 1].partition(b"=")
        if not equals:
            raise MalformedError(f"an extended header has a record at byte {at} without a value")
        yield key, value
        at = end
