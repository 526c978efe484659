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
    """A stream whose first bytes can be looked at before they are read.

    Attributes:
        head: the first bytes, as many as were asked for, or fewer where the stream is shorter.
    """

    def __init__(self, source: Stream, size: int) -> None:
        self._source = source
        self._ahead = self.head = source.read(size)
        self._at = 0

    def read(self, size: int) -> bytes:
        """See `Stream`."""
        if self._at == len(self._ahead):
            self._ahead, self._at = b"", 0
            return self._source.read(size)
        data = self._ahead[self._at : self._at + size]
        self._at += len(data)
        return data if len(data) == size else data + self._source.read(size - len(data))

    def peek(self, size: int) -> bytes:
        """Return so many of the bytes that come next, which are kept, fewer only where the stream ends."""
        missing = size - (len(self._ahead) - self._at)
        if missing > 0:
            self._ahead, self._at = self._ahead[self._at :] + self._source.read(missing), 0
        return self._ahead[self._at : self._at + size]


class Preview:
    """What comes next in a stream, read without taking it from there; as if it ended after so many bytes."""

    def __init__(self, source: PeekedStream, max_bytes: int) -> None:
        self._source = source
        self._max_bytes = max_bytes
        self._at = 0

    def read(self, size: int) -> bytes:
        """See `Stream`."""
        end = min(self._at + size, self._max_bytes)
        data = self._source.peek(end)[self._at :]
        self._at += len(data)
        return data


def read_whole(source: Stream, size: int, what: str) -> bytes:
    """Read so many bytes.

    Raises:
        MalformedError: the stream ends before.
    """
    data = source.read(size)
    if len(data) != size:
        raise MalformedError(f"it ends in {what}, {size - len(data)} bytes before it should")
    return data


def skip_all(source: Stream) -> None:
    """Read a stream to its end, and throw it away."""
    while source.read(_SKIP_BYTES):
        pass
