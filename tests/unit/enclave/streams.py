"""Builds .sgxs streams block by block."""

import struct

PAGE = 4096


def create(size: int = 0x40000, ssa_frame_pages: int = 1) -> bytes:
    return b"ECREATE\0" + struct.pack("<IQ", ssa_frame_pages, size) + bytes(44)


def add(offset: int, flags: int = 0x203) -> bytes:
    return b"EADD\0\0\0\0" + struct.pack("<QQ", offset, flags) + bytes(40)


def extend(offset: int, content: bytes = b"c" * 256) -> bytes:
    return b"EEXTEND\0" + struct.pack("<Q", offset) + bytes(48) + content


def unmeasured(offset: int, content: bytes = b"u" * 256) -> bytes:
    return b"UNMEASRD" + struct.pack("<Q", offset) + bytes(48) + content


def page(offset: int, flags: int = 0x203, content: bytes = b"p" * PAGE) -> bytes:
    """A page that is measured whole."""
    chunks = (extend(offset + at, content[at : at + 256]) for at in range(0, PAGE, 256))
    return add(offset, flags) + b"".join(chunks)


def typical() -> bytes:
    """Whole pages, one that is measured in part, one that is not at all, a TCS."""
    partly = add(0x3000) + extend(0x3100) + unmeasured(0x3000) + extend(0x3F00)
    return create() + page(0) + page(0x1000, 0x205, b"q" * PAGE) + partly + add(0x5000) + page(0x8000, 0x100)
