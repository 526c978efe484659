"""Found files as real files: a plain one in place, a member of an archive in an unlinked temporary file."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import BinaryIO, Final, Self

from verdictd.core.errors import ConfigError, LimitExceededError
from verdictd.unpacking.directories import NamedFile
from verdictd.unpacking.names import shorten
from verdictd.unpacking.streams import Stream

_COPY_BYTES: Final = 1024 * 1024


class _Opener:
    """Opens one file until it is left. Misuse would show another content than the file's: it raises RuntimeError."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._refusal = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._refusal = "the walk has moved on"

    def _require_usable(self) -> None:
        if self._refusal:
            raise RuntimeError(f"{self._name} cannot be opened: {self._refusal}")


class PlainOpener(_Opener):
    """Opens a file of the operator where it is: the one that was looked at, whatever has its name by now."""

    def __init__(self, named: NamedFile) -> None:
        super().__init__(named.name)
        self._file = named.file

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Open it at its beginning. Raises ConfigError, and RuntimeError for misuse."""
        self._require_usable()
        try:
            # Beside what has been read ahead, and open for as long as whoever opened it wants.
            file = os.fdopen(os.dup(self._file.fileno()), "rb")
            file.seek(0)
        except OSError as error:
            raise ConfigError(f"{shorten(self._name)} cannot be read: {error.strerror}") from error
        with file:
            yield file


class MemberOpener(_Opener):
    """Opens a member of an archive, once: what was read of an archive is gone."""

    def __init__(self, content: Stream, size: int, name: str, max_bytes: int) -> None:
        super().__init__(name)
        self._content = content
        self._size = size
        self._max_bytes = max_bytes

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Open it.

        Raises:
            ConfigError: there is no room for it.
            MalformedError, LimitExceededError: it cannot be read; they do not name it.
            RuntimeError: misuse.
        """
        self._require_usable()
        self._refusal = "it was opened before"
        if self._size > self._max_bytes:
            raise LimitExceededError(
                f"it is {self._size} bytes long, the limit within archives is {self._max_bytes}",
                remedy="unpack it yourself, and name it",
            )
        with ExitStack() as stack:
            try:
                file = stack.enter_context(tempfile.TemporaryFile())
                while data := self._content.read(_COPY_BYTES):
                    file.write(data)
                file.seek(0)
            except OSError as error:
                raise ConfigError(
                    f"{shorten(self._name)} cannot be unpacked into a temporary file: {error.strerror}",
                    remedy="make room there, or set TMPDIR to a directory that has some",
                ) from error
            yield file
