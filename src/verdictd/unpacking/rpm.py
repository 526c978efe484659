"""RPM packages: two headers, and a compressed cpio archive behind them. Signatures of packages are not looked at.

Spec:
    RPM package file format, version 4: lead, signature, header, payload.
"""

import struct
from collections.abc import Iterator
from typing import Final

from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError
from verdictd.unpacking.cpio import Member, read_cpio
from verdictd.unpacking.decompression import DecompressedStream, find_compression
from verdictd.unpacking.limits import Budget
from verdictd.unpacking.streams import PeekedStream, Stream, read_whole, skip_all

MAGIC: Final = b"\xed\xab\xee\xdb"

_LEAD_BYTES: Final = 96
_HEADER: Final = struct.Struct(">4s4xII")
_HEADER_MAGIC: Final = b"\x8e\xad\xe8\x01"
_ENTRY: Final = struct.Struct(">IIII")
_ALIGNMENT: Final = 8
_STRING: Final = 6
_PAYLOAD_FORMAT, _PAYLOAD_COMPRESSOR = 1124, 1125
_PAYLOAD_TAGS: Final = (_PAYLOAD_FORMAT, _PAYLOAD_COMPRESSOR)
_MAGIC_BYTES: Final = 6


def read_rpm(stream: Stream, budget: Budget) -> Iterator[Member]:
    """Read the regular files of a package.

    Raises:
        MalformedError: it does not follow the format, or ends early.
        UnsupportedError: its payload is of another kind.
        LimitExceededError: it is larger than allowed.
    """
    read_whole(stream, _LEAD_BYTES, "the lead")
    _, signature_bytes = _read_header(stream, budget, "the signatures")
    read_whole(stream, -signature_bytes % _ALIGNMENT, "the signatures")
    tags, _ = _read_header(stream, budget, "the header")
    if (form := tags.get(_PAYLOAD_FORMAT, "cpio")) != "cpio":
        raise UnsupportedError(f"the package's payload is of the format {form!r:.40}, supported is cpio")
    peeked = PeekedStream(stream, _MAGIC_BYTES)
    if len(peeked.head) < _MAGIC_BYTES:
        raise MalformedError("it ends before its payload", remedy="fetch it anew: it was cut off")
    compression = find_compression(peeked.head)
    if compression is None and tags.get(_PAYLOAD_COMPRESSOR) == "lzma":
        compression = "lzma"
    if compression is None and not peeked.head.startswith(b"0707"):
        name = tags.get(_PAYLOAD_COMPRESSOR, "unknown")
        raise UnsupportedError(f"the package's payload is compressed by {name!r:.40}, which is not supported")
    payload = peeked if compression is None else DecompressedStream(peeked, compression, budget)
    yield from read_cpio(payload, budget)
    skip_all(payload)  # the checksum of what was compressed comes last


def _read_header(stream: Stream, budget: Budget, what: str) -> tuple[dict[int, str], int]:
    """Read a header: what it says of the payload, by tag, and how long what was read is."""
    magic, count, store_bytes = _HEADER.unpack(read_whole(stream, _HEADER.size, what))
    if magic != _HEADER_MAGIC:
        raise MalformedError(
            f"{what} of the package: the first bytes are {magic.hex()}, expected {_HEADER_MAGIC.hex()}"
        )
    size = count * _ENTRY.size + store_bytes
    if size > budget.limits.header_bytes:
        raise LimitExceededError(f"{what} of the package: {size} bytes, the limit is {budget.limits.header_bytes}")
    data = memoryview(read_whole(stream, size, what))
    store = data[count * _ENTRY.size :]
    texts = {}
    for tag, kind, offset, _ in _ENTRY.iter_unpack(data[: count * _ENTRY.size]):
        if tag in _PAYLOAD_TAGS and kind == _STRING:
            if offset >= store_bytes:
                raise MalformedError(f"tag {tag} of the package is at byte {offset} of {store_bytes} bytes")
            texts[tag] = _cut_text(store, offset)
    return texts, _HEADER.size + size


def _cut_text(store: memoryview, offset: int) -> str:
    """No text that is looked for is longer than 32 bytes."""
    return bytes(store[offset : offset + 32]).partition(b"\0")[0].decode("ascii", "replace")
