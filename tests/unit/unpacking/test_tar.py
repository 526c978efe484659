"""tar archives: read as the standard library and the programs read them, and never at their mercy."""

import io
import random
import shutil
import subprocess
import tarfile
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.unpacking.packages import COMPRESSIONS, build_tar
from tests.unit.unpacking.test_walk import found, put
from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError, VerdictdError
from verdictd.unpacking.limits import Budget, UnpackingLimits
from verdictd.unpacking.pax import parse_pax
from verdictd.unpacking.tar import read_tar

END = bytes(1024)


def header(
    name: bytes = b"a", *, size: int | bytes = 0, kind: bytes = b"0", magic: bytes = b"ustar\x0000"
) -> bytearray:
    """A header with its checksum, fields as they are given."""
    block = bytearray(512)
    block[: len(name)] = name
    block[100:108] = b"0000644\0"
    block[124:136] = b"%011o\0" % size if isinstance(size, int) else size.ljust(12, b"\0")
    block[156:157] = kind
    block[257:265] = magic
    return summed(block)


def summed(block: bytearray) -> bytearray:
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return block


def member(name: bytes, content: bytes, *, kind: bytes = b"0") -> bytes:
    return bytes(header(name, size=len(content), kind=kind)) + content + bytes(-len(content) % 512)


def record(key: bytes, value: bytes) -> bytes:
    length = len(key) + len(value) + 3
    while len(str(length)) + len(key) + len(value) + 3 != length:
        length = len(str(length)) + len(key) + len(value) + 3
    return b"%d %s=%s\n" % (length, key, value)


def pax(*records: tuple[bytes, bytes], kind: bytes = b"x") -> bytes:
    return member(b"pax", b"".join(record(*each) for each in records), kind=kind)


def read(archive: bytes | bytearray, limits: UnpackingLimits | None = None) -> dict[bytes, bytes]:
    stream = io.BytesIO(archive)
    return {each.name: each.content.read(each.size) for each in read_tar(stream, Budget(limits or UnpackingLimits()))}


def test_content_that_is_not_read_is_skipped() -> None:
    archive = member(b"a", b"1" * 513) + member(b"b", b"2" * 512) + member(b"c", b"") + END
    members = read_tar(io.BytesIO(archive), Budget(UnpackingLimits()))
    assert [(each.name, each.size) for each in members] == [(b"a", 513), (b"b", 512), (b"c", 0)]


def test_what_follows_the_mark_of_the_end_is_no_member() -> None:
    assert read(member(b"a", b"1") + bytes(512) + member(b"b", b"2") + END) == {b"a": b"1"}


def test_an_archive_without_the_mark_of_its_end_is_cut_off() -> None:
    for end in (b"", bytes(511)):
        with pytest.raises(MalformedError, match="mark of the end"):
            read(member(b"a", b"1") + end)


@pytest.mark.parametrize("at", [0, 99, 124, 156, 265, 511])
def test_a_header_with_another_checksum_is_refused(at: int) -> None:
    block = header(b"a")
    block[at] ^= 1
    with pytest.raises(MalformedError, match="checksum"):
        read(member(b"first", b"") + block + END)


def test_a_checksum_of_signed_bytes_is_taken_too() -> None:
    block = header("ä".encode())
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(each - 256 * (each >= 128) for each in block)
    assert read(block + END) == {"ä".encode(): b""}


@pytest.mark.parametrize(
    "field", [b"\xff" * 12, b"", b"-1", b"+1", b"8", b"0x1", b"1_0", b"1 1", b"1e1", b"\x81", b"\xb2"]
)
def test_a_size_that_is_no_number_is_refused(field: bytes) -> None:
    with pytest.raises(MalformedError, match="the size"):
        read(header(size=field) + END)


@pytest.mark.parametrize("field", [b"00000000003", b"3", b"  3 ", b"3\0junk", b"\x80" + bytes(10) + b"\x03"])
def test_a_size_is_octal_or_binary(field: bytes) -> None:
    assert read(bytes(header(size=field)) + b"abc".ljust(512, b"\0") + END) == {b"a": b"abc"}


def test_a_size_of_eight_gibibytes_and_more_is_read() -> None:
    field = b"\x80" + (9 * 1024**3).to_bytes(11, "big")
    assert next(read_tar(io.BytesIO(header(size=field)), Budget(UnpackingLimits()))).size == 9 * 1024**3


@pytest.mark.parametrize("kind", [b"1", b"2", b"3", b"4", b"5", b"6"])
def test_links_devices_and_directories_have_no_content_whatever_their_size_says(kind: bytes) -> None:
    for size in (1_000_000, b"", b"rubbish"):
        assert read(header(size=size, kind=kind) + member(b"b", b"2") + END) == {b"b": b"2"}


@pytest.mark.parametrize("kind", [b"D", b"M", b"V", b"A", b"?"])
def test_content_of_unknown_kinds_is_skipped(kind: bytes) -> None:
    assert read(member(b"a", b"1" * 600, kind=kind) + member(b"b", b"2") + END) == {b"b": b"2"}


