"""The metadata that Intel's SDK puts into an enclave image: its signature, and how its pages are laid out.

Facts: intel/linux-sgx, common/inc/internal/metadata.h and psw/urts/loader.cpp, from SDK 1.6 to 2.26. The structure has
stayed the same up to the data behind it: where ELRANGE stands, releases without it have the first bytes of that data.
"""

import struct
from dataclasses import dataclass
from typing import Final, NamedTuple

from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError
from verdictd.enclave.sgx_sign_dump import METADATA_FIELDS
from verdictd.enclave.sigstruct import SIGSTRUCT_BYTES

MAGIC: Final = 0x86A80294635D0E4C
ELRANGE_GAP: Final = 10
"""What is added to a major version where ELRANGE is set."""

_HEADER: Final = struct.Struct("<QQIIIIIIQQQ")
_DIRECTORIES_AT: Final = _HEADER.size + SIGSTRUCT_BYTES
_DIRECTORY: Final = struct.Struct("<II")
_ENTRY: Final = struct.Struct("<HHIQIIQ")
_GROUP: Final = struct.Struct("<HHIQ16x")
_PATCH: Final = struct.Struct("<QII16x")
_ELRANGE: Final = struct.Struct("<QQQ")
_EXTENSION: Final = struct.Struct("<IIII")
_PATCHES, _LAYOUT, _ELRANGE_DIRECTORY, _EXTENSIONS = range(4)
_MIN_BYTES: Final = _DIRECTORIES_AT + 2 * _DIRECTORY.size
_GROUP_FLAG: Final = 1 << 12
_SHARED_OBJECT: Final = 0x1002
_MAJORS: Final = {1, 2, 3}
_EXTENDED_SINCE: Final = {1: 5, 3: 2}
"""The minor version from which a major one has extensions; version 2 never has."""
_MAX_METADATA: Final = 16
_SSA_FRAME_PAGES: Final = range(1, 5)


class LayoutEntry(NamedTuple):
    """Pages that are added beside the segments. `content_at` is 0 where each word of them is `content_bytes`."""

    kind: int
    attributes: int
    pages: int
    address: int
    content_bytes: int
    content_at: int
    flags: int


class LayoutGroup(NamedTuple):
    """The entries before it, so many, are added again so many times, each time so much further on."""

    entries: int
    times: int
    step: int


class Patch(NamedTuple):
    """Bytes of the metadata that replace bytes of the file before it is loaded."""

    target: int
    source: int
    size: int


class ElRange(NamedTuple):
    """The range of addresses that an enclave is given, and where in it the image is."""

    image_address: int
    start: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkMetadata:
    """One metadata, parsed; untrusted. `data` is all of it; offsets in the other members are into it.

    Attributes:
        major: its version, without what says that ELRANGE is set.
        minor: the same.
        fields: the values of `METADATA_FIELDS`.
        sigstruct: 1,808 bytes.
        layout: in the order of the file.
        patches: in the order of the file.
        el_range: where it is set.
        unsupported: what it asks of a loader that cannot be measured here; else empty.
    """

    data: bytes
    major: int
    minor: int
    fields: dict[str, int]
    sigstruct: bytes
    layout: tuple[LayoutEntry | LayoutGroup, ...]
    patches: tuple[Patch, ...]
    el_range: ElRange | None
    unsupported: str

    @property
    def version(self) -> str:
        """The version, for a person."""
        return f"{self.major}.{self.minor}{' with ELRANGE' if self.el_range is not None else ''}"

    def take(self, offset: int, size: int, what: str) -> bytes:
        """Return a part of it, or raise MalformedError."""
        if offset + size > len(self.data):
            raise MalformedError(f"{what} is at {offset} to {offset + size} of metadata of {len(self.data)} bytes")
        return self.data[offset : offset + size]


def parse_all_metadata(block: bytes) -> tuple[SdkMetadata, ...]:
    """Read the metadata in a block, and what follows it for loaders of other versions.

    Returns:
        As they stand there, the first one first. Empty for a block of zeros: an enclave that was not signed yet.
    Raises:
        MalformedError: it does not follow the format.
        UnsupportedError: a version that is not known.
        LimitExceededError: more than an enclave has.
    """
    if not any(block):
        return ()
    found: list[SdkMetadata] = []
    start = 0
    while start + _MIN_BYTES <= len(block) and (not found or block.startswith(struct.pack("<Q", MAGIC), start)):
        if len(found) == _MAX_METADATA:
            raise LimitExceededError(f"there are more than {_MAX_METADATA} sets of metadata")
        size = _find_size(block, start)
        found.append(_parse(block[start : start + size]))
        start += size
    if not found:
        raise MalformedError(f"metadata has {_MIN_BYTES} bytes and more, there are {len(block)}")
    return tuple(found)


