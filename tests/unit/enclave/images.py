"""Enclave images of many layouts, and what they measure as: written from the manuals, page by page and slowly."""

import hashlib
import struct
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import rsa

from tests.unit.enclave.signing import sign

PAGE = 4096
R, W, X, REG, TCS = 1, 2, 4, 0x200, 0x100
PF_X, PF_W, PF_R = 1, 2, 4
EADD, EEXTEND, POST_ADD = 1, 2, 8
HEAP_MIN, TCS_ID, TD, SSA, STACK, GUARD = 1, 4, 5, 6, 8, 10

Pages = list[tuple[int, int, bytes | None]]
"""Offset, SECINFO flags, and content, or ``None`` where that is not measured."""


@dataclass
class Segment:
    """A segment of the ELF file."""

    address: int
    flags: int
    content: bytes
    memory: int = 0


@dataclass
class Entry:
    """An entry of the layout table. `content` goes into the metadata; `word` fills the page where there is none."""

    address: int
    pages: int
    flags: int = R | W | REG
    attributes: int = EADD | EEXTEND
    kind: int = STACK
    word: int = 0
    content: bytes = b""


@dataclass
class Group:
    """Repeat the entries before it."""

    entries: int
    times: int
    step: int


@dataclass
class Patch:
    """Replace bytes of a segment's content, counted from its start."""

    segment: int
    at: int
    content: bytes


@dataclass
class Enclave:
    """What an author builds."""

    segments: list[Segment] = field(default_factory=list)
    layout: list[Entry | Group] = field(default_factory=list)
    patches: list[Patch] = field(default_factory=list)
    relocations: list[int] = field(default_factory=list)
    has_text_relocations: bool = False
    el_range: tuple[int, int, int] | None = None
    version: tuple[int, int] = (2, 4)
    size: int = 0x100000
    ssa_frame_pages: int = 1
    further_versions: list[tuple[int, int]] = field(default_factory=list)
    extensions: bytes = b""


def typical() -> Enclave:
    """Code, constants and data with zeros behind them; a heap; two threads, as the SDK lays them out."""
    tcs = struct.pack("<QQQIIQQQQII", 0, 0, PAGE, 0, 2, 0x1234, 0, 0x3000, 0x4000, 0xFFF, 0xFFF)
    thread: list[Entry | Group] = [
        Entry(0x40000, 1, flags=0, attributes=0, kind=GUARD),
        Entry(0x41000, 2, word=0xCCCCCCCC),
        Entry(0x43000, 1, flags=0, attributes=0, kind=GUARD),
        Entry(0x44000, 1, flags=TCS, kind=TCS_ID, content=tcs),
        Entry(0x45000, 2, kind=SSA),
        Entry(0x47000, 1, kind=TD, content=b"global data" * 9),
    ]
    return Enclave(
        segments=[
            Segment(0, PF_R | PF_X, b"\x7fcode" * 1999),
            Segment(0x4010, PF_R, b"constants" * 100),
            Segment(0x6AC0, PF_R | PF_W, b"data" * 3000, memory=0x7000),
        ],
        layout=[Entry(0x20000, 16, attributes=EADD, kind=HEAP_MIN), *thread, Group(len(thread), 1, 0x10000)],
        patches=[Patch(0, 5, b"\0" * 12), Patch(2, 0x1FF0, b"patched across a page's end")],
    )


def measure(enclave: Enclave) -> bytes:
    """What the CPU would measure."""
    size, shift = enclave.size, 0
    if enclave.el_range is not None:
        image, start, size = enclave.el_range
        shift = image - start
    digest = hashlib.sha256(b"ECREATE\0" + struct.pack("<IQ", enclave.ssa_frame_pages, size) + bytes(44))
    for offset, flags, content in pages(enclave):
        digest.update(b"EADD\0\0\0\0" + struct.pack("<QQ", offset + shift, flags) + bytes(40))
        for at in range(0, PAGE if content is not None else 0, 256):
            assert content is not None
            digest.update(b"EEXTEND\0" + struct.pack("<Q", offset + shift + at) + bytes(48))
            digest.update(content[at : at + 256])
    return digest.digest()


