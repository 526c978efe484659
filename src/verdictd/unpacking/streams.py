"""Bytes that come one after the other: from a file, or a part of another stream."""

import io
from typing import Final, Protocol

from verdictd.core.errors import ConfigError, MalformedError

_SKIP_BYTES: Final = 256 * 1024


class Stream(Protocol):
    """A source of bytes that can be read once, from its beginning to its end."""

    def read(self, size: int) -> bytes:
        """Return so many bytes, fewer only where the stream ends."""


class FileStream:
    """A file of the operator. Raises ConfigError where it cannot be read."""

    def __init__(self, file: io.BufferedIOBase, name: str) -> None:
        self._file = file
        self._name = name

    def read(self, size: int) -> bytes:
        """See `Stream`."""
        try:
            return self._file.read(size)
        except OSError as error:
            raise ConfigError(f"{self._name} cannot be read: {error.strerror}") from error


class PartStream:
    """The next so many bytes of another stream. Raises MalformedError where that ends before."""

    def __init__(self, source: Stream, size: int, what: str) -> None:
        self._source = source
        self._left = size
        self._what = what

    def read(self, size: int) -> bytes:
        """See `Stream`."""
        wanted = min(size, self._left)
        data = self._source.read(wanted)
        self._left -= len(data)
        if len(data) < wanted:
            raise MalformedError(f"it ends in {self._what}, {self._left} bytes before it should")
        return data

    def skip_rest(self) -> None:
        """Read to the end, and throw it away."""
        while self._left:
            self.read(_SKIP_BYTES)


class PeekedStream:
    """A stream of which the first bytes have been looked at."""

    def __init__(self, source: Stream, size: int) -> None:
        self.head = source.read(size)
        self._at = 0
        self._source = source

    def read(self, size: int) -> bytes:
        """See `Stream`."""
        if self._at == len(self.head):
            return self._source.read(size)
        data = self.head[self._at : self._at + size]
        self._at += len(data)
        return data if len(data) == size else data + self._source.read(size - len(data))


def read_whole(source: Stream, size: int, what: str) -> bytes:
    """Read so many bytes.

    Raises:
        MalformedError: the stream ends before.
    """
    data = source.read(size)
    if len(data) != size:
        raise MalformedError(f"it ends in {what}, {size - len(data)} bytes before it should")
    return data
