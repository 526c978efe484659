"""The table at the end of an OVMF image: blocks of data, each with a GUID, that tell a hypervisor how to start it.

Spec:
    edk2, OvmfPkg/ResetVector/Ia16/ResetVectorVtf0.asm: the table ends 32 bytes before the image does and is read
    backwards. Its last entry has a GUID of its own, and the size of all of it.
"""

import struct
from typing import Final
from uuid import UUID

from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError

PAGE_BYTES: Final = 4096
FOUR_GIB: Final = 1 << 32
"""Where firmware ends in a guest's memory."""
MAX_FIRMWARE_BYTES: Final = 64 * 1024 * 1024
"""Real images have 2 to 16 MiB."""

_FOOTER: Final = UUID("96b582de-1fb2-45f7-baea-a366c55a082d")
_RESET_VECTOR_BYTES: Final = 32
_ENTRY: Final = struct.Struct("<H16s")
_WORD: Final = struct.Struct("<I")


class FirmwareTable:
    """The blocks of an image's table. Trust: unauthenticated."""

    def __init__(self, blocks: dict[UUID, bytes]) -> None:
        self._blocks = blocks

    def has(self, guid: UUID) -> bool:
        """Say whether there is such a block."""
        return guid in self._blocks

    def read_word(self, guid: UUID, what: str) -> int:
        """Return the first 32 bits of a block.

        Raises:
            UnsupportedError: there is no such block: the image is not made for what is asked of it.
            MalformedError: it has fewer than 4 bytes.
        """
        block = self._blocks.get(guid)
        if block is None:
            raise UnsupportedError(f"the firmware's table has no {what} ({guid})", remedy="use an image that has it")
        if len(block) < _WORD.size:
            raise MalformedError(f"the {what} in the firmware's table has {len(block)} bytes, expected {_WORD.size}")
        return int(_WORD.unpack_from(block)[0])


def parse_firmware_table(image: bytes) -> FirmwareTable:
    """Read the table of an OVMF image.

    Args:
        image: all of it, as it is mapped below 4 GiB: whole pages.
    Raises:
        MalformedError: not whole pages, no table, or one that does not follow its format.
        LimitExceededError: larger than firmware is.
    """
    if len(image) > MAX_FIRMWARE_BYTES:
        raise LimitExceededError(f"the firmware has {len(image)} bytes, the limit is {MAX_FIRMWARE_BYTES}")
    if not image or len(image) % PAGE_BYTES:
        raise MalformedError(f"the firmware has {len(image)} bytes, expected whole pages of {PAGE_BYTES}")
    end = len(image) - _RESET_VECTOR_BYTES - _ENTRY.size
    size, guid = _ENTRY.unpack_from(image, end)
    if guid != _FOOTER.bytes_le:
        raise MalformedError("the firmware has no table of GUIDs at its end: it is no OVMF image")
    if not _ENTRY.size <= size <= end + _ENTRY.size:
        raise MalformedError(f"the firmware's table says that it has {size} bytes, there is room for {end}")
    return FirmwareTable(_parse_blocks(image[end + _ENTRY.size - size : end]))


def _parse_blocks(table: bytes) -> dict[UUID, bytes]:
    """Each block ends with its size and GUID, and the last one is read first."""
    blocks: dict[UUID, bytes] = {}
    end = len(table)
    while end:
        head = end - _ENTRY.size
        if head < 0:
            raise MalformedError(f"the firmware's table begins with {end} bytes that are no entry")
        size, name = _ENTRY.unpack_from(table, head)
        if not _ENTRY.size <= size <= end:
            raise MalformedError(f"an entry of the firmware's table says that it has {size} bytes, there are {end}")
        guid = UUID(bytes_le=name)
        if guid in blocks:  # hypervisors do not agree on which of them counts
            raise MalformedError(f"the firmware's table has {guid} twice")
        blocks[guid] = table[end - size : head]
        end -= size
    return blocks
