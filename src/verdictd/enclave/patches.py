"""An enclave image as it is loaded: with the bytes in place that its metadata puts over those of the file."""

from collections.abc import Sequence
from typing import Final

from verdictd.core.errors import LimitExceededError
from verdictd.enclave.file_reader import FileReader
from verdictd.enclave.sdk_metadata import SdkMetadata

_MAX_PATCHED_BYTES: Final = 4 * 1024 * 1024
_MAX_PATCHES: Final = 4096
_GRANULE: Final = 256 * 1024


class PatchedFile:
    """A file seen through its patches. Where two of them overlap, the later one counts.

    Attributes:
        patches: where in the file each is put, and what.
    """

    def __init__(self, file: FileReader, metadata: SdkMetadata) -> None:
        """Prepare.

        Raises:
            MalformedError: a patch is not of the file and the metadata.
            LimitExceededError: patches of more than 4 MiB, or more than 4,096 of them.
        """
        self._file = file
        self._granules: dict[int, list[tuple[int, bytes]]] = {}
        patches = []
        total = sum(patch.size for patch in metadata.patches)
        if len(metadata.patches) > _MAX_PATCHES:
            raise LimitExceededError(f"the metadata has {len(metadata.patches)} patches, the limit is {_MAX_PATCHES}")
        if total > _MAX_PATCHED_BYTES:
            raise LimitExceededError(f"the metadata patches {total} bytes, the limit is {_MAX_PATCHED_BYTES}")
        for patch in metadata.patches:
            file.require(patch.target, patch.size, "what a patch replaces")
            content = metadata.take(patch.source, patch.size, "a patch")
            patches.append((patch.target, content))
            for granule in range(patch.target // _GRANULE, (patch.target + patch.size) // _GRANULE + 1):
                self._granules.setdefault(granule, []).append((patch.target, content))

        self.patches = tuple(patches)

    def read(self, offset: int, size: int) -> bytes:
        """Read a page, or less."""
        data = bytearray(size)
        self.read_into(offset, [memoryview(data)])
        return bytes(data)

    def read_into(self, offset: int, buffers: Sequence[memoryview]) -> None:
        """Fill buffers of the same size; see `FileReader.read_into`."""
        self._file.read_into(offset, buffers, "a segment")
        end = offset + len(buffers) * len(buffers[0])
        for granule in range(offset // _GRANULE, end // _GRANULE + 1):
            for target, content in self._granules.get(granule, ()):
                if target < end and target + len(content) > offset:
                    _put(content, target - offset, buffers)


def _put(content: bytes, at: int, buffers: Sequence[memoryview]) -> None:
    """Put bytes at a place counted from the start of the first buffer; what is outside of all is left out."""
    size = len(buffers[0])
    first = max(at, 0)
    last = min(at + len(content), size * len(buffers))
    while first < last:
        buffer, start = buffers[first // size], first % size
        count = min(last - first, size - start)
        buffer[start : start + count] = content[first - at : first - at + count]
        first += count
