"""Builds archives and packages, written from the descriptions of their formats."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
from collections.abc import Callable, Mapping

from backports import zstd

COMPRESSIONS: Mapping[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE),
    "bzip2": bz2.compress,
    "zstd": zstd.compress,
}
SUFFIXES = {"none": "", "gzip": ".gz", "xz": ".xz", "bzip2": ".bz2", "zstd": ".zst"}

Members = Mapping[str, bytes] | Mapping[bytes, bytes]

REGULAR, DIRECTORY, LINK = 0o100644, 0o040755, 0o120777


def build_cpio(members: Members, *, mode: int = REGULAR, magic: bytes = b"070701") -> bytes:
    """A cpio archive in the new ASCII format."""
    return b"".join(cpio_member(name, content, mode=mode, magic=magic) for name, content in members.items()) + (
        cpio_member("TRAILER!!!", b"", mode=0, magic=magic)
    )


def cpio_member(
    name: str | bytes, content: bytes, *, mode: int = REGULAR, magic: bytes = b"070701", links: int = 1
) -> bytes:
    """One member with its padding."""
    raw = (name if isinstance(name, bytes) else name.encode()) + b"\0"
    fields = (1, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(raw), 0)
    header = magic + b"".join(b"%08x" % field for field in fields)
    return _pad(header + raw, 4) + _pad(content, 4)


def build_rpm(
    members: Members,
    *,
    compression: str = "gzip",
    payload: bytes | None = None,
    tags: Mapping[int, str] | None = None,
) -> bytes:
    """An RPM package: lead, signatures, header, payload."""
    lead = b"\xed\xab\xee\xdb\x03\x00" + bytes(90)
    signatures = _pad(_rpm_header({1000: "x" * 13}), 8)
    named = {1000: "example", 1124: "cpio", 1125: compression} if tags is None else tags
    return (
        lead
        + signatures
        + _rpm_header(named)
        + (COMPRESSIONS[compression](build_cpio(members)) if payload is None else payload)
    )


def _rpm_header(tags: Mapping[int, str]) -> bytes:
    entries, store = b"", b""
    for tag, text in tags.items():
        entries += struct.pack(">IIII", tag, 6, len(store), 1)
        store += text.encode() + b"\0"
    return b"\x8e\xad\xe8\x01\0\0\0\0" + struct.pack(">II", len(tags), len(store)) + entries + store


def build_tar(members: Members, *, form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar archive, by the standard library."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, content in members.items():
            text = name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name
            member = tarfile.TarInfo(text)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def build_deb(members: Members, *, compression: str = "xz") -> bytes:
    """A Debian package."""
    control = COMPRESSIONS["gzip"](build_tar({"./control": b"Package: example\nVersion: 1\n"}))
    data = COMPRESSIONS[compression](build_tar(members))
    return b"!<arch>\n" + b"".join(
        ar_member(name, content)
        for name, content in (
            ("debian-binary", b"2.0\n"),
            ("control.tar.gz", control),
            (f"data.tar{SUFFIXES[compression]}", data),
        )
    )


def ar_member(name: str, content: bytes) -> bytes:
    """One member of an ar archive."""
    header = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
    return _pad(header + content, 2)


def _pad(data: bytes, alignment: int) -> bytes:
    return data + bytes(-len(data) % alignment)