@pytest.mark.parametrize("kind", [b"0", b"\0", b"7"])
def test_a_name_that_ends_in_a_slash_is_a_directory(kind: bytes) -> None:
    assert read(member(b"a/", b"", kind=kind) + member(b"a", b"", kind=kind) + END) == {b"a": b""}


def test_a_prefix_is_part_of_the_name_in_the_form_of_posix_alone() -> None:
    for magic, name in ((b"ustar\x0000", b"dir/a"), (b"ustar  \0", b"a")):
        block = header(b"a", magic=magic)
        block[345:348] = b"dir"
        assert read(summed(block) + END) == {name: b""}


def test_the_longest_name_there_is_comes_first() -> None:
    long = member(b"././@LongLink", b"n" * 300 + b"\0", kind=b"L")
    link = member(b"././@LongLink", b"l" * 300 + b"\0", kind=b"K")
    assert read(link + long + member(b"a", b"1") + member(b"b", b"2") + END) == {b"n" * 300: b"1", b"b": b"2"}
    for first, second in ((long, pax((b"path", b"p"))), (pax((b"path", b"p")), long)):
        assert read(first + second + member(b"a", b"1") + END) == {b"p": b"1"}


def test_an_extended_header_is_of_the_next_file_alone() -> None:
    archive = (
        pax((b"path", b"p"), (b"size", b"3")) + bytes(header(b"a")) + b"abc".ljust(512, b"\0") + member(b"b", b"2")
    )
    assert read(archive + END) == {b"p": b"abc", b"b": b"2"}


def test_an_empty_value_takes_a_name_and_a_size_back() -> None:
    archive = pax((b"path", b"p"), (b"size", b"9"), (b"path", b""), (b"size", b"")) + member(b"a", b"1")
    assert read(archive + END) == {b"a": b"1"}


def test_a_global_header_says_nothing_of_names_and_sizes_or_is_refused() -> None:
    assert read(pax((b"comment", b"of git"), kind=b"g") + member(b"a", b"1") + END) == {b"a": b"1"}
    for each in ((b"path", b"p"), (b"size", b"1")):
        with pytest.raises(UnsupportedError, match="names all its files"):
            read(pax(each, kind=b"g") + member(b"a", b"1") + END)


def test_sparse_files_are_refused_in_each_of_their_forms() -> None:
    for archive in (
        member(b"a", b"", kind=b"S"),
        pax((b"GNU.sparse.major", b"1")) + member(b"a", b""),
        pax((b"GNU.sparse.map", b"0,1")) + member(b"a", b""),
        pax((b"GNU.sparse.size", b"1"), kind=b"g") + member(b"a", b""),
    ):
        with pytest.raises(UnsupportedError, match="sparse"):
            read(archive + END)


@pytest.mark.parametrize(
    "data",
    [
        b"5 a=\n1",  # too much
        b"5 a=b",
        b"5 a=b\n",
        b"5 a=\n0 a=\n",  # it would be the same one for ever
        b"5 a=\n2 a=\n",
        b"4 a=\n",  # the record ends before its line
        b"6 a=\n",  # and behind it
        b"0 a=\n",
        b"2 a=\n",  # within its own length
        b"\0" * 10,
        b"a=b\n",
        b"5 a:\n",
        b"  5 a=\n",
        b"-5 a=\n",
        b"5  \n",
        b"999999999 a=b\n",
        b"99999999 a=b\n",
        b"13 size=0x10\n",
        b"11 size=-1\n",
        b"11 size=+1\n",
        b"30 size=1000000000000000000000\n",
    ],
)
def test_extended_headers_that_do_not_follow_their_form_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedError, match="an extended header"):
        parse_pax(data)


def test_a_record_may_hold_anything() -> None:
    assert parse_pax(record(b"path", b"a=b\nc\xff") + record(b"LIBARCHIVE.xattr", bytes(1000))) == (b"a=b\nc\xff", None)
    assert parse_pax(b"") == (None, None)


@given(
    st.binary(max_size=60)
    | st.lists(st.sampled_from([b"5 a=\n", b"9 path=p\n", b"9 size=1\n", b"1", b" ", b"="])).map(b"".join)
)
def test_any_extended_header_is_read_or_refused(data: bytes) -> None:
    try:
        parse_pax(data)
    except VerdictdError:
        return


def test_only_so_many_records_and_extended_headers_are_looked_at() -> None:
    parse_pax(record(b"k", b"") * 128)
    with pytest.raises(LimitExceededError, match="more than 128 records"):
        parse_pax(record(b"k", b"") * 129)
    assert read(pax((b"k", b"")) * 4 + member(b"a", b"1") + END) == {b"a": b"1"}
    with pytest.raises(LimitExceededError, match="more than 4 extended headers"):
        read(pax((b"k", b"")) * 5 + member(b"a", b"1") + END)


@pytest.mark.parametrize("kind", [b"L", b"K", b"x", b"g"])
def test_an_extended_header_that_is_too_long_is_refused_before_it_is_read(kind: bytes) -> None:
    with pytest.raises(LimitExceededError, match="has 1025 bytes, the limit is 1024"):
        read(bytes(header(size=1025, kind=kind)), UnpackingLimits(header_bytes=1024))
    with pytest.raises(MalformedError, match="it ends in an extended header"):
        read(bytes(header(size=1024, kind=kind)), UnpackingLimits(header_bytes=1024))


