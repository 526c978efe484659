"""What an OVMF image made for AMD SEV says of itself: the memory it wants prepared, and where its other CPUs start.

Spec:
    edk2, OvmfPkg/ResetVector/X64/OvmfSevMetadata.asm: the list of sections.
    edk2, OvmfPkg/ResetVector/Ia16/ResetVectorVtf0.asm: the blocks of the table.
"""

import enum
import struct
from typing import Final, NamedTuple
from uuid import UUID

from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError
from verdictd.guest_images.firmware_table import FOUR_GIB, PAGE_BYTES, FirmwareTable, parse_firmware_table

_RESET_BLOCK: Final = UUID("00f771de-1a7e-4fcb-890e-68c77e2fb44e")
HASH_TABLE: Final = UUID("7255371f-3a3b-4b04-927b-1da6efa8d454")
"""Where the firmware looks for the kernel's hashes."""
_METADATA: Final = UUID("dc886566-984a-4798-a75e-5585a7bf67cc")

_HEADER: Final = struct.Struct("<4sIII")
_SECTION: Final = struct.Struct("<III")
_SIGNATURE: Final = b"ASEV"
_VERSION: Final = 1
_MAX_SECTIONS: Final = 64
MAX_SECTION_BYTES: Final = 256 * 1024 * 1024
"""Of all sections together. Real images ask for less than 16 MiB."""


class SectionKind(enum.IntEnum):
    """What the hypervisor is to put into a section."""

    SEC_MEMORY = 1
    SECRETS = 2
    CPUID = 3
    SVSM_CALLING_AREA = 4
    KERNEL_HASHES = 0x10


_ONE_PAGE: Final = {SectionKind.SECRETS, SectionKind.CPUID, SectionKind.KERNEL_HASHES}


class SevSection(NamedTuple):
    """Memory that is part of the launch. `address` and `size` are multiples of 4,096, in bytes."""

    address: int
    size: int
    kind: SectionKind


class SevMetadata(NamedTuple):
    """The parts of an image that decide its launch digest. Trust: unauthenticated.

    Attributes:
        sections: in the order in which the hypervisor adds them. None overlaps another, or the image itself.
        reset_address: where CPUs other than the first begin.
        hash_table_address: where the firmware looks for the kernel's hashes, within a section KERNEL_HASHES;
            ``None`` where it does not check a kernel.
    """

    sections: tuple[SevSection, ...]
    reset_address: int
    hash_table_address: int | None


def parse_sev_metadata(image: bytes) -> SevMetadata:
    """Read what an OVMF image says for SEV-SNP.

    Raises:
        MalformedError: it does not follow its format, or sections are where they cannot be.
        UnsupportedError: it is not made for SEV-SNP, or asks for something that is not known here.
        LimitExceededError: more sections, or more memory, than firmware has.
    """
    table = parse_firmware_table(image)
    reset_address = read_reset_address(table)
    sections = _parse_sections(image, table.read_word(_METADATA, "metadata of SEV"))
    _check_places(sections, FOUR_GIB - len(image))
    return SevMetadata(
        sections=sections, reset_address=reset_address, hash_table_address=_find_hash_table(table, sections)
    )


def read_reset_address(table: FirmwareTable) -> int:
    """Return where CPUs other than the first begin, 32 bits.

    Raises:
        UnsupportedError: the image is not made for SEV-ES.
        MalformedError: it says that they begin nowhere.
    """
    address = table.read_word(_RESET_BLOCK, "reset block of SEV-ES")
    if not address:
        raise MalformedError("the firmware's reset block of SEV-ES has the address 0")
    return address


def _parse_sections(image: bytes, from_end: int) -> tuple[SevSection, ...]:
    start = len(image) - from_end
    if not _HEADER.size <= from_end <= len(image):
        raise MalformedError(f"the metadata of SEV is {from_end} bytes before the end of {len(image)} bytes")
    signature, size, version, count = _HEADER.unpack_from(image, start)
    if signature != _SIGNATURE:
        raise MalformedError(f"the metadata of SEV begins with {signature!r}, expected {_SIGNATURE!r}")
    if version != _VERSION:
        raise UnsupportedError(f"the metadata of SEV is of version {version}, known is {_VERSION}")
    if count > _MAX_SECTIONS:
        raise LimitExceededError(f"the metadata of SEV has {count} sections, the limit is {_MAX_SECTIONS}")
    if size != _HEADER.size + count * _SECTION.size or size > from_end:
        raise MalformedError(f"the metadata of SEV says that it has {size} bytes for {count} sections")
    return tuple(_check_section(*fields) for fields in _SECTION.iter_unpack(image[start + _HEADER.size : start + size]))


def _check_section(address: int, size: int, kind: int) -> SevSection:
    if kind not in set(SectionKind):
        raise UnsupportedError(f"a section of SEV is of kind {kind:#x}, which is not known")
    section = SevSection(address=address, size=size, kind=SectionKind(kind))
    if not size or address % PAGE_BYTES or size % PAGE_BYTES:
        raise MalformedError(f"a section of SEV at {address:#x} has {size:#x} bytes, expected whole pages")
    if section.kind in _ONE_PAGE and size != PAGE_BYTES:
        raise UnsupportedError(f"the section {section.kind.name} of SEV has {size} bytes, expected one page")
    return section


def _check_places(sections: tuple[SevSection, ...], image_address: int) -> None:
    """A page is added to a guest once: sections that overlap cannot be launched."""
    if (total := sum(section.size for section in sections)) > MAX_SECTION_BYTES:
        raise LimitExceededError(f"the sections of SEV have {total} bytes, the limit is {MAX_SECTION_BYTES}")
    free_from = 0
    for section in sorted(sections):
        if section.address < free_from or section.address + section.size > image_address:
            raise MalformedError(f"the section of SEV at {section.address:#x} overlaps another, or the firmware")
        free_from = section.address + section.size


def _find_hash_table(table: FirmwareTable, sections: tuple[SevSection, ...]) -> int | None:
    """Find the table's address, which has to be in the one section that is kept for it."""
    pages = [section.address for section in sections if section.kind is SectionKind.KERNEL_HASHES]
    if not pages:
        return None
    address = table.read_word(HASH_TABLE, "place of the kernel's hashes")
    if pages != [address - address % PAGE_BYTES]:
        raise MalformedError(f"the kernel's hashes are looked for at {address:#x}, which is not in their one section")
    return address