def _find_size(block: bytes, start: int) -> int:
    magic, _, size, *_ = _HEADER.unpack_from(block, start)
    if magic != MAGIC:
        raise MalformedError(f"metadata begins with {MAGIC:#x}, here is {magic:#x}")
    if not _MIN_BYTES <= size <= len(block) - start:
        raise MalformedError(f"metadata says that it is {size} bytes long, there are {len(block) - start}")
    return int(size)


def _parse(data: bytes) -> SdkMetadata:
    values = _HEADER.unpack_from(data)
    fields = dict(zip(METADATA_FIELDS, (*values[:7], *values[8:]), strict=True))
    major, minor = fields["version"] >> 32, fields["version"] & 0xFFFFFFFF
    has_el_range = major > ELRANGE_GAP
    major -= ELRANGE_GAP if has_el_range else 0
    if major not in _MAJORS:
        raise UnsupportedError(f"the metadata is of version {major}.{minor}, known are 1, 2 and 3")
    _check_fields(fields)
    is_extended = major in _EXTENDED_SINCE and minor >= _EXTENDED_SINCE[major]
    return SdkMetadata(
        data=data,
        major=major,
        minor=minor,
        fields=fields,
        sigstruct=data[_HEADER.size : _DIRECTORIES_AT],
        layout=_parse_layout(_take_table(data, _LAYOUT, _ENTRY.size)),
        patches=tuple(Patch._make(each) for each in _PATCH.iter_unpack(_take_table(data, _PATCHES, _PATCH.size))),
        el_range=_parse_el_range(data, fields["enclave_size"]) if has_el_range else None,
        unsupported=_find_unsupported(data) if is_extended else "",
    )


def _check_fields(fields: dict[str, int]) -> None:
    size = fields["enclave_size"]
    if size < 4096 or size & (size - 1):
        raise MalformedError(f"the enclave's size is {size:#x}, expected a power of two and a page at least")
    if fields["ssa_frame_size"] not in _SSA_FRAME_PAGES:
        raise MalformedError(f"an SSA frame has {fields['ssa_frame_size']} pages, expected 1 to 4")


def _take_table(data: bytes, directory: int, entry_bytes: int) -> bytes:
    at = _DIRECTORIES_AT + directory * _DIRECTORY.size
    if at + _DIRECTORY.size > len(data):
        return b""
    offset, size = _DIRECTORY.unpack_from(data, at)
    if offset + size > len(data):
        raise MalformedError(f"a table is at {offset} to {offset + size} of metadata of {len(data)} bytes")
    if size % entry_bytes:
        raise MalformedError(f"a table has {size} bytes, its entries {entry_bytes} each")
    return data[offset : offset + size]


def _parse_layout(table: bytes) -> tuple[LayoutEntry | LayoutGroup, ...]:
    layout: list[LayoutEntry | LayoutGroup] = []
    for index in range(0, len(table), _ENTRY.size):
        entry = LayoutEntry._make(_ENTRY.unpack_from(table, index))
        if not entry.kind & _GROUP_FLAG:
            layout.append(entry)
            continue
        _, entries, times, step = _GROUP.unpack_from(table, index)
        group = LayoutGroup(entries=entries, times=times, step=step)
        if entries > len(layout) or any(isinstance(each, LayoutGroup) for each in layout[len(layout) - entries :]):
            raise MalformedError(f"a group repeats {entries} entries before it, which are not there")
        layout.append(group)
    return tuple(layout)


def _parse_el_range(data: bytes, enclave_size: int) -> ElRange:
    table = _take_table(data, _ELRANGE_DIRECTORY, 1)
    if len(table) != _ELRANGE.size:
        raise MalformedError(f"ELRANGE has {len(table)} bytes, expected {_ELRANGE.size}")
    el_range = ElRange._make(_ELRANGE.unpack(table))
    image, start, size = el_range
    is_aligned = size and not size & (size - 1) and not start & (size - 1) and not (image | start | size) % 4096
    if not is_aligned or not start <= image < image + enclave_size <= start + size < 1 << 64:
        raise MalformedError(f"ELRANGE {start:#x} of {size:#x} bytes cannot have the image at {image:#x}")
    return el_range


def _find_unsupported(data: bytes) -> str:
    table = _take_table(data, _EXTENSIONS, 1)
    for index in range(0, len(table) - _EXTENSION.size + 1, _EXTENSION.size):
        kind, size, offset, _ = _EXTENSION.unpack_from(table, index)
        if kind == _SHARED_OBJECT and size and offset:
            return "a second shared object is part of the image (the SDK's FIPS provider)"
    return ""
