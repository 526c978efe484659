"""Archives that are cut off, lie, or unpack without end: our errors, the names of what is wrong, and bounded memory."""

import bz2
import lzma
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.unpacking.packages import (
    COMPRESSIONS,
    ar_member,
    build_cpio,
    build_deb,
    build_rpm,
    build_tar,
    cpio_member,
)
from verdictd.core.errors import LimitExceededError, MalformedError, VerdictdError
from verdictd.unpacking.limits import UnpackingLimits
from verdictd.unpacking.walk import walk

SMALL = {"a": b"content of a", "b/c": b"x" * 700}
PACKAGES: dict[str, bytes] = {
    **{f"rpm {name}": build_rpm(SMALL, compression=name) for name in COMPRESSIONS},
    **{f"deb {name}": build_deb(SMALL, compression=name) for name in ("none", "gzip", "zstd")},
    "tar": build_tar(SMALL),
    "tar.gz": COMPRESSIONS["gzip"](build_tar(SMALL)),
}


def unpack(path: Path, content: bytes, limits: UnpackingLimits | None = None) -> dict[str, bytes]:
    path.write_bytes(content)
    found = {}
    for file in walk(path) if limits is None else walk(path, limits):
        with file.open() as opened:
            found[file.name.removeprefix(f"{path}: ")] = opened.read()
    return found


def test_the_message_begins_with_the_archives_name(tmp_path: Path) -> None:
    with pytest.raises(MalformedError) as caught:
        unpack(tmp_path / "file", build_tar({"inner": PACKAGES["rpm none"][:-400]}))
    assert caught.value.message.startswith(f"{tmp_path}/file: inner: b/c: it ends in ")


@pytest.mark.parametrize("name", PACKAGES)
def test_what_is_cut_off_anywhere_is_refused(tmp_path: Path, name: str) -> None:
    """Or nothing is missing: what stands behind the last file of an archive is of no matter."""
    package = PACKAGES[name]
    for size in range(1, len(package), 1 if len(package) < 2000 else 13):
        try:
            found = unpack(tmp_path / "file", package[:size])
        except MalformedError:
            continue
        looks_like_nothing = list(found) in ([str(tmp_path / "file")], [])
        assert found == SMALL or (looks_like_nothing and size < 600)


@pytest.mark.parametrize("name", PACKAGES)
def test_any_flipped_byte_gives_files_or_our_error(tmp_path: Path, name: str) -> None:
    package = PACKAGES[name]
    for at in range(0, len(package), 1 if len(package) < 2000 else 13):
        for change in (0xFF, 0x01, 0x30):
            damaged = package[:at] + bytes([package[at] ^ change]) + package[at + 1 :]
            try:
                unpack(tmp_path / "file", damaged)
            except VerdictdError:
                continue


HEADS = {
    "rpm": b"\xed\xab\xee\xdb\x03\x00" + bytes(90),
    "rpm with a header": PACKAGES["rpm none"][:160],
    "rpm with a payload": PACKAGES["rpm none"][:-300],
    "deb": b"!<arch>\ndebian-binary   ",
    "deb with files": PACKAGES["deb none"][:400],
    "tar": PACKAGES["tar"][:512],
    "gzip": b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
    "xz": b"\xfd7zXZ\0",
    "bzip2": b"BZh9",
    "zstd": b"\x28\xb5\x2f\xfd",
}


@pytest.mark.parametrize("head", HEADS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.binary(max_size=600))
def test_any_bytes_behind_a_beginning_give_files_or_our_error(tmp_path: Path, head: str, data: bytes) -> None:
    try:
        unpack(tmp_path / "file", HEADS[head] + data)
    except VerdictdError:
        return


def nested(depth: int) -> bytes:
    content = b"innermost"
    for _ in range(depth):
        content = build_tar({"inner": content})
    return content


LIMITS: dict[str, tuple[UnpackingLimits, bytes, bytes, str]] = {
    "unpacked bytes": (
        UnpackingLimits(unpacked_bytes=30_000),
        COMPRESSIONS["gzip"](build_tar({"a": bytes(15_000)})),
        COMPRESSIONS["gzip"](build_tar({"a": bytes(35_000)})),
        "unpacks to more than 30000 bytes",
    ),
    "opened bytes": (
        UnpackingLimits(opened_bytes=100),
        build_rpm({"a": bytes(100)}),
        build_rpm({"a": bytes(101)}),
        "101 bytes long, the limit within archives is 100",
    ),
    "members": (
        UnpackingLimits(members=3),
        build_rpm({"a": b"", "b": b"", "c": b""}),
        build_rpm({"a": b"", "b": b"", "c": b"", "d": b""}),
        "more than 3 files",
    ),
    "members that are no files": (
        UnpackingLimits(members=3),
        build_rpm({}, payload=COMPRESSIONS["gzip"](build_cpio(dict.fromkeys("abc", b""), mode=0o040755))),
        build_rpm({}, payload=COMPRESSIONS["gzip"](build_cpio(dict.fromkeys("abcd", b""), mode=0o040755))),
        "more than 3 files",
    ),
    "depth": (UnpackingLimits(depth=2), nested(2), nested(3), "nested more than 2 deep"),
    "a name in an RPM": (
        UnpackingLimits(name_bytes=11),  # the mark of the end has so many
        build_rpm({"a" * 10: b""}),
        build_rpm({"a" * 11: b""}),
        "a name has 12 bytes",
    ),
    "a name in a tar archive": (
        UnpackingLimits(name_bytes=10),
        build_tar({"a" * 10: b""}),
        build_tar({"a" * 11: b""}),
        "a name has 11 bytes",
    ),
    "a header in an RPM": (
        UnpackingLimits(header_bytes=100),
        build_rpm({}, tags={1125: "gzip"}),
        build_rpm({}, tags={1125: "gzip", 1000: "x" * 100}),
        "the header of the package: 138 bytes",
    ),
    "an extended header in a tar archive": (
        UnpackingLimits(header_bytes=10_240),
        build_tar({"a" * 200: b""}),
        build_tar({"a" * 12_000: b""}),
        "an extended header",
    ),
    "memory of xz": (
        UnpackingLimits(window_bytes=16 * 1024 * 1024),
        build_rpm(SMALL, compression="xz"),
        build_rpm({}, payload=lzma.compress(build_cpio(SMALL), preset=9)),
        "bytes of memory",
    ),
    "memory of zstd": (
        UnpackingLimits(window_bytes=1 << 20),
        build_rpm(SMALL, compression="zstd"),
        build_rpm({}, payload=b"\x28\xb5\x2f\xfd\x00\x88" + bytes(50)),  # a window of 2^27 bytes
        "bytes of memory",
    ),
}


