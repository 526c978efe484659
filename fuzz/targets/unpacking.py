"""Archives and packages, and archives within them."""

import bz2
import io
import lzma
import struct
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from backports import zstd

from fuzz.target import FuzzTarget, attempt
from verdictd.unpacking.limits import UnpackingLimits
from verdictd.unpacking.walk import walk

_LIMITS: Final = UnpackingLimits(unpacked_bytes=1 << 20, opened_bytes=1 << 18, members=200, window_bytes=1 << 23)


def check(data: bytes) -> None:
    """What is found has the size and the beginning it is said to have, and a name that is one line."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        attempt(_open_all, Path(file.name))


def _open_all(path: Path) -> None:
    for found in walk(path, _LIMITS):
        assert found.name.startswith(str(path))
        assert found.name.isprintable()
        with found.open() as opened:
            content = opened.read()
        assert len(content) == found.size
        assert content[:4096] == found.head


def _build_cpio(members: Mapping[str, bytes]) -> bytes:
    parts = []
    for name, content in (*members.items(), ("TRAILER!!!", b"")):
        fields = (1, 0o100644, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        header = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        parts += [header, bytes(-len(header) % 4), content, bytes(-len(content) % 4)]
    return b"".join(parts)


def _build_rpm(members: Mapping[str, bytes], compress: Callable[[bytes], bytes] = bytes, name: bytes = b"") -> bytes:
    """An RPM, whose header names its compression where it is given a name."""
    start = b"\x8e\xad\xe8\x01" + bytes(4)
    store = name + b"\0" if name else b""
    entries = struct.pack(">IIII", 1125, 6, 0, 1) if name else b""
    header = start + struct.pack(">II", len(entries) // 16, len(store)) + entries + store
    return b"\xed\xab\xee\xdb\x03\x00" + bytes(90) + start + bytes(8) + header + compress(_build_cpio(members))


def _build_tar(members: Mapping[str, bytes], compression: str = "") -> bytes:
    buffer = io.BytesIO()
    # Plain and compressed ones have modes of their own; each has a type of its own in the library.
    with tarfile.open(fileobj=buffer, mode="w:gz" if compression == "gz" else "w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _build_pax(records: Mapping[str, str]) -> bytes:
    """A tar archive whose only file has an extended header."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("a")
        member.pax_headers = dict(records)
        member.size = 3
        archive.addfile(member, io.BytesIO(b"abc"))
    return buffer.getvalue()


def _build_deb(members: Mapping[str, bytes]) -> bytes:
    parts = [b"!<arch>\n"]
    for name, content in (("debian-binary", b"2.0\n"), ("data.tar", _build_tar(members))):
        parts.append(f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content)
    return b"".join(parts)


def seeds() -> dict[str, bytes]:
    members = {"./a.so": b"\x7fELF content", "b": b""}
    return {
        "rpm": _build_rpm(members),
        "deb": _build_deb(members),
        "tar": _build_tar(members),
        "tar-long-name": _build_tar({"n" * 200: b"x"}),
        "tar-gz": _build_tar(members, "gz"),
        "tar-extended": _build_pax({"path": "another", "comment": "x", "SCHILY.xattr.user.a": "b"}),
        "tar-sparse": _build_pax({"GNU.sparse.major": "1"}),
        "tar-bz2": bz2.compress(_build_tar(members)),
        "tar-zst": zstd.compress(_build_tar(members)),
        "rpm-xz": _build_rpm(members, lzma.compress, b"xz"),
        "rpm-lzma": _build_rpm(members, lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE), b"lzma"),
        "nested": _build_rpm({"inner.rpm": _build_rpm(members)}),
    }


TARGET = FuzzTarget(
    name="unpacking",
    modules=(
        "verdictd.unpacking.cpio",
        "verdictd.unpacking.deb",
        "verdictd.unpacking.decompression",
        "verdictd.unpacking.directories",
        "verdictd.unpacking.limits",
        "verdictd.unpacking.names",
        "verdictd.unpacking.opening",
        "verdictd.unpacking.pax",
        "verdictd.unpacking.rpm",
        "verdictd.unpacking.streams",
        "verdictd.unpacking.tar",
        "verdictd.unpacking.walk",
    ),
    check=check,
    seeds=seeds,
    max_bytes=12_000,
)
