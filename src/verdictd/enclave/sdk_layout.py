"""The pages of an enclave in the order in which the loader of Intel's SDK adds them.

Facts: intel/linux-sgx, psw/urts/loader.cpp. First come the segments of the image, then what the layout table lists:
heap, stacks, thread control, state save areas and guards, groups of them repeated for each thread.
"""

import struct
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from verdictd.core.errors import LimitExceededError, MalformedError
from verdictd.enclave.elf_image import ElfImage, Segment
from verdictd.enclave.measurement import BLOCK_BYTES, HASHED_A_PAGE, PAGE_BYTES
from verdictd.enclave.sdk_metadata import LayoutEntry, LayoutGroup, SdkMetadata

_MAX_ENTRIES: Final = 100_000
_MAX_CONTENT_BYTES: Final = 32 * 1024 * 1024
"""Of all entries together, each time they are repeated. A thread has 72 bytes, and one page at most of global data."""
_EADD, _EEXTEND = 1, 2
_READ, _WRITE, _EXECUTE, _REGULAR = 1, 2, 4, 0x200
_TCS: Final = 0x100
_SEGMENT_FLAGS: Final = ((4, _READ), (2, _WRITE), (1, _EXECUTE))
"""PF_R, PF_W and PF_X, and what each becomes in SECINFO."""
_TCS_ADDRESSES: Final = (16, 48, 56)
"""OSSA, OFSBASE and OGSBASE in a TCS: the template has them relative to the TCS itself."""
_TCS_ADDRESSES_END: Final = 64
_SDK_1_5: Final = (1, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRun:
    """Consecutive pages that are alike. One of `file_offset` and `content` says what is in them.

    Attributes:
        address: of the first, from the image's start.
        flags: SECINFO.FLAGS.
        pages: how many.
        file_offset: where their content stands in the patched file, page after page; else ``None``.
        content: what all of them hold, up to 4,096 bytes, the rest is zeros; ``None`` for pages that are not measured.
        is_repeated: whether the content stands in a page again and again instead, as often as it fits.
        file_bytes: of a page that has less than a page's bytes of the file, how many; `page_offset` says from where on.
        page_offset: see `file_bytes`.
    """

    address: int
    flags: int
    pages: int
    file_offset: int | None = None
    content: bytes | None = None
    is_repeated: bool = False
    file_bytes: int = PAGE_BYTES
    page_offset: int = 0

    @property
    def page(self) -> bytes:
        """What a page of them holds, where `content` says so. Made when it is wanted: there may be very many runs."""
        content = self.content or b""
        return content * (PAGE_BYTES // len(content)) if self.is_repeated else content.ljust(PAGE_BYTES, b"\0")

    @property
    def is_measured(self) -> bool:
        """Whether the content is measured (EEXTEND), or the pages are only added."""
        return self.file_offset is not None or self.content is not None

    @property
    def hashed_bytes(self) -> int:
        """What is hashed for them."""
        return self.pages * (HASHED_A_PAGE if self.is_measured else BLOCK_BYTES)

    def cut(self, first: int, pages: int) -> "PageRun":
        """Return a part: so many pages, or fewer at the end, from one of them on."""
        if first == 0 and pages >= self.pages:
            return self
        offset = first * PAGE_BYTES
        return replace(
            self,
            address=self.address + offset,
            pages=min(pages, self.pages - first),
            file_offset=None if self.file_offset is None else self.file_offset + offset,
        )


def plan_pages(image: ElfImage, metadata: SdkMetadata) -> tuple[PageRun, ...]:
    """List the pages of an enclave in the order in which they are added.

    Raises:
        MalformedError: pages outside of the enclave, or twice at one place.
        LimitExceededError: more entries, or more content in them, than an enclave has.
    """
    size = metadata.fields["enclave_size"]
    for segment in image.segments:
        if segment.address + segment.memory_bytes > size:
            raise MalformedError(f"a segment ends behind the enclave's {size:#x} bytes")
    _check_segments(image.segments)
    is_sdk_1_5 = (metadata.major, metadata.minor) == _SDK_1_5 and metadata.el_range is None
    runs = [*_plan_segments(image, is_sdk_1_5=is_sdk_1_5)]
    entries = _expand(metadata)
    _check_places(entries, size)
    if (held := sum(entry.content_bytes for _, entry in entries if entry.content_at)) > _MAX_CONTENT_BYTES:
        raise LimitExceededError(f"the layout holds {held} bytes of content, the limit is {_MAX_CONTENT_BYTES}")
    for address, entry in entries:
        runs += _plan_entry(address, entry, metadata)
    return tuple(runs)


def _check_segments(segments: Sequence[Segment]) -> None:
    """As the loader does, who rounds the end of each up to a page."""
    end = 0
    for segment in sorted(segments, key=lambda each: each.address):
        if not segment.memory_bytes:
            continue
        if segment.address < end:
            raise MalformedError(f"two segments are at {segment.address:#x}")
        end = _round(segment.address + segment.memory_bytes)


def _plan_segments(image: ElfImage, *, is_sdk_1_5: bool) -> Iterator[PageRun]:
    relocated = sorted(image.relocated_pages)
    highest: Segment | None = None
    for segment in image.segments:
        if is_sdk_1_5 and highest is not None:
            yield from _plan_extra_page(highest, before=_trim(segment.address))
        if highest is None or segment.address > highest.address:
            highest = segment if segment.address > 0 else highest
        yield from _plan_segment(segment, relocated)
    if is_sdk_1_5 and highest is not None:
        yield from _plan_extra_page(highest, before=None)


def _plan_extra_page(segment: Segment, *, before: int | None) -> Iterator[PageRun]:
    """Loaders of SDK 1.5 to 1.8 rounded the size of a segment that does not begin with a page once too often."""
    end = _round(segment.address + segment.memory_bytes)
    if end < _round(segment.address + _round(segment.memory_bytes)) and (before is None or end < before):
        yield PageRun(address=end, flags=_translate(segment.flags), pages=1, content=b"")


def _plan_segment(segment: Segment, relocated: Sequence[int]) -> Iterator[PageRun]:
    """Content of the file first, page by page where one is not whole, then zeros."""
    flags = _translate(segment.flags)
    done = 0
    while done < segment.file_bytes:
        address = segment.address + done
        left, inside = segment.file_bytes - done, address % PAGE_BYTES
        size = min(PAGE_BYTES - inside, left)
        if size == PAGE_BYTES:
            pages, is_written = _count_alike(address // PAGE_BYTES, left // PAGE_BYTES, relocated)
        else:
            pages, is_written = 1, _count_alike(address // PAGE_BYTES, 1, relocated)[1]
        yield PageRun(
            address=address - inside,
            flags=flags | _WRITE if is_written else flags,
            pages=pages,
            file_offset=segment.file_offset + done,
            file_bytes=size,
            page_offset=inside,
        )
        done += pages * PAGE_BYTES - inside
    if segment.memory_bytes > done:
        first = _trim(segment.address + done)
        end = segment.address + segment.memory_bytes
        yield PageRun(address=first, flags=flags, pages=(_round(end) - first) // PAGE_BYTES, content=b"")


def _count_alike(page: int, limit: int, relocated: Sequence[int]) -> tuple[int, bool]:
    """Count the pages from this one on that are all relocated, or all not, and say which."""
    at = bisect_left(relocated, page)
    if at == len(relocated) or relocated[at] != page:
        following = relocated[at] if at < len(relocated) else page + limit
        return min(limit, following - page), False
    count = 1
    while count < limit and at + count < len(relocated) and relocated[at + count] == page + count:
        count += 1
    return count, True


def _translate(segment_flags: int) -> int:
    flags = sum(ours for theirs, ours in _SEGMENT_FLAGS if segment_flags & theirs)
    if not flags:
        raise MalformedError("a segment may neither be read, written nor executed")
    return flags | _REGULAR


def _expand(metadata: SdkMetadata) -> list[tuple[int, LayoutEntry]]:
    """Repeat the groups; each entry with its address."""
    entries: list[tuple[int, LayoutEntry]] = []
    for index, item in enumerate(metadata.layout):
        if isinstance(item, LayoutEntry):
            entries.append((item.address, item))
            continue
        repeated = [each for each in metadata.layout[index - item.entries : index] if isinstance(each, LayoutEntry)]
        _check_group(item, len(entries), metadata.fields["enclave_size"])
        entries += [(each.address + turn * item.step, each) for turn in range(1, item.times + 1) for each in repeated]
    return entries


def _check_group(group: LayoutGroup, before: int, size: int) -> None:
    if before + group.times * max(group.entries, 1) > _MAX_ENTRIES:
        raise LimitExceededError(f"the layout has more than {_MAX_ENTRIES} entries")
    if group.times * group.step > size:
        raise MalformedError(f"a group of the layout ends behind the enclave's {size:#x} bytes")


def _check_places(entries: Sequence[tuple[int, LayoutEntry]], size: int) -> None:
    if len(entries) > _MAX_ENTRIES:
        raise LimitExceededError(f"the layout has more than {_MAX_ENTRIES} entries")
    end = 0
    for address, pages in sorted((address, entry.pages) for address, entry in entries):
        if address % PAGE_BYTES:
            raise MalformedError(f"an entry of the layout is at {address:#x}, which is no page's")
        if address < end:
            raise MalformedError(f"two entries of the layout are at {address:#x}")
        end = address + pages * PAGE_BYTES
    if end > size:
        raise MalformedError(f"an entry of the layout ends behind the enclave's {size:#x} bytes")


def _plan_entry(address: int, entry: LayoutEntry, metadata: SdkMetadata) -> Iterator[PageRun]:
    if not entry.attributes & _EADD or not entry.pages:
        return
    if entry.content_at:
        content = metadata.take(entry.content_at, entry.content_bytes, "content of the layout")
        if entry.flags != _TCS:
            yield from _plan_content(address, entry, content)
            return
        content = _complete_tcs(content, address)
    elif not entry.flags:  # guards are left out
        return
    else:
        content = struct.pack("<I", entry.content_bytes)
    yield PageRun(
        address=address,
        flags=entry.flags,
        pages=entry.pages,
        content=content if entry.attributes & _EEXTEND else None,
        is_repeated=not entry.content_at,
    )


def _plan_content(address: int, entry: LayoutEntry, content: bytes) -> Iterator[PageRun]:
    """Content of the metadata, then zeros; a loader measures these whatever the entry's attributes say."""
    used = -(-len(content) // PAGE_BYTES)
    if used > entry.pages:
        raise MalformedError(f"an entry of {entry.pages} pages has {len(content)} bytes of content")
    for page in range(used):
        part = content[page * PAGE_BYTES : (page + 1) * PAGE_BYTES]
        yield PageRun(address=address + page * PAGE_BYTES, flags=entry.flags, pages=1, content=part)
    if entry.pages > used:
        yield PageRun(address=address + used * PAGE_BYTES, flags=entry.flags, pages=entry.pages - used, content=b"")


def _complete_tcs(template: bytes, address: int) -> bytes:
    if len(template) > PAGE_BYTES:
        raise MalformedError(f"the template of a TCS has {len(template)} bytes, a page has {PAGE_BYTES}")
    tcs = bytearray(template.ljust(_TCS_ADDRESSES_END, b"\0"))
    for at in _TCS_ADDRESSES:
        (relative,) = struct.unpack_from("<Q", tcs, at)
        struct.pack_into("<Q", tcs, at, (relative + address) % (1 << 64))
    return bytes(tcs)


def _trim(address: int) -> int:
    return address - address % PAGE_BYTES


def _round(size: int) -> int:
    return -(-size // PAGE_BYTES) * PAGE_BYTES
