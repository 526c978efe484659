"""The parts of an ELF file that decide what an enclave is measured as: segments, metadata, and what is relocated.

A reader of our own, of fixed structures alone: the general ones build tables of whatever a file claims to have.

Spec:
    System V ABI, chapters 4 and 5; its AMD64 supplement, 4.4, for relocations.
"""

import struct
from dataclasses import dataclass
from typing import Final, NamedTuple

from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError
from verdictd.enclave.file_reader import FileReader

_IDENT: Final = struct.Struct("<4sBBB9x")
_HEADER: Final = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT: Final = struct.Struct("<IIQQQQQQ")
_SECTION: Final = struct.Struct("<IIQQQQIIQQ")
_DYNAMIC: Final = struct.Struct("<qQ")
_RELOCATION: Final = struct.Struct("<QQq")
_NOTE: Final = struct.Struct("<III")

_CLASS_64, _LITTLE_ENDIAN, _TYPE_DYN, _MACHINE_X86_64 = 2, 1, 3, 62
_LOAD, _DYN_SEGMENT = 1, 2
_DT_NULL, _DT_PLTRELSZ, _DT_RELA, _DT_RELASZ, _DT_TEXTREL, _DT_JMPREL = 0, 2, 7, 8, 22, 23
_PAGE: Final = 4096
_WORD: Final = 8
_MAX_SEGMENTS: Final = 256
_MAX_SECTIONS: Final = 4096
_MAX_NAMES_BYTES: Final = 1024 * 1024
_MAX_DYNAMIC: Final = 4096
_MAX_RELOCATIONS_BYTES: Final = 16 * 1024 * 1024
_METADATA_SECTION: Final = b".note.sgxmeta"
_METADATA_NAME: Final = b"sgx_metadata\0"


class Segment(NamedTuple):
    """A segment that is loaded: its bytes in the file, its place in the enclave, and its PF_* flags."""

    flags: int
    file_offset: int
    address: int
    file_bytes: int
    memory_bytes: int


class _Section(NamedTuple):
    name: bytes
    address: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfImage:
    """What matters of an ELF file. Untrusted; all offsets and sizes are within the file.

    Attributes:
        segments: those that are loaded, in the order of the file.
        metadata_offset: where the enclave's metadata begins in the file; ``None`` where the file has no such section.
        metadata_bytes: how long it is.
        relocated_pages: numbers of the pages that a loader writes to although their segment may not be; empty unless
            the file says that there are such.
    """

    segments: tuple[Segment, ...]
    metadata_offset: int | None
    metadata_bytes: int
    relocated_pages: frozenset[int]


def parse_elf(file: FileReader) -> ElfImage:
    """Read the headers of an ELF file.

    Raises:
        MalformedError: a header is cut off, or points outside of the file.
        UnsupportedError: not a shared object for x86-64.
        LimitExceededError: more headers than an enclave has.
    """
    header = _read_header(file)
    program, sections_at, segment_size, segments, section_size, sections, names = (
        header[index] for index in (5, 6, 9, 10, 11, 12, 13)
    )
    _require_table("segments", segments, _MAX_SEGMENTS, segment_size, _SEGMENT.size)
    _require_table("sections", sections, _MAX_SECTIONS, section_size, _SECTION.size)
    table = file.read(program, segments * _SEGMENT.size, "the table of segments")
    found = [_SEGMENT.unpack_from(table, index * _SEGMENT.size) for index in range(segments)]
    loaded = tuple(
        Segment(flags=flags, file_offset=offset, address=address, file_bytes=in_file, memory_bytes=in_memory)
        for kind, flags, offset, address, _, in_file, in_memory, _ in found
        if kind == _LOAD
    )
    for segment in loaded:
        file.require(segment.file_offset, segment.file_bytes, "a segment")
        if segment.file_bytes > segment.memory_bytes:
            raise MalformedError(f"a segment has {segment.file_bytes} bytes for {segment.memory_bytes} in memory")
    named = _read_sections(file, sections_at, sections, names)
    metadata = next((section for section in named if section.name == _METADATA_SECTION), None)
    offset, size = (None, 0) if metadata is None else _find_metadata(file, metadata)
    dynamic = next(((each[2], each[5]) for each in found if each[0] == _DYN_SEGMENT), None)
    return ElfImage(
        segments=loaded,
        metadata_offset=offset,
        metadata_bytes=size,
        relocated_pages=frozenset() if dynamic is None else _find_relocated(file, dynamic, named),
    )


