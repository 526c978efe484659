"""What an OVMF image made for Intel TDX says of itself: which of its parts, and which memory, a TD is built from.

Spec:
    Intel TDX Virtual Firmware Design Guide (344991): the metadata of an image.
    QEMU, hw/i386/tdvf.c: the kinds of sections that it builds a TD from.
"""

import enum
import struct
from typing import Final, NamedTuple
from uuid import UUID

from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError
from verdictd.guest_images.firmware_table import FOUR_GIB, PAGE_BYTES, parse_firmware_table

_METADATA: Final = UUID("e47a6535-984a-4798-865e-4685a7bf8ec2")
_DESCRIPTOR: Final = struct.Struct("<4sIII")
_SECTION: Final = struct.Struct("<IIQQII")
_SIGNATURE: Final = b"TDVF"
_VERSION: Final = 1
_MAX_SECTIONS: Final = 64
_MR_EXTEND: Final = 1
MAX_TD_SECTION_BYTES: Final = 256 * 1024 * 1024
"""Of all sections together. Real images ask for less than 16 MiB."""


class TdSectionKind(enum.IntEnum):
    """What a section is for."""

    BOOT_FIRMWARE = 0
    CONFIGURATION = 1
    TD_HOB = 2
    TEMPORARY_MEMORY = 3


_FROM_IMAGE: Final = {TdSectionKind.BOOT_FIRMWARE, TdSectionKind.CONFIGURATION}


class TdSection(NamedTuple):
    """Memory that a TD is built with.

    Attributes:
        address: of its first page in the guest, a multiple of 4,096.
        size: in bytes, a multiple of 4,096.
        kind: what it is for.
        data: what is copied there from the image; the rest is zero.
        is_measured: whether what it holds is part of MRTD; that it is there always is.
    """

    address: int
    size: int
    kind: TdSectionKind
    data: bytes
    is_measured: bool


class _Fields(NamedTuple):
    """A section as the metadata has it."""

    offset: int
    data_bytes: int
    address: int
    size: int
    kind: int
    attributes: int


def parse_tdvf_sections(image: bytes) -> tuple[TdSection, ...]:
    """Read the sections of an image, in the order in which a TD is built from them.

    Args:
        image: all of it, code and variables: one without the variables says of itself what is not true.
    Returns:
        Sections that do not overlap. One of them is TD_HOB.
    Raises:
        MalformedError: the metadata does not follow its format, or sections are where they cannot be.
        UnsupportedError: the image is not made for TDX, or asks for something that is not known here.
        LimitExceededError: more sections, or more memory, than firmware has.
    """
    from_end = parse_firmware_table(image).read_word(_METADATA, "metadata of TDX")
    start = len(image) - from_end
    if not _DESCRIPTOR.size <= from_end <= len(image):
        raise MalformedError(f"the metadata of TDX is {from_end} bytes before the end of {len(image)} bytes")
    signature, size, version, count = _DESCRIPTOR.unpack_from(image, start)
    if signature != _SIGNATURE:
        raise MalformedError(f"the metadata of TDX begins with {signature!r}, expected {_SIGNATURE!r}")
    if version != _VERSION:
        raise UnsupportedError(f"the metadata of TDX is of version {version}, known is {_VERSION}")
    if count > _MAX_SECTIONS:
        raise LimitExceededError(f"the metadata of TDX has {count} sections, the limit is {_MAX_SECTIONS}")
    if size != _DESCRIPTOR.size + count * _SECTION.size or size > from_end:
        raise MalformedError(f"the metadata of TDX says that it has {size} bytes for {count} sections")
    sections = tuple(
        _parse_section(image, _Fields._make(fields))
        for fields in _SECTION.iter_unpack(image[start + _DESCRIPTOR.size : start + size])
    )
    _check_sections(sections)
    return sections


def _parse_section(image: bytes, fields: _Fields) -> TdSection:
    if fields.kind not in set(TdSectionKind):
        raise UnsupportedError(f"a section of TDX is of kind {fields.kind}, which is not known")
    if fields.attributes & ~_MR_EXTEND:
        raise UnsupportedError(
            f"a section of TDX has the attributes {fields.attributes:#x}, only {_MR_EXTEND} is known"
        )
    if not fields.size or fields.address % PAGE_BYTES or fields.size % PAGE_BYTES:
        raise MalformedError(
            f"a section of TDX at {fields.address:#x} has {fields.size:#x} bytes, expected whole pages"
        )
    kind, is_measured = TdSectionKind(fields.kind), bool(fields.attributes & _MR_EXTEND)
    if kind in _FROM_IMAGE:
        _check_place(image, fields)
    elif fields.data_bytes:
        raise MalformedError(
            f"the section {kind.name} of TDX has {fields.data_bytes} bytes of the image, expected none"
        )
    elif is_measured:
        raise UnsupportedError(f"the section {kind.name} of TDX is measured with what the hypervisor puts there")
    data = image[fields.offset : fields.offset + fields.data_bytes]
    return TdSection(address=fields.address, size=fields.size, kind=kind, data=data, is_measured=is_measured)


def _check_place(image: bytes, fields: _Fields) -> None:
    """Check that what is copied is in the image, and that it comes to where the image itself is mapped."""
    if not 0 < fields.data_bytes <= fields.size or fields.offset + fields.data_bytes > len(image):
        raise MalformedError(
            f"a section of TDX has {fields.data_bytes} bytes at {fields.offset} of {len(image)}, for {fields.size}"
        )
    expected = FOUR_GIB - len(image) + fields.offset
    if fields.address != expected:
        raise MalformedError(
            f"a section of TDX is at {fields.address:#x}, its part of the image at {expected:#x}",
            remedy="give the complete image, code and variables in one file",
        )


def _check_sections(sections: tuple[TdSection, ...]) -> None:
    """A page is added to a TD once: sections that overlap cannot be built."""
    if (total := sum(section.size for section in sections)) > MAX_TD_SECTION_BYTES:
        raise LimitExceededError(f"the sections of TDX have {total} bytes, the limit is {MAX_TD_SECTION_BYTES}")
    free_from = 0
    for section in sorted(sections):
        if section.address < free_from or section.address + section.size > FOUR_GIB:
            raise MalformedError(f"the section of TDX at {section.address:#x} overlaps another, or the end of 4 GiB")
        free_from = section.address + section.size
    if (hobs := sum(section.kind is TdSectionKind.TD_HOB for section in sections)) != 1:
        raise MalformedError(f"the metadata of TDX has {hobs} sections TD_HOB, expected one")
    if not any(section.kind is TdSectionKind.BOOT_FIRMWARE and section.is_measured for section in sections):
        raise MalformedError("the metadata of TDX has no section of firmware that is measured")