def pages(enclave: Enclave) -> Pages:
    """All pages that are added, in order."""
    listed: Pages = []
    for index, segment in enumerate(enclave.segments):
        listed += _segment_pages(enclave, index, segment)
    for address, entry in expand(enclave.layout):
        listed += _entry_pages(address, entry)
    return listed


def expand(layout: list[Entry | Group]) -> list[tuple[int, Entry]]:
    """The entries with the groups repeated."""
    entries: list[tuple[int, Entry]] = []
    for index, item in enumerate(layout):
        if isinstance(item, Entry):
            entries.append((item.address, item))
            continue
        for turn in range(1, item.times + 1):
            repeated = [each for each in layout[index - item.entries : index] if isinstance(each, Entry)]
            entries += [(each.address + turn * item.step, each) for each in repeated]
    return entries


def _segment_pages(enclave: Enclave, index: int, segment: Segment) -> Pages:
    if not segment.content and not segment.memory:
        return []
    content = bytearray(segment.content)
    for patch in enclave.patches:
        if patch.segment == index:
            content[patch.at : patch.at + len(patch.content)] = patch.content
    first = segment.address // PAGE * PAGE
    end = segment.address + max(segment.memory, len(content))
    memory = bytearray((-(-end // PAGE) * PAGE) - first)
    memory[segment.address - first : segment.address - first + len(content)] = content
    flags = REG | (R if segment.flags & PF_R else 0) | (W if segment.flags & PF_W else 0)
    flags |= X if segment.flags & PF_X else 0
    listed: Pages = []
    for at in range(0, len(memory), PAGE):
        page = first + at
        has_content = bool(content) and page < segment.address + len(content)
        touched = enclave.has_text_relocations and any(page - 8 < each < page + PAGE for each in enclave.relocations)
        listed.append((page, flags | W if touched and has_content else flags, bytes(memory[at : at + PAGE])))
    return listed


def _entry_pages(address: int, entry: Entry) -> Pages:
    if not entry.attributes & EADD or (entry.flags == 0 and not entry.content):
        return []
    if entry.flags == TCS:
        page = bytearray(entry.content.ljust(PAGE, b"\0"))
        for at in (16, 48, 56):
            page[at : at + 8] = struct.pack("<Q", struct.unpack_from("<Q", page, at)[0] + address)
        return [(address, entry.flags, bytes(page) if entry.attributes & EEXTEND else None)]
    content = entry.content.ljust(entry.pages * PAGE, b"\0")
    if not entry.content:
        content = struct.pack("<I", entry.word) * (entry.pages * PAGE // 4)
    is_measured = entry.attributes & EEXTEND or entry.content
    return [
        (address + at, entry.flags, content[at : at + PAGE] if is_measured else None)
        for at in range(0, entry.pages * PAGE, PAGE)
    ]


def build(enclave: Enclave, fields: dict[str, bytes] | None = None, key: rsa.RSAPrivateKey | None = None) -> bytes:
    """Build and sign an image; `fields` replace those of its SIGSTRUCT."""
    sigstruct = sign({"mr_enclave": measure(enclave), **(fields or {})}, key)
    return assemble(enclave, sigstruct)


def assemble(enclave: Enclave, sigstruct: bytes) -> bytes:
    """Write the ELF file: segments page by page, relocations, metadata, and the tables."""
    file = bytearray(PAGE)
    offsets = []
    for segment in enclave.segments:
        file += bytes(-len(file) % PAGE + segment.address % PAGE)
        offsets.append(len(file))
        file += segment.content
    programs = [
        (1, segment.flags, offset, segment.address, len(segment.content), max(segment.memory, len(segment.content)))
        for segment, offset in zip(enclave.segments, offsets, strict=True)
    ]
    sections: list[tuple[bytes, int, int, int]] = [(b"", 0, 0, 0)]
    if enclave.relocations:
        sections.append((b".rela.dyn", 0x770000, len(file), 24 * len(enclave.relocations)))
        file += b"".join(struct.pack("<QQq", address, 8, 0) for address in enclave.relocations)
        dynamic = [(7, 0x770000), (8, 24 * len(enclave.relocations)), (9, 24)]
        dynamic += [(22, 0)] if enclave.has_text_relocations else []
        programs.append((2, 6, len(file), 0x780000, 16 * (len(dynamic) + 1), 16 * (len(dynamic) + 1)))
        file += b"".join(struct.pack("<qQ", *each) for each in (*dynamic, (0, 0)))
    metadata = b"".join(
        build_metadata(enclave, version, offsets, sigstruct) for version in (enclave.version, *enclave.further_versions)
    )
    note = struct.pack("<III", 13, len(metadata), 0) + b"sgx_metadata\0" + metadata
    sections.append((b".note.sgxmeta", 0, len(file) + 1, len(note)))  # at an odd place, as any is
    file += b"\0" + note
    return bytes(_finish(file, programs, sections))


def build_metadata(enclave: Enclave, version: tuple[int, int], offsets: list[int], sigstruct: bytes) -> bytes:
    """Write a metadata structure."""
    data = bytearray()
    start = 1872 + 32

    def put(content: bytes) -> int:
        data.extend(content)
        return start + len(data) - len(content)

    layout = b""
    for item in enclave.layout:
        if isinstance(item, Group):
            layout += struct.pack("<HHIQ16x", 0x1009, item.entries, item.times, item.step)
            continue
        at = put(item.content) if item.content else 0
        size = len(item.content) if item.content else item.word
        layout += struct.pack("<HHIQIIQ", item.kind, item.attributes, item.pages, item.address, size, at, item.flags)
    patches = b"".join(
        struct.pack("<QII16x", offsets[patch.segment] + patch.at, put(patch.content), len(patch.content))
        for patch in enclave.patches
    )
    directories = [(put(patches), len(patches)), (put(layout), len(layout)), (0, 0), (0, 0)]
    major, minor = version
    if enclave.el_range is not None:
        directories[2] = (put(struct.pack("<QQQ", *enclave.el_range)), 24)
        major += 10
    if enclave.extensions:
        directories[3] = (put(enclave.extensions), len(enclave.extensions))
    header = struct.pack(
        "<QQIIIIIIQQQ",
        0x86A80294635D0E4C,
        major << 32 | minor,
        start + len(data),
        1,
        enclave.ssa_frame_pages,
        2632,
        0,
        0,
        enclave.size,
        4,
        3,
    )
    return header + sigstruct + b"".join(struct.pack("<II", *each) for each in directories) + bytes(data)


def _finish(
    file: bytearray, programs: list[tuple[int, int, int, int, int, int]], sections: list[tuple[bytes, int, int, int]]
) -> bytearray:
    names = bytearray(b"\0")
    rows = []
    for name, address, offset, size in sections:
        rows.append((len(names) if name else 0, 7 if name else 0, 0, address, offset, size, 0, 0, 1, 0))
        names += name + b"\0" if name else b""
    rows.append((0, 3, 0, 0, len(file), len(names), 0, 0, 1, 0))
    file += names
    sections_at = len(file)
    file += b"".join(struct.pack("<IIQQQQIIQQ", *row) for row in rows)
    programs_at = len(file)
    for kind, flags, offset, address, in_file, in_memory in programs:
        file += struct.pack("<IIQQQQQQ", kind, flags, offset, address, address, in_file, in_memory, PAGE)
    struct.pack_into(
        "<16sHHIQQQIHHHHHH",
        file,
        0,
        b"\x7fELF\x02\x01\x01" + bytes(9),
        3,
        62,
        1,
        0,
        programs_at,
        sections_at,
        0,
        64,
        56,
        len(programs),
        64,
        len(rows),
        len(rows) - 1,
    )
    return file