def _read_header(file: FileReader) -> tuple[int, ...]:
    magic, file_class, encoding, _ = _IDENT.unpack(file.read(0, _IDENT.size, "the ELF header"))
    if magic != b"\x7fELF":
        raise MalformedError("it is no ELF file")
    if (file_class, encoding) != (_CLASS_64, _LITTLE_ENDIAN):
        raise UnsupportedError("only ELF files of 64 bits, little-endian, are supported")
    header = _HEADER.unpack(file.read(0, _HEADER.size, "the ELF header"))
    if (header[1], header[2]) != (_TYPE_DYN, _MACHINE_X86_64):
        raise UnsupportedError(
            f"an enclave is a shared object for x86-64, this is ELF type {header[1]} for machine {header[2]}"
        )
    return header


def _require_table(what: str, count: int, limit: int, size: int, expected: int) -> None:
    if count > limit:
        raise LimitExceededError(f"the file has {count} {what}, the limit is {limit}")
    if count and size != expected:
        raise MalformedError(f"the headers of {what} are {size} bytes long, expected {expected}")


def _read_sections(file: FileReader, offset: int, count: int, names_index: int) -> list[_Section]:
    table = file.read(offset, count * _SECTION.size, "the table of sections")
    headers = [_SECTION.unpack_from(table, index * _SECTION.size) for index in range(count)]
    if names_index >= count:
        return []
    _, _, _, _, names_at, names_bytes, *_ = headers[names_index]
    if names_bytes > _MAX_NAMES_BYTES:
        raise LimitExceededError(f"the names of the sections have {names_bytes} bytes, the limit is {_MAX_NAMES_BYTES}")
    names = file.read(names_at, names_bytes, "the names of the sections")
    return [
        _Section(_cut_name(names, header[0]), address=header[3], offset=header[4], size=header[5]) for header in headers
    ]


def _cut_name(names: bytes, start: int) -> bytes:
    """No name that is looked for is longer than 32 bytes."""
    return names[start : start + 32].partition(b"\0")[0]


def _find_metadata(file: FileReader, section: _Section) -> tuple[int, int]:
    """Of the note's descriptor. It begins right after the name, which is not padded as it would be in other notes."""
    name_bytes, size, _ = _NOTE.unpack(file.read(section.offset, _NOTE.size, "the metadata's note"))
    start = _NOTE.size + len(_METADATA_NAME)
    if name_bytes != len(_METADATA_NAME) or start + size > section.size:
        raise MalformedError("the section .note.sgxmeta does not hold the note sgx_metadata")
    name = file.read(section.offset + _NOTE.size, len(_METADATA_NAME), "the metadata's note")
    if name != _METADATA_NAME:
        raise MalformedError(f"the section .note.sgxmeta holds the note {name!r}, expected sgx_metadata")
    file.require(section.offset + start, size, "the metadata")
    return section.offset + start, size


def _find_relocated(file: FileReader, dynamic: tuple[int, int], sections: list[_Section]) -> frozenset[int]:
    """Number the pages with relocations, where the file says that some are in segments that are not writable."""
    offset, size = dynamic
    count = min(size // _DYNAMIC.size, _MAX_DYNAMIC)
    table = file.read(offset, count * _DYNAMIC.size, "the dynamic section")
    values: dict[int, int] = {}
    for tag, value in _DYNAMIC.iter_unpack(table):
        if tag == _DT_NULL:
            break
        values[tag] = value
    pages: set[int] = set()
    if _DT_TEXTREL in values:
        for start, length in ((_DT_RELA, _DT_RELASZ), (_DT_JMPREL, _DT_PLTRELSZ)):
            if start in values:
                pages |= _find_pages(file, values[start], values.get(length, 0), sections)
    return frozenset(pages)


def _find_pages(file: FileReader, address: int, size: int, sections: list[_Section]) -> set[int]:
    section = next((each for each in sections if each.address == address), None)
    if section is None:
        raise MalformedError(f"no section is at {address:#x}, where its relocations should be")
    if size > _MAX_RELOCATIONS_BYTES:
        raise LimitExceededError(f"the relocations have {size} bytes, the limit is {_MAX_RELOCATIONS_BYTES}")
    table = file.read(section.offset, size - size % _RELOCATION.size, "the relocations")
    pages: set[int] = set()
    for place, info, _ in _RELOCATION.iter_unpack(table):
        if info & 0xFFFFFFFF:  # R_X86_64_NONE changes nothing
            pages.add(place // _PAGE)
            if place % _PAGE > _PAGE - _WORD:
                pages.add(place // _PAGE + 1)
    return pages
