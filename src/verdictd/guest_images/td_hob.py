"""The first two events of RTMR0: the list of memory that QEMU hands to a TD's firmware (TD HOB), and its variables.

RTMR0 has more that these files do not tell: the ACPI tables, which follow from each device and from QEMU's version, the
variables of Secure Boot, and the boot options that the firmware finds. So RTMR0 as a whole is not computed.

Spec:
    UEFI PI 1.8, volume 3, 5: hand-off blocks.
    QEMU, hw/i386/tdvf-hob.c and target/i386/kvm/tdx.c: which it writes.
    edk2, OvmfPkg/Library/TdxHelperLib: they are measured without the block that ends the list.
"""

import hashlib
import struct
from typing import Final

from verdictd.core.errors import MalformedError, UnsupportedError
from verdictd.guest_images.qemu_memory import list_memory_ranges
from verdictd.guest_images.tdvf_metadata import TdSection, TdSectionKind

_HANDOFF: Final = struct.Struct("<HHIIIQQQQQ")
_RESOURCE: Final = struct.Struct("<HHI16sIIQQ")
_END_BYTES: Final = 8
_HANDOFF_KIND, _RESOURCE_KIND = 1, 3
_HANDOFF_VERSION: Final = 9
_SYSTEM_MEMORY, _UNACCEPTED_MEMORY = 0, 7
_ATTRIBUTES: Final = 7
"""Present, initialized, tested."""
_ADDED: Final = {TdSectionKind.TD_HOB, TdSectionKind.TEMPORARY_MEMORY}


def calculate_td_hob_digest(sections: tuple[TdSection, ...], memory_bytes: int) -> bytes:
    """Compute the digest of the event TD HOB: EV_EFI_HANDOFF_TABLES2.

    Args:
        sections: of the firmware, as `parse_tdvf_sections` has them.
        memory_bytes: of the TD, which is a machine q35 of QEMU.
    Returns:
        48 bytes.
    Raises:
        MalformedError: no TD has that much memory, or the sections are not in it.
        LimitExceededError: more memory than may be.
    """
    added = sorted((section.address, section.address + section.size) for section in sections if section.kind in _ADDED)
    hob = next((section for section in sections if section.kind is TdSectionKind.TD_HOB), None)
    if hob is None:
        raise MalformedError("the firmware has no section TD_HOB")
    resources = b"".join(
        _RESOURCE.pack(_RESOURCE_KIND, _RESOURCE.size, 0, bytes(16), kind, _ATTRIBUTES, start, end - start)
        for kind, start, end in _list_resources(added, list_memory_ranges(memory_bytes))
    )
    size = _HANDOFF.size + len(resources) + _END_BYTES
    if size > hob.size:
        raise MalformedError(f"the TD HOB has {size} bytes, the section for it {hob.size}")
    end = hob.address + size
    handoff = _HANDOFF.pack(_HANDOFF_KIND, _HANDOFF.size, 0, _HANDOFF_VERSION, 0, 0, 0, 0, 0, end)
    return hashlib.sha384(handoff + resources).digest()


def calculate_configuration_digest(sections: tuple[TdSection, ...]) -> bytes:
    """Compute the digest of the event for the variables that the image has: EV_EFI_PLATFORM_FIRMWARE_BLOB2.

    Returns:
        48 bytes.
    Raises:
        UnsupportedError: the image does not have exactly one section of them.
    """
    volumes = [section for section in sections if section.kind is TdSectionKind.CONFIGURATION]
    if len(volumes) != 1:
        raise UnsupportedError(f"the firmware has {len(volumes)} sections of variables, expected one")
    return hashlib.sha384(volumes[0].data).digest()


def _list_resources(added: list[tuple[int, int]], ranges: tuple[tuple[int, int], ...]) -> list[tuple[int, int, int]]:
    """List kind, start and end of each piece of memory, by address."""
    resources = []
    left = list(added)
    for start, end in ranges:
        free_from = start
        while left and start <= left[0][0] and left[0][1] <= end:
            piece = left.pop(0)
            if piece[0] > free_from:
                resources.append((_UNACCEPTED_MEMORY, free_from, piece[0]))
            resources.append((_SYSTEM_MEMORY, *piece))
            free_from = piece[1]
        if free_from < end:
            resources.append((_UNACCEPTED_MEMORY, free_from, end))
    if left:
        raise MalformedError(f"the section of TDX at {left[0][0]:#x} is not in the guest's memory")
    return resources
