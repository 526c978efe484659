"""The bundle: what is held of some families, in one file, to be carried to where there is no upstream.

A file is JSON lines, compressed with zstd (``zstd -dc bundle | jq`` shows it). The first line is
``{"format":"verdictd-pccs-bundle","made_at":…,"version":1}``; then an entry a line (see `bundle_entries`), collateral
before PCK certificates before AMD's, sorted and each once; the last is ``{"entries":N,"sha256":…}`` over all lines
before it. The same entries at the same instant give the same bytes.

Nothing in a bundle is trusted for standing there: whoever reads it verifies each entry.
"""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from io import BufferedIOBase
from typing import BinaryIO, Final, NamedTuple

from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError
from verdictd.core.result import JSONValue
from verdictd.pccs.bounded_json import parse_bounded_json
from verdictd.pccs.bundle_entries import BundleEntry, encode_entry, encode_line, parse_entry
from verdictd.pccs.bundle_members import parse_instant
from verdictd.unpacking.decompression import DecompressedStream
from verdictd.unpacking.limits import Budget, UnpackingLimits
from verdictd.unpacking.streams import FileStream

FORMAT: Final = "verdictd-pccs-bundle"
VERSION: Final = 1
MAGIC: Final = b"\x28\xb5\x2f\xfd"
"""How a file compressed with zstd begins."""
MAX_ENTRIES: Final = 4_000_000
MAX_LINE_BYTES: Final = 8 * 1024 * 1024
MAX_BUNDLE_BYTES: Final = 16 * 1024 * 1024 * 1024
"""Decompressed: a million platforms of some 15 KiB each."""

_MAX_VALUES: Final = 4096
"""In a line: it is flat, and a platform has not as many certificates."""
_WINDOW_BYTES: Final = 8 * 1024 * 1024
_LEVEL: Final = 9
_READ_BYTES: Final = 64 * 1024
_TYPES: Final = ("collateral", "pck", "amd")
"""In the order in which they stand."""


class BundleHeader(NamedTuple):
    """What a bundle says of itself: when it was made (aware)."""

    made_at: datetime


def write_bundle(entries: Iterable[BundleEntry], made_at: datetime, out: BinaryIO) -> int:
    """Write a bundle.

    Args:
        entries: collateral, then PCK certificates, then AMD's; each kind is sorted here but PCK certificates, which
            have to come in the order of their platforms: there may be more than fit into memory.
        made_at: the instant (aware).
        out: where to write.
    Returns:
        How many entries there are.
    Raises:
        MalformedError: an entry cannot be written, or stands out of order.
        LimitExceededError: larger than would be read.
    """
    from backports import zstd  # noqa: PLC0415 - only bundles need it, and it takes a while to load

    compressor = zstd.ZstdCompressor(level=_LEVEL)
    digest = hashlib.sha256()
    lines = _Lines()
    for line in _in_order(_encode_header(made_at.astimezone(UTC).isoformat()), entries, lines):
        digest.update(line)
        out.write(compressor.compress(line))
    end = encode_line({"entries": lines.count, "sha256": digest.hexdigest()})
    out.write(compressor.compress(end))
    out.write(compressor.flush())
    return lines.count


def read_bundle(stream: BufferedIOBase) -> Iterator[BundleHeader | BundleEntry]:
    """Read a bundle: its header, then its entries. That it is whole is known only when there is nothing left to read.

    Memory is bounded by the longest line there may be.

    Raises:
        MalformedError: damaged, cut off, or no bundle.
        UnsupportedError: of another version.
        LimitExceededError: larger than any bundle may be.
    """
    digest = hashlib.sha256()
    lines = _Lines()
    content = _split_lines(DecompressedStream(FileStream(stream, "the bundle"), "zstd", _budget()))
    yield _parse_header(next(content, b""), digest)
    for line in content:
        members = _parse_line(line)
        if "entries" in members:
            _check_end(members, lines.count, digest.hexdigest())
            if next(content, None) is not None:
                raise MalformedError("the bundle goes on behind its end", remedy=_AGAIN)
            return
        entry = parse_entry(members)
        if encode_line(encode_entry(entry)) != line:
            raise MalformedError("an entry of the bundle is not written as an export writes it", remedy=_AGAIN)
        lines.take(members)
        digest.update(line)
        yield entry
    raise MalformedError("the bundle was cut off: it has no end", remedy=_AGAIN)


