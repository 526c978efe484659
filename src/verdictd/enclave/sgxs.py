"""SGXS: an enclave as the stream of what is measured of it, as Fortanix's tools write it.

The file is the very bytes that are hashed into MRENCLAVE, but for blocks that are loaded without being measured.

Facts: fortanix/rust-sgx, intel-sgx/sgxs, "canonical" streams.
"""

import struct
from collections.abc import Callable
from typing import BinaryIO, Final

from verdictd.core.errors import ConfigError, LimitExceededError, MalformedError, UnsupportedError
from verdictd.enclave.measurement import (
    BLOCK_BYTES,
    CHUNK_BYTES,
    CHUNKS_A_PAGE,
    HASHED_A_PAGE,
    PAGE_BYTES,
    EnclaveMeasurement,
)

MAX_FILE_BYTES: Final = 16 * 1024**3
"""A minute of hashing at most."""

_ECREATE, _UNSIZED, _EADD, _EEXTEND, _UNMEASURED = (
    b"ECREATE\0",
    b"UNSIZED\0",
    b"EADD\0\0\0\0",
    b"EEXTEND\0",
    b"UNMEASRD",
)
_CREATE: Final = struct.Struct("<8sIQ44s")
_ADD: Final = struct.Struct("<8sQQ40s")
_EXTEND: Final = struct.Struct("<8sQ48s")
_WHOLE_PAGE: Final = struct.Struct("<" + "8sQ48s256x" * CHUNKS_A_PAGE)
_REST: Final = HASHED_A_PAGE - BLOCK_BYTES
_NO_FLAGS_OF_TCS: Final = 0x7
_PAGE_TYPE_SHIFT, _PAGE_TYPE_MASK = 8, 0xFF
_TCS_TYPE: Final = 1
_ZEROS: Final = bytes(48)
_READ_BYTES: Final = 1024 * 1024

Progress = Callable[[int, int], None]
"""Told how many bytes have been read, and how many there are."""


def measure_sgxs(file: BinaryIO, progress: Progress | None = None) -> bytes:
    """Measure a stream: return its MRENCLAVE, 32 bytes.

    Args:
        file: untrusted, from its beginning.
        progress: see `Progress`.

    Raises:
        MalformedError: it is not canonical: pages in no order or twice, a block that is no page's, anything else.
        UnsupportedError: the enclave's size is not in it.
        LimitExceededError: longer than `MAX_FILE_BYTES`.
        ConfigError: the file cannot be read.
    """
    try:
        size = file.seek(0, 2)
        file.seek(0)
        return _Stream(file, size, progress).measure()
    except OSError as error:
        raise ConfigError(f"the .sgxs file cannot be read: {error.strerror}") from error


class _Stream:
    """A stream while it is read, page by page."""

    def __init__(self, file: BinaryIO, size: int, progress: Progress | None) -> None:
        if size > MAX_FILE_BYTES:
            raise LimitExceededError(f"the .sgxs file is {size} bytes long, the limit is {MAX_FILE_BYTES}")
        self._file = file
        self._size = size
        self._done = 0
        self._reported = 0
        self._progress = progress
        self._enclave_bytes = 0
        self._last_page = -1

    def measure(self) -> bytes:
        """Read all of it."""
        measurement = self._begin()
        header = self._read(BLOCK_BYTES)
        while header:
            self._check_page(header)
            measurement.add_block(header)
            header = self._take_page(measurement)
            if self._progress is not None and self._done - self._reported >= _READ_BYTES:
                self._reported = self._done
                self._progress(self._done, self._size)
        return measurement.finish()

    def _begin(self) -> EnclaveMeasurement:
        tag, ssa_frame_pages, size, rest = _CREATE.unpack(self._read_whole(BLOCK_BYTES))
        if tag == _UNSIZED:
            raise UnsupportedError(
                "the .sgxs file does not say how large the enclave is", remedy="build it anew, sized"
            )
        if tag != _ECREATE or any(rest):
            raise MalformedError("an .sgxs file begins with ECREATE, this one does not")
        if size < PAGE_BYTES or size & (size - 1):
            raise MalformedError(f"the enclave's size is {size:#x}, expected a power of two and a page at least")
        if not ssa_frame_pages:
            raise MalformedError("an SSA frame has no pages")
        self._enclave_bytes = size
        return EnclaveMeasurement(size, ssa_frame_pages)

    def _check_page(self, header: bytes) -> None:
        if len(header) != BLOCK_BYTES:
            raise MalformedError(f"the .sgxs file ends in the middle of a block, at {self._done}")
        tag, offset, flags, rest = _ADD.unpack(header)
        if tag != _EADD or any(rest):
            raise MalformedError(f"a page begins with EADD, at {self._done - BLOCK_BYTES} is {tag!r}")
        if offset % PAGE_BYTES or offset <= self._last_page or offset + PAGE_BYTES > self._enclave_bytes:
            raise MalformedError(f"a page is at {offset:#x}, after one at {self._last_page:#x}: pages stand in order")
        if flags >> _PAGE_TYPE_SHIFT & _PAGE_TYPE_MASK == _TCS_TYPE and flags & _NO_FLAGS_OF_TCS:
            raise MalformedError(f"the TCS at {offset:#x} has access rights, which it cannot have")
        self._last_page = offset

    def _take_page(self, measurement: EnclaveMeasurement) -> bytes:
        """Take what is in the page that was begun; return the header of the next one, nothing at the end."""
        at = self._done
        blocks = self._read(_REST)
        if len(blocks) == _REST and self._is_whole(blocks):
            measurement.add_block(blocks)
            return self._read(BLOCK_BYTES)
        self._file.seek(at)
        self._done = at
        return self._take_chunks(measurement)

    def _is_whole(self, blocks: bytes) -> bool:
        """Whether these are the blocks of a page that is measured whole, in order: nearly all are."""
        values = _WHOLE_PAGE.unpack(blocks)
        page = self._last_page
        return (
            values[0::3] == (_EEXTEND,) * CHUNKS_A_PAGE
            and values[1::3] == tuple(range(page, page + PAGE_BYTES, CHUNK_BYTES))
            and values[2::3] == (_ZEROS,) * CHUNKS_A_PAGE
        )

    def _take_chunks(self, measurement: EnclaveMeasurement) -> bytes:
        seen: set[int] = set()
        while True:
            header = self._read(BLOCK_BYTES)
            if len(header) != BLOCK_BYTES or not header.startswith((_EEXTEND, _UNMEASURED)):
                return header
            tag, offset, rest = _EXTEND.unpack(header)
            is_of_page = self._last_page <= offset < self._last_page + PAGE_BYTES and offset % CHUNK_BYTES == 0
            if not is_of_page or offset in seen or any(rest):
                raise MalformedError(f"content for {offset:#x} stands in the page at {self._last_page:#x}, or twice")
            seen.add(offset)
            content = self._read_whole(CHUNK_BYTES)
            if tag == _EEXTEND:
                measurement.add_block(header + content)

    def _read_whole(self, size: int) -> bytes:
        data = self._read(size)
        if len(data) != size:
            raise MalformedError(f"the .sgxs file ends in the middle of a block, at {self._done}")
        return data

    def _read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._done += len(data)
        return data
