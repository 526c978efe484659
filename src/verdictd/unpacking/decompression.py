"""Decompression as a stream, of what a few bytes say they are; in bounded memory, and on account of a budget."""

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Final, Protocol

from verdictd.core.errors import LimitExceededError, MalformedError, VerdictdError
from verdictd.unpacking.limits import Budget
from verdictd.unpacking.streams import Stream

MAGICS: Final = {
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\0": "xz",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
}
"""How compressed data begins. The old format of lzma has no magic number, and has to be named."""

_READ_BYTES: Final = 64 * 1024
_PIECE_BYTES: Final = 256 * 1024
_START_BYTES: Final = {"bzip2": 900_000}
_LEAST_START_BYTES: Final = 4096
"""What the beginning of a compressed stream costs of the budget. It takes time, also where nothing comes out of it: of
bzip2 a block of 900,000 bytes has to be put in order for the first byte."""


class _Decompressor(Protocol):
    """What the decompressors of bz2, lzma and zstd have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes: ...


class _Gzip:
    """zlib's decompressor in the form of the others."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = 0, /) -> bytes:
        out = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        self.needs_input = not self._inner.unconsumed_tail and len(out) < max_length
        return out


class DecompressedStream:
    """What comes out of a decompressor; several compressed streams in a row are one, as their programs have it."""

    def __init__(self, source: Stream, compression: str, budget: Budget, *, piece_bytes: int = _PIECE_BYTES) -> None:
        """Prepare.

        Args:
            source: the compressed bytes, untrusted, with nothing behind them.
            compression: a value of `MAGICS`, or ``lzma``.
            budget: what comes out is counted there.
            piece_bytes: at most so many come out at a time.
        """
        self._source = source
        self._name = compression
        self._budget = budget
        self._piece_bytes = piece_bytes
        self._prepared, self._errors = _prepare(compression, budget.limits.window_bytes)
        self._decompressor = self._make()
        self._pending = b""
        self._held = bytearray()
        self._is_at_end = False
        self._failure: VerdictdError | None = None

    def read(self, size: int) -> bytes:
        """See `Stream`.

        Raises:
            MalformedError: the data cannot be decompressed, or ends early.
            LimitExceededError: the budget is spent, or the decompressor needs more memory than allowed.
        """
        if self._failure is not None:  # what a decompressor does after it failed is not said
            raise self._failure
        try:
            while len(self._held) < size and not self._is_at_end:
                self._held += self._produce()
        except VerdictdError as error:
            self._failure = error
            raise
        data = bytes(self._held[:size])
        del self._held[:size]
        return data

    def _make(self) -> _Decompressor:
        self._budget.spend_bytes(_START_BYTES.get(self._name, _LEAST_START_BYTES))
        return self._prepared()

    def _produce(self) -> bytes:
        if self._decompressor.eof and not self._begin_next():
            return b""
        if not self._pending and self._decompressor.needs_input:
            self._pending = self._source.read(_READ_BYTES)
            if not self._pending:
                raise MalformedError(f"the {self._name} data ends early", remedy="fetch it anew: it was cut off")
        data, self._pending = self._pending, b""
        piece = self._decompress(data)
        self._budget.spend_bytes(len(piece))
        if self._decompressor.eof:
            self._pending = self._decompressor.unused_data
        return piece

    def _begin_next(self) -> bool:
        """Whether something follows the end of a compressed stream; padding of zeros is nothing."""
        while not self._pending.strip(b"\0"):
            self._pending = self._source.read(_READ_BYTES)
            if not self._pending:
                self._is_at_end = True
                return False
        self._pending = self._pending.lstrip(b"\0")
        self._decompressor = self._make()
        return True

    def _decompress(self, data: bytes) -> bytes:
        try:
            return self._decompressor.decompress(data, self._piece_bytes)
        except self._errors as error:
            if "emory" not in str(error):  # all these libraries say so of what they may not allocate
                raise MalformedError(f"the {self._name} data is damaged: {error}", remedy="fetch it anew") from error
            raise LimitExceededError(
                f"the {self._name} data needs more than {self._budget.limits.window_bytes} bytes of memory",
                remedy="unpack it yourself, if you trust it, and name the enclave in it",
            ) from error


def find_compression(head: bytes) -> str | None:
    """Tell how data is compressed by its first bytes; ``None`` where it is not, or in no known way."""
    return next((name for magic, name in MAGICS.items() if head.startswith(magic)), None)


def _prepare(compression: str, window_bytes: int) -> tuple[Callable[[], _Decompressor], tuple[type[Exception], ...]]:
    """Return how a decompressor is made, and what it raises for data that it cannot take."""
    match compression:
        case "gzip":
            return _Gzip, (zlib.error,)
        case "bzip2":
            return bz2.BZ2Decompressor, (OSError, ValueError)
        case "xz":
            return lambda: lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=window_bytes), (lzma.LZMAError,)
        case "lzma":
            return lambda: lzma.LZMADecompressor(format=lzma.FORMAT_ALONE, memlimit=window_bytes), (lzma.LZMAError,)
        case "zstd":
            return _prepare_zstd(window_bytes)
        case _:
            raise ValueError(f"{compression} is no compression that is known here")


def _prepare_zstd(window_bytes: int) -> tuple[Callable[[], _Decompressor], tuple[type[Exception], ...]]:
    from backports import zstd  # noqa: PLC0415 - only packages need it, and it takes a while to load

    options = {int(zstd.DecompressionParameter.window_log_max): window_bytes.bit_length() - 1}
    return lambda: zstd.ZstdDecompressor(options=options), (zstd.ZstdError,)
