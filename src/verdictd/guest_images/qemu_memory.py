"""Where QEMU's machine q35 puts the memory of a guest.

Spec:
    QEMU, hw/i386/pc_q35.c.
"""

from typing import Final

from verdictd.core.errors import LimitExceededError, MalformedError
from verdictd.guest_images.firmware_table import FOUR_GIB, PAGE_BYTES

MAX_MEMORY_BYTES: Final = 1 << 52
_SPLIT_FROM: Final = 0xB0000000
_LOW_END: Final = 0x80000000
_MIN_MEMORY_BYTES: Final = 16 * 1024 * 1024


def split_memory(memory_bytes: int) -> tuple[int, int]:
    """Return how much of a guest's memory is below 4 GiB, from address 0, and how much from 4 GiB on.

    Args:
        memory_bytes: what the guest is started with, whole pages.
    Raises:
        MalformedError: not whole pages, or less than firmware needs.
        LimitExceededError: more than a CPU can address.
    """
    if memory_bytes > MAX_MEMORY_BYTES:
        raise LimitExceededError(f"the guest has {memory_bytes} bytes of memory, the limit is {MAX_MEMORY_BYTES}")
    if memory_bytes < _MIN_MEMORY_BYTES or memory_bytes % PAGE_BYTES:
        raise MalformedError(f"the guest has {memory_bytes} bytes of memory, expected whole pages, 16 MiB and more")
    low = _LOW_END if memory_bytes >= _SPLIT_FROM else memory_bytes
    return low, memory_bytes - low


def list_memory_ranges(memory_bytes: int) -> tuple[tuple[int, int], ...]:
    """Return start and end of each range of memory. Raises what `split_memory` does."""
    low, high = split_memory(memory_bytes)
    return ((0, low), (FOUR_GIB, FOUR_GIB + high)) if high else ((0, low),)
