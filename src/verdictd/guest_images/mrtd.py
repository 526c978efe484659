"""MRTD: the digest that the TDX module keeps while a TD is built page by page, computed without a CPU that can.

Spec:
    Intel TDX Module Base Architecture Specification (348549), "MRTD: Build-Time Measurement Register"; its ABI
    Reference (348551), TDH.MEM.PAGE.ADD and TDH.MR.EXTEND: what each adds.
"""

import enum
import hashlib
import struct
from collections.abc import Iterator
from typing import Final

from verdictd.guest_images.firmware_table import PAGE_BYTES
from verdictd.guest_images.tdvf_metadata import TdSection, parse_tdvf_sections

_CHUNK_BYTES: Final = 256
_BLOCK: Final = struct.Struct("<16sQ104x")
_PAGE_ADD: Final = b"MEM.PAGE.ADD"
_EXTEND: Final = b"MR.EXTEND"


class PageOrder(enum.Enum):
    """In what order a host adds pages and measures what they hold. It is the host's kernel and QEMU that decide."""

    PAGE_BY_PAGE = "page-by-page"
    """Each page is added and measured before the next: Linux 6.16 and later."""
    SECTION_BY_SECTION = "section-by-section"
    """All pages of a section are added, then all are measured: QEMU 8 patched for TDX, on kernels patched for it."""


def calculate_mrtd(image: bytes, order: PageOrder = PageOrder.PAGE_BY_PAGE) -> bytes:
    """Compute MRTD of a TD that is started with this firmware.

    It depends on nothing else: not on CPUs, memory, devices, kernel or command line.

    Args:
        image: the OVMF image, all of it: code and variables.
        order: the host's.
    Returns:
        48 bytes.
    Raises:
        MalformedError: the image does not follow its format.
        UnsupportedError: it is not made for TDX, or asks for something that is not known here.
        LimitExceededError: more sections, or more memory, than firmware has.
    """
    digest = hashlib.sha384()
    for section in parse_tdvf_sections(image):
        pages = range(0, section.size, PAGE_BYTES)
        if order is PageOrder.PAGE_BY_PAGE:
            for page in pages:
                digest.update(_lay_out_add(section, page))
                digest.update(b"".join(_lay_out_content(section, page)))
            continue
        for page in pages:
            digest.update(_lay_out_add(section, page))
        for page in pages:
            digest.update(b"".join(_lay_out_content(section, page)))
    return digest.digest()


def _lay_out_add(section: TdSection, offset: int) -> bytes:
    return _BLOCK.pack(_PAGE_ADD, section.address + offset)


def _lay_out_content(section: TdSection, page: int) -> Iterator[bytes]:
    """Lay out what measures one page: nothing, or 16 blocks that are each followed by 256 bytes of it."""
    if section.is_measured:
        for offset in range(page, page + PAGE_BYTES, _CHUNK_BYTES):
            yield _BLOCK.pack(_EXTEND, section.address + offset)
            yield section.data[offset : offset + _CHUNK_BYTES].ljust(_CHUNK_BYTES, b"\0")