_AGAIN: Final = "export it again, and copy it whole"


class _Lines:
    """Counts the entries, and sees that they stand in order and each once."""

    def __init__(self) -> None:
        self.count = 0
        self._last: tuple[int, tuple[str, ...]] = (-1, ())

    def take(self, members: dict[str, JSONValue]) -> None:
        rank, key = _sort_key(members)
        if (rank, key) <= self._last:
            raise MalformedError("the entries of the bundle stand twice, or out of order", remedy=_AGAIN)
        self._last = rank, key
        self.count += 1
        if self.count > MAX_ENTRIES:
            raise LimitExceededError(f"the bundle has more than {MAX_ENTRIES} entries", remedy="export it in parts")


def _sort_key(members: dict[str, JSONValue]) -> tuple[int, tuple[str, ...]]:
    kind = str(members["type"])
    match kind:
        case "collateral":
            names: tuple[str, ...] = ("edition", "kind", "body", "der", "issuer_chain", "signature", "source")
        case "pck":
            names = ("qe_id", "pce_id")
        case _:
            names = ("key_type", "product", "what", "chip_id", "tcb")
    return _TYPES.index(kind), tuple(str(members.get(name, "")) for name in names)


def _in_order(head: bytes, entries: Iterable[BundleEntry], lines: _Lines) -> Iterator[bytes]:
    yield head
    waiting: list[dict[str, JSONValue]] = []
    for entry in entries:
        members = encode_entry(entry)
        if members["type"] == "pck" or (waiting and waiting[0]["type"] != members["type"]):
            yield from _write_sorted(waiting, lines)
            waiting = []
        waiting.append(members)
    yield from _write_sorted(waiting, lines)


def _write_sorted(waiting: list[dict[str, JSONValue]], lines: _Lines) -> Iterator[bytes]:
    for members in sorted(waiting, key=_sort_key):
        lines.take(members)
        line = encode_line(members)
        if len(line) > MAX_LINE_BYTES:
            raise LimitExceededError(f"an entry takes {len(line)} bytes, of which {MAX_LINE_BYTES} would be read")
        yield line


def _budget() -> Budget:
    return Budget(UnpackingLimits(window_bytes=_WINDOW_BYTES, unpacked_bytes=MAX_BUNDLE_BYTES))


def _split_lines(stream: DecompressedStream) -> Iterator[bytes]:
    pending = b""
    while piece := stream.read(_READ_BYTES):
        *whole, pending = (pending + piece).split(b"\n")
        for line in whole:
            yield line + b"\n"
        if len(pending) > MAX_LINE_BYTES:
            raise LimitExceededError(f"a line of the bundle is longer than {MAX_LINE_BYTES} bytes", remedy=_AGAIN)
    if pending:
        raise MalformedError("the bundle was cut off within a line", remedy=_AGAIN)


def _parse_line(line: bytes) -> dict[str, JSONValue]:
    members = parse_bounded_json(line, "a line of the bundle", max_values=_MAX_VALUES)
    if not isinstance(members, dict):
        raise MalformedError("a line of the bundle is no JSON object", remedy=_AGAIN)
    return members


def _parse_header(line: bytes, digest: "hashlib._Hash") -> BundleHeader:
    members = _parse_line(line) if line else {}
    if members.get("format") != FORMAT:
        raise MalformedError("not a bundle of pccs", remedy="give a file that pccs export wrote")
    if members.get("version") != VERSION:
        raise UnsupportedError(
            f"the bundle has version {members.get('version')!r:.40}, supported is {VERSION}",
            remedy="import it with the version of pccs that exported it, or a later one",
        )
    made_at = members.get("made_at")
    if not isinstance(made_at, str) or line != _encode_header(made_at):
        raise MalformedError("the bundle's first line is not written as an export writes it", remedy=_AGAIN)
    digest.update(line)
    return BundleHeader(parse_instant(made_at, "made_at"))


def _encode_header(made_at: str) -> bytes:
    return encode_line({"format": FORMAT, "version": VERSION, "made_at": made_at})


def _check_end(members: dict[str, JSONValue], entries: int, digest: str) -> None:
    if members != {"entries": entries, "sha256": digest}:
        raise MalformedError("the bundle's end is not that of its entries: it is damaged", remedy=_AGAIN)
