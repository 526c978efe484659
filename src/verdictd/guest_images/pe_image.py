"""The digest by which UEFI firmware measures a program: of its file, without what a signature changes.

Spec:
    Microsoft, Windows Authenticode Portable Executable Signature Format, "Calculating the PE Image Hash".
    TCG PC Client Platform Firmware Profile 1.05: EV_EFI_BOOT_SERVICES_APPLICATION is that digest.
    edk2, SecurityPkg and OvmfPkg: what follows the sections is hashed, but for as many bytes as the signatures have.
"""

import hashlib
import struct
from typing import Any, Final, NamedTuple

from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError
from verdictd.guest_images.boot_files import MAX_KERNEL_BYTES

_DOS_MAGIC: Final = b"MZ"
_PE_MAGIC: Final = b"PE\0\0"
_PE_OFFSET_AT: Final = 0x3C
_WORD: Final = struct.Struct("<I")
_FILE_HEADER: Final = struct.Struct("<4sHHIIIHH")
_OPTIONAL_MAGIC: Final = struct.Struct("<H")
_DIRECTORY: Final = struct.Struct("<II")
_SECTION: Final = struct.Struct("<8x8xII16x")
_DIRECTORIES_AT: Final = {0x10B: 96, 0x20B: 112}
"""Where the directories begin in the optional header, of PE32 and PE32+. Their number is 4 bytes before."""
_HEADERS_SIZE_AT, _CHECKSUM_AT = 60, 64
_SECURITY_DIRECTORY: Final = 4
_MAX_SECTIONS: Final = 96
"""As many as Windows loads."""


class _Layout(NamedTuple):
    """Offsets in the file: of what is left out of the headers, their end, and the sections after them."""

    checksum: int
    directory: int | None
    headers_end: int
    sections: list[tuple[int, int]]
    signature_bytes: int


def hash_pe_image(image: bytes) -> bytes:
    """Compute the digest of a PE file, as a kernel with an EFI stub is, for an RTMR.

    Returns:
        48 bytes: SHA-384.
    Raises:
        MalformedError: it is no PE file, or parts of it are outside of the file or overlap.
        UnsupportedError: neither PE32 nor PE32+.
        LimitExceededError: larger than a kernel, or more sections than a program has.
    """
    if len(image) > MAX_KERNEL_BYTES:
        raise LimitExceededError(f"the program has {len(image)} bytes, the limit is {MAX_KERNEL_BYTES}")
    layout = _parse_layout(image)
    view = memoryview(image)
    digest = hashlib.sha384(view[: layout.checksum])
    start = layout.checksum + _WORD.size
    if layout.directory is not None:
        digest.update(view[start : layout.directory])
        start = layout.directory + _DIRECTORY.size
    digest.update(view[start : layout.headers_end])
    hashed = layout.headers_end
    for offset, size in layout.sections:
        digest.update(view[offset : offset + size])
        hashed += size
    if len(view) < hashed + layout.signature_bytes:
        raise MalformedError(f"the program's signatures have {layout.signature_bytes} bytes, more than follow it")
    digest.update(view[hashed : len(view) - layout.signature_bytes])
    return digest.digest()


def _parse_layout(image: bytes) -> _Layout:
    if not image.startswith(_DOS_MAGIC):
        raise MalformedError("the program is no PE file: it does not begin with MZ")
    (header_at,) = _unpack(_WORD, image, _PE_OFFSET_AT)
    magic, _, count, _, _, _, optional_bytes, _ = _unpack(_FILE_HEADER, image, header_at)
    if magic != _PE_MAGIC:
        raise MalformedError(f"the program's PE header begins with {magic!r}, expected {_PE_MAGIC!r}")
    if count > _MAX_SECTIONS:
        raise LimitExceededError(f"the program has {count} sections, the limit is {_MAX_SECTIONS}")
    optional_at = header_at + _FILE_HEADER.size
    (kind,) = _unpack(_OPTIONAL_MAGIC, image, optional_at)
    if kind not in _DIRECTORIES_AT:
        raise UnsupportedError(f"the program's optional header is of kind {kind:#x}, expected PE32 or PE32+")
    directory, signature_bytes = _find_directory(image, optional_at, optional_bytes, _DIRECTORIES_AT[kind])
    (headers_end,) = _unpack(_WORD, image, optional_at + _HEADERS_SIZE_AT)
    table_at = optional_at + optional_bytes
    table_end = table_at + count * _SECTION.size
    if not table_end <= headers_end <= len(image):
        raise MalformedError(f"the program's headers end at {headers_end} of {len(image)}, their table at {table_end}")
    found = [_unpack(_SECTION, image, at) for at in range(table_at, table_end, _SECTION.size)]
    return _Layout(
        checksum=optional_at + _CHECKSUM_AT,
        directory=directory,
        headers_end=headers_end,
        sections=_order_sections([(offset, size) for size, offset in found if size], headers_end, len(image)),
        signature_bytes=signature_bytes,
    )


def _find_directory(image: bytes, optional_at: int, optional_bytes: int, directories: int) -> tuple[int | None, int]:
    """Find where the entry for the signatures is, and their size. A program with few directories has no such entry."""
    (entries,) = _unpack(_WORD, image, optional_at + directories - _WORD.size)
    if optional_bytes < directories + min(entries, _SECURITY_DIRECTORY + 1) * _DIRECTORY.size:
        raise MalformedError(f"the program's optional header has {optional_bytes} bytes for {entries} directories")
    if entries <= _SECURITY_DIRECTORY:
        return None, 0
    at = optional_at + directories + _SECURITY_DIRECTORY * _DIRECTORY.size
    _, size = _unpack(_DIRECTORY, image, at)
    return at, size


def _order_sections(sections: list[tuple[int, int]], headers_end: int, file_bytes: int) -> list[tuple[int, int]]:
    """Order them as they are in the file. Those that overlap would be hashed more than once."""
    free_from = headers_end
    for offset, size in sorted(sections):
        if offset < free_from or offset + size > file_bytes:
            raise MalformedError(f"a section of the program is at {offset} to {offset + size} of {file_bytes} bytes")
        free_from = offset + size
    return sorted(sections)


def _unpack(layout: struct.Struct, image: bytes, offset: int) -> tuple[Any, ...]:
    if offset + layout.size > len(image):
        raise MalformedError(f"the program has {len(image)} bytes, a header of it is at {offset}")
    return layout.unpack_from(image, offset)
