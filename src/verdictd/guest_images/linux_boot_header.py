"""The changes that QEMU makes to the header of a Linux kernel before it hands it to firmware, which measures it so.

Newer QEMU (10.0) offers the kernel unchanged as well, and newer edk2 (of 2025) takes that one: no change is measured.

Spec:
    Linux, Documentation/arch/x86/boot.rst: the header.
    QEMU, hw/i386/x86-common.c, "x86_load_linux": the changes, on a machine q35.
"""

import struct
from typing import Final

from verdictd.core.errors import MalformedError, UnsupportedError
from verdictd.guest_images.boot_files import BootFiles
from verdictd.guest_images.qemu_memory import split_memory

_MAGIC_AT, _VERSION_AT, _LOADER_AT, _FLAGS_AT = 0x202, 0x206, 0x210, 0x211
_INITRD_AT, _HEAP_END_AT, _COMMAND_LINE_AT, _EXTENDED_FLAGS_AT = 0x218, 0x224, 0x228, 0x236
_HEADER_BYTES: Final = 0x1000
_MAGIC: Final = b"HdrS"
_MIN_VERSION: Final = 0x20C
"""Of Linux 3.8. What QEMU does with older ones is another matter."""
_LOADED_HIGH, _CAN_USE_HEAP = 0x01, 0x80
_ABOVE_4_GIB: Final = 1 << 1
_QEMU_LOADER: Final = 0xB0
_COMMAND_LINE: Final = 0x20000
_HEAP_END: Final = _COMMAND_LINE - 0x10000 - 0x200
_ACPI_BYTES: Final = 0x28000
"""What QEMU keeps free for ACPI tables at the end of low memory."""
_PAGE_MASK: Final = ~0xFFF

_WORD16: Final = struct.Struct("<H")
_WORD32: Final = struct.Struct("<I")
_PLACE: Final = struct.Struct("<II")


def require_linux_kernel(kernel: bytes) -> None:
    """Check that a program is a Linux kernel: others, a unified kernel image too, measure other things.

    Raises:
        UnsupportedError: it is none, or too old.
    """
    if len(kernel) < _HEADER_BYTES or kernel[_MAGIC_AT : _MAGIC_AT + len(_MAGIC)] != _MAGIC:
        raise UnsupportedError(
            "the kernel has no header of the Linux boot protocol",
            remedy="give the kernel itself (bzImage); a unified kernel image or a boot loader is not supported",
        )
    (version,) = _WORD16.unpack_from(kernel, _VERSION_AT)
    if version < _MIN_VERSION or not kernel[_FLAGS_AT] & _LOADED_HIGH:
        raise UnsupportedError(
            f"the kernel has version {version >> 8}.{version & 0xFF:02} of the boot protocol, expected 2.12 and later"
        )


def patch_kernel_header(boot: BootFiles, memory_bytes: int) -> bytes:
    """Change a kernel as QEMU does.

    Args:
        boot: the kernel as a file, and what is booted with it.
        memory_bytes: of the guest, on which the place of the initrd depends.
    Returns:
        The kernel as firmware finds it, as long as the file.
    Raises:
        MalformedError: the initrd has no room in the guest, or no guest has that much memory.
        UnsupportedError: no Linux kernel, one too old, or a command line with ``vga=``, which QEMU adds to the header.
        LimitExceededError: more memory than may be.
    """
    require_linux_kernel(boot.kernel)
    kernel = bytearray(boot.kernel)
    if "vga=" in boot.command_line:
        raise UnsupportedError("the command line has vga=, which changes the header of the kernel")
    kernel[_LOADER_AT] = _QEMU_LOADER
    kernel[_FLAGS_AT] |= _CAN_USE_HEAP
    _WORD16.pack_into(kernel, _HEAP_END_AT, _HEAP_END)
    _WORD32.pack_into(kernel, _COMMAND_LINE_AT, _COMMAND_LINE)
    if boot.initrd:
        place = _place_initrd(kernel, len(boot.initrd), memory_bytes)
        _PLACE.pack_into(kernel, _INITRD_AT, place, len(boot.initrd))
    return bytes(kernel)


def _place_initrd(kernel: bytearray, size: int, memory_bytes: int) -> int:
    """Place it as high as it may be: below 4 GiB, the end of low memory, and where the kernel can use it."""
    (flags,) = _WORD16.unpack_from(kernel, _EXTENDED_FLAGS_AT)
    if not flags & _ABOVE_4_GIB:
        raise UnsupportedError("the kernel cannot have its initrd above 4 GiB: it is not one for x86-64")
    low, _ = split_memory(memory_bytes)
    highest = low - _ACPI_BYTES - 1
    if size >= highest:
        raise MalformedError(f"an initrd of {size} bytes has no room in {low} bytes of low memory")
    return (highest - size) & _PAGE_MASK
