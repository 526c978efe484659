"""MRENCLAVE: the digest that the CPU keeps while an enclave is built page by page, computed without a CPU that can.

Each page is one block for EADD, and where it is measured sixteen blocks for EEXTEND, each followed by 256 bytes of the
page. Blocks of many pages are laid out at once: of a page's blocks all but its offsets and its content stay the same.

Spec:
    Intel SDM vol. 3D, "ECREATE", "EADD", "EEXTEND": what each adds to MRENCLAVE.
"""

import hashlib
import struct
from array import array
from collections.abc import Callable, Sequence
from typing import Final

from verdictd.core.errors import LimitExceededError

PAGE_BYTES: Final = 4096
CHUNK_BYTES: Final = 256
CHUNKS_A_PAGE: Final = PAGE_BYTES // CHUNK_BYTES
BLOCK_BYTES: Final = 64
HASHED_A_PAGE: Final = BLOCK_BYTES + CHUNKS_A_PAGE * (BLOCK_BYTES + CHUNK_BYTES)
"""What is hashed of a page that is measured."""

_BATCH_PAGES: Final = 64
"""As many as fill what one call of the operating system reads into: IOV_MAX is 1024, and a page has 16 chunks."""
_WORDS_A_PAGE: Final = HASHED_A_PAGE // 8
_WORDS_A_CHUNK: Final = (BLOCK_BYTES + CHUNK_BYTES) // 8
_ECREATE: Final = struct.Struct("<8sIQ44x")
_EADD: Final = struct.Struct("<8sQQ40x")
_EEXTEND_TAG: Final = b"EEXTEND\0"

MAX_HASHED_BYTES: Final = 16 * 1024**3
"""Of all that one file holds: a minute of work at most. Pages that are measured count 5,184 bytes, others 64."""

Fill = Callable[[Sequence[memoryview]], None]
"""Fills the content of consecutive pages: memory of 256 bytes each, in order."""


class HashBudget:
    """What may still be hashed: an image of a few kilobytes can claim any number of pages, and a package hold many."""

    def __init__(self, max_bytes: int = MAX_HASHED_BYTES) -> None:
        self._max_bytes = max_bytes
        self._spent = 0

    def spend(self, count: int) -> None:
        """Count what is about to be hashed. Raises LimitExceededError where that is more than may be."""
        self._spent += count
        if self._spent > self._max_bytes:
            raise LimitExceededError(
                f"{self._spent} bytes would be hashed for the enclaves in it, the limit is {self._max_bytes}",
                remedy="name one enclave by itself",
            )


class EnclaveMeasurement:
    """The digest of one enclave while it is built. Pages are added in the order in which a loader adds them."""

    def __init__(self, size: int, ssa_frame_pages: int) -> None:
        """Begin as ECREATE does.

        Args:
            size: the enclave's, in bytes, below 2^64.
            ssa_frame_pages: the size of an SSA frame, in pages, below 2^32.
        """
        self._digest = hashlib.sha256(_ECREATE.pack(b"ECREATE\0", ssa_frame_pages, size))
        self._measured: _PageBlocks | None = None

    def add_pages(self, offset: int, flags: int, count: int) -> None:
        """EADD pages whose content is not measured.

        Args:
            offset: of the first, in bytes from the enclave's start.
            flags: SECINFO.FLAGS.
            count: how many.
        """
        blocks = bytearray(_EADD.pack(b"EADD\0\0\0\0", 0, flags) * min(count, 1024))
        words = memoryview(blocks).cast("Q")
        while count:
            batch = min(count, 1024)
            _number(words[1 : batch * 8 : 8], offset, PAGE_BYTES)
            self._digest.update(memoryview(blocks)[: batch * BLOCK_BYTES])
            offset, count = offset + batch * PAGE_BYTES, count - batch

    def extend_pages(self, offset: int, flags: int, count: int, fill: Fill) -> None:
        """EADD and EEXTEND pages. `fill` is called for as many at a time as it pleases this class, in order."""
        blocks = self._blocks()
        while count:
            batch = min(count, _BATCH_PAGES)
            blocks.head(offset, flags, batch)
            fill(blocks.chunks[: batch * CHUNKS_A_PAGE])
            self._digest.update(blocks.whole[: batch * HASHED_A_PAGE])
            offset, count = offset + batch * PAGE_BYTES, count - batch

    def extend_same_pages(self, offset: int, flags: int, count: int, content: bytes) -> None:
        """EADD and EEXTEND pages that all have the same content, of 4,096 bytes."""
        view = memoryview(content)
        parts = [view[start : start + CHUNK_BYTES] for start in range(0, PAGE_BYTES, CHUNK_BYTES)]
        blocks = self._blocks()
        for number, chunk in enumerate(blocks.chunks[: min(count, _BATCH_PAGES) * CHUNKS_A_PAGE]):
            chunk[:] = parts[number % CHUNKS_A_PAGE]
        while count:
            batch = min(count, _BATCH_PAGES)
            blocks.head(offset, flags, batch)
            self._digest.update(blocks.whole[: batch * HASHED_A_PAGE])
            offset, count = offset + batch * PAGE_BYTES, count - batch

    def add_block(self, block: bytes) -> None:
        """Take what one EADD or EEXTEND adds, laid out already: 64 bytes, for EEXTEND with the 256 of the content."""
        self._digest.update(block)

    def finish(self) -> bytes:
        """Return MRENCLAVE, 32 bytes."""
        return self._digest.digest()

    def _blocks(self) -> "_PageBlocks":
        if self._measured is None:
            self._measured = _PageBlocks()
        return self._measured


class _PageBlocks:
    """Memory for the blocks of a batch of measured pages.

    Attributes:
        whole: all of it.
        chunks: where the content goes, in order.
    """

    def __init__(self) -> None:
        chunk = _EEXTEND_TAG.ljust(BLOCK_BYTES + CHUNK_BYTES, b"\0")
        page = _EADD.pack(b"EADD\0\0\0\0", 0, 0) + chunk * CHUNKS_A_PAGE
        self.whole = memoryview(bytearray(page * _BATCH_PAGES))
        self._words = self.whole.cast("Q")
        starts = [
            page * HASHED_A_PAGE + BLOCK_BYTES + number * (BLOCK_BYTES + CHUNK_BYTES) + BLOCK_BYTES
            for page in range(_BATCH_PAGES)
            for number in range(CHUNKS_A_PAGE)
        ]
        self.chunks = [self.whole[start : start + CHUNK_BYTES] for start in starts]

    def head(self, offset: int, flags: int, count: int) -> None:
        """Write the offsets and flags of so many pages."""
        words = self._words[: count * _WORDS_A_PAGE]
        _number(words[1::_WORDS_A_PAGE], offset, PAGE_BYTES)
        words[2::_WORDS_A_PAGE] = memoryview(array("Q", [flags]) * count)
        for number in range(CHUNKS_A_PAGE):
            at = BLOCK_BYTES // 8 + number * _WORDS_A_CHUNK + 1
            _number(words[at::_WORDS_A_PAGE], offset + number * CHUNK_BYTES, PAGE_BYTES)


def _number(words: memoryview, first: int, step: int) -> None:
    """Write an arithmetic sequence."""
    words[:] = memoryview(array("Q", range(first, first + len(words) * step, step)))
