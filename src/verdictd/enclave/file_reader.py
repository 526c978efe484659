"""Reading of an enclave image at any place, without ever holding more of it than was asked for."""

import os
from collections.abc import Sequence
from typing import BinaryIO, Final

from verdictd.core.errors import ConfigError, LimitExceededError, MalformedError

_MAX_READ_BYTES: Final = 16 * 1024 * 1024


class FileReader:
    """A file of a known size. Its owner keeps it open, and nobody else reads from it meanwhile.

    Attributes:
        size: in bytes, when it was opened.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._descriptor = file.fileno()
        self.size = os.fstat(self._descriptor).st_size

    def read(self, offset: int, size: int, what: str) -> bytes:
        """Read so many bytes.

        Args:
            offset: where, in bytes.
            size: how many.
            what: what to call them in a message.
        Raises:
            MalformedError: they are not all there.
            LimitExceededError: more than 16 MiB.
            ConfigError: the operating system cannot read them.
        """
        if size > _MAX_READ_BYTES:
            raise LimitExceededError(f"{what} would be {size} bytes long, the limit is {_MAX_READ_BYTES}")
        self.require(offset, size, what)
        data = bytearray(size)
        self.read_into(offset, [memoryview(data)], what)
        return bytes(data)

    def read_into(self, offset: int, buffers: Sequence[memoryview], what: str) -> None:
        """Fill these buffers, 1,024 at most and all of one size, with what stands in the file one after the other.

        Raises:
            MalformedError: the file ends before.
            ConfigError: the operating system cannot read it.
        """
        wanted = len(buffers) * len(buffers[0])
        try:
            done = os.preadv(self._descriptor, buffers, offset)
        except OSError as error:
            raise ConfigError(f"{what} cannot be read: {error.strerror}") from error
        if done != wanted:
            raise MalformedError(f"the file ends in {what}, {wanted - done} bytes before it should")

    def require(self, offset: int, size: int, what: str) -> None:
        """Raise MalformedError unless so many bytes are in the file."""
        if offset + size > self.size:
            raise MalformedError(f"{what} would be bytes {offset} to {offset + size} of a file of {self.size}")