@pytest.mark.parametrize("name", LIMITS)
def test_each_limit_refuses_what_exceeds_it_alone(tmp_path: Path, name: str) -> None:
    limits, within, beyond, message = LIMITS[name]
    unpack(tmp_path / "file", within, limits)
    with pytest.raises(LimitExceededError, match=message):
        unpack(tmp_path / "file", beyond, limits)


BOMB = 2 * 1024**3
SURVIVOR = """
import resource, sys
from pathlib import Path
from verdictd.core.errors import LimitExceededError
from verdictd.unpacking.limits import UnpackingLimits
from verdictd.unpacking.walk import walk
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    for file in walk(Path(sys.argv[1]), UnpackingLimits(unpacked_bytes=256 * 1024 * 1024)):
        pass
except LimitExceededError as error:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, error)
"""


@pytest.mark.parametrize("compression", ["gzip", "xz", "bzip2", "zstd"])
def test_a_bomb_ends_at_the_limit_in_bounded_memory(tmp_path: Path, compression: str) -> None:
    head = cpio_member("bomb", b"")
    head = head[:54] + b"%08x" % (BOMB - 1) + head[62:]
    size = BOMB if compression == "zstd" else 400 * 1024 * 1024  # the others take long to be made
    payload = _make_bomb(compression, head, size)
    assert len(payload) < size // 700
    path = tmp_path / "bomb.rpm"
    path.write_bytes(build_rpm({}, payload=payload))
    done = subprocess.run([sys.executable, "-c", SURVIVOR, path], capture_output=True, text=True, check=True)
    grown, _, message = done.stdout.partition(" ")
    assert "unpacks to more than" in message
    assert int(grown) < 60 * 1024, f"it took {grown} KiB"


def _make_bomb(compression: str, head: bytes, size: int) -> bytes:
    piece = bytes(4 * 1024 * 1024)
    makers: dict[str, Callable[[], Any]] = {
        "gzip": lambda: zlib.compressobj(wbits=31),
        "xz": lambda: lzma.LZMACompressor(preset=0),
        "bzip2": lambda: bz2.BZ2Compressor(1),
        "zstd": lambda: zstd.ZstdCompressor(level=1),
    }
    compressor = makers[compression]()
    parts = [compressor.compress(head), *(compressor.compress(piece) for _ in range(size // len(piece)))]
    return b"".join((*parts, compressor.flush()))


@pytest.mark.parametrize(
    ("at", "lie"),
    [(8, b"\xff\xff\xff\xff"), (12, b"\xff\xff\xff\xff"), (8, b"\x00\x00\xff\xff"), (0, b"\x8e\xad\xe8\x02")],
)
def test_an_rpm_header_that_lies_about_itself_is_refused(tmp_path: Path, at: int, lie: bytes) -> None:
    package = bytearray(PACKAGES["rpm none"])
    for header in (96, 96 + 48):
        damaged = package[: header + at] + lie + package[header + at + len(lie) :]
        with pytest.raises((MalformedError, LimitExceededError)):
            unpack(tmp_path / "file", bytes(damaged))


@pytest.mark.parametrize("lie", [b"ffffffff", b"zzzzzzzz", b"        ", b"+0000001", b"0x000001"])
@pytest.mark.parametrize("field", [6, 11])
def test_a_cpio_header_that_lies_about_itself_is_refused(tmp_path: Path, field: int, lie: bytes) -> None:
    payload = bytearray(build_cpio(SMALL))
    payload[6 + field * 8 : 14 + field * 8] = lie
    with pytest.raises((MalformedError, LimitExceededError)):
        unpack(tmp_path / "file", build_rpm({}, payload=bytes(payload), tags={1125: "none"}))


@pytest.mark.parametrize("size", ["-1", "9999999999", "x", "1e3", "", "٣"])
def test_an_ar_header_that_lies_about_itself_is_refused(tmp_path: Path, size: str) -> None:
    part = bytearray(ar_member("data.tar", build_tar(SMALL)))
    part[48:58] = size.encode().ljust(10)[:10]
    with pytest.raises(MalformedError):
        unpack(tmp_path / "file", b"!<arch>\n" + ar_member("debian-binary", b"2.0\n") + bytes(part))


def test_a_pax_header_of_gigabytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    archive = bytearray(build_tar({"a" * 200: b""}))
    assert archive[156:157] == b"x"
    archive[124:136] = b"17777777777\0"
    struct.pack_into("8s", archive, 148, b" " * 8)
    struct.pack_into("8s", archive, 148, b"%06o\0 " % sum(archive[:512]))
    with pytest.raises(LimitExceededError, match="extended header"):
        unpack(tmp_path / "file", bytes(archive))