@pytest.mark.parametrize("kind", [b"0", b"2", b"5", b"?"])
def test_members_of_every_kind_are_counted(kind: bytes) -> None:
    assert len(read(member(b"a", b"", kind=kind) * 3 + END, UnpackingLimits(members=3))) <= 1
    with pytest.raises(LimitExceededError, match="more than 3 files"):
        read(member(b"a", b"", kind=kind) * 4 + END, UnpackingLimits(members=3))


@pytest.mark.parametrize("long", [pax((b"path", b"n" * 11)), member(b"l", b"n" * 11, kind=b"L")])
def test_a_long_name_is_bounded_wherever_it_stands(long: bytes) -> None:
    assert read(long + member(b"a", b"") + END, UnpackingLimits(name_bytes=11))
    with pytest.raises(LimitExceededError, match="a name has 11 bytes, the limit is 10"):
        read(long + member(b"a", b"") + END, UnpackingLimits(name_bytes=10))


def gigabytes(kind: bytes) -> Iterator[bytes]:
    """Headers of 16 MiB each, which a reader that keeps them runs out of memory by."""
    content = bytes(8 * 1024 * 1024 - 20)
    body = record(b"k", content) if kind in {b"x", b"g"} else content
    for _ in range(40):
        yield member(b"n", body, kind=kind)
        yield member(b"file", b"")


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
def test_long_headers_do_not_add_up_in_memory(tmp_path: Path, kind: bytes) -> None:
    compressor = zlib.compressobj(wbits=31, level=1)
    parts = [compressor.compress(part) for part in gigabytes(kind)]
    path = put(tmp_path, b"".join((*parts, compressor.compress(END), compressor.flush())))
    tracemalloc.start()
    try:
        try:
            found(path)
        except LimitExceededError as error:
            assert kind == b"L"
            assert "a name has" in error.message  # noqa: PT017 - the memory is looked at as well
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 64 * 1024 * 1024


@pytest.mark.parametrize(
    "body", [b"1" * 4_000_000, b"1 " * 2_000_000, b"5 a=\n" * 800_000, b"9 " + b"=" * 4_000_000, b"0\n" * 2_000_000]
)
def test_no_extended_header_takes_long(body: bytes) -> None:
    """The pattern of the standard library takes hours for the first of these."""
    before = time.process_time()
    with pytest.raises((MalformedError, LimitExceededError)):
        read(member(b"pax", body, kind=b"x") + member(b"a", b"") + END)
    assert time.process_time() - before < 2


NAMES = ["a", "é", "spaces in it", "x" * 150, "d" * 90 + "/" + "e" * 90, "d/" * 150 + "f", "", "/absolute", "../up"]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_the_standard_library_reads_the_same(form: int) -> None:
    chance = random.Random(1)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name in NAMES:
            info = tarfile.TarInfo(name)
            info.size = chance.choice([0, 1, 511, 512, 513, 5000])
            info.mtime, info.uname = chance.choice([0, 1.5]), "ü" * 20
            info.linkname = "t" * (90 if form == tarfile.USTAR_FORMAT else 150)
            try:
                archive.addfile(info, io.BytesIO(chance.randbytes(info.size)))
            except ValueError:  # the old form has no room for it
                assert form == tarfile.USTAR_FORMAT
    buffer.seek(0)
    with tarfile.open(fileobj=buffer) as archive:
        expected = {}
        for each in archive:
            content = archive.extractfile(each)
            assert content is not None
            expected[each.name.encode()] = content.read()
    assert len(expected) > 3
    assert read(buffer.getvalue()) == expected


@pytest.mark.skipif(shutil.which("tar") is None, reason="there is no tar program here to compare with")
@pytest.mark.parametrize("form", ["oldgnu", "gnu", "ustar", "pax"])
@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tar.xz", "tar.bz2", "tar.zst"])
def test_archives_of_the_tar_program_are_read(tmp_path: Path, form: str, suffix: str) -> None:
    root = tmp_path / "root"
    expected = {}
    for at, name in enumerate(("a", "é", "d/" + "x" * 90, "e/" * 30 + "f", *([] if form == "ustar" else ["y" * 200]))):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        expected[f"./{name}"] = bytes([at]) * at * 300
        path.write_bytes(expected[f"./{name}"])
    (root / "link").symlink_to("a")
    path = tmp_path / f"archive.{suffix}"
    done = subprocess.run(["tar", "--format", form, "-caf", path, "-C", root, "."], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"this tar does not write {suffix}")
    assert found(path) == expected


@pytest.mark.parametrize("compression", ["gzip", "xz", "bzip2"])
def test_a_checksum_behind_the_last_file_is_looked_at(tmp_path: Path, compression: str) -> None:
    whole = COMPRESSIONS[compression](build_tar({"a": b"content"}) + bytes(3_000_000))
    for cut in (1, 3, 5):
        with pytest.raises(MalformedError, match="ends early"):
            found(put(tmp_path, whole[:-cut]))
