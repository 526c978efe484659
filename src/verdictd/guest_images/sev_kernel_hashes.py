"""The page by which firmware checks a kernel that QEMU hands to it: hashes of kernel, initrd and command line.

Spec:
    QEMU, docs/system/i386/amd-memory-encryption.rst, and edk2, OvmfPkg/AmdSev/BlobVerifierLibSevHashes: a table of
    entries, each with a GUID, its size in 16 bits, and a SHA-256.
"""

import hashlib
import struct
from typing import Final
from uuid import UUID

from verdictd.core.errors import MalformedError
from verdictd.guest_images.boot_files import BootFiles
from verdictd.guest_images.firmware_table import PAGE_BYTES

_TABLE: Final = UUID("9438d606-4f22-4cc9-b479-a793d411fd21")
_KERNEL: Final = UUID("4de79437-abd2-427f-b835-d5b172d2045b")
_INITRD: Final = UUID("44baf731-3a2f-4bd7-9af1-41e29169781d")
_COMMAND_LINE: Final = UUID("97d02dd8-bd20-4c94-aa78-e7714d36ab2a")
_HEAD: Final = struct.Struct("<16sH")
_ENTRY: Final = struct.Struct("<16sH32s")
_ALIGNMENT: Final = 16


def build_kernel_hashes(boot: BootFiles) -> bytes:
    """Build the table as QEMU does, padded with zeros to a multiple of 16 bytes."""
    contents = (
        (_COMMAND_LINE, boot.encode_command_line() + b"\0"),
        (_INITRD, boot.initrd),
        (_KERNEL, boot.kernel),
    )
    entries = b"".join(
        _ENTRY.pack(guid.bytes_le, _ENTRY.size, hashlib.sha256(content).digest()) for guid, content in contents
    )
    table = _HEAD.pack(_TABLE.bytes_le, _HEAD.size + len(entries)) + entries
    return table + bytes(-len(table) % _ALIGNMENT)


def build_kernel_hashes_page(boot: BootFiles, address: int) -> bytes:
    """Build the page, 4,096 bytes, in which the table is at this address.

    Raises:
        MalformedError: the table would reach into the next page.
    """
    table = build_kernel_hashes(boot)
    offset = address % PAGE_BYTES
    if offset + len(table) > PAGE_BYTES:
        raise MalformedError(f"a table of {len(table)} bytes at {address:#x} is not within one page")
    return (bytes(offset) + table).ljust(PAGE_BYTES, b"\0")
