"""Files are found wherever they are, by their content, under names that say where; and nothing is written anywhere."""

import random
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.unit.unpacking.packages import (
    COMPRESSIONS,
    DIRECTORY,
    LINK,
    SUFFIXES,
    ar_member,
    build_cpio,
    build_deb,
    build_rpm,
    build_tar,
    cpio_member,
)
from verdictd.core.errors import MalformedError, UnsupportedError
from verdictd.unpacking.walk import walk

MEMBERS = {"./usr/lib/a.so": b"\x7fELF" + bytes(range(256)) * 40, "./etc/empty": b"", "./z": b"last"}


def found(path: Path) -> dict[str, bytes]:
    """What is found, by its name without that of the file, each read to its end."""
    contents = {}
    for file in walk(path):
        with file.open() as opened:
            content = opened.read()
        assert file.size == len(content)
        assert file.head == content[:4096]
        contents[file.name.removeprefix(str(path)).removeprefix(": ")] = content
    return contents


def put(tmp_path: Path, content: bytes, name: str = "file") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_the_files_of_an_rpm_are_found(tmp_path: Path, compression: str) -> None:
    assert found(put(tmp_path, build_rpm(MEMBERS, compression=compression))) == MEMBERS


@pytest.mark.parametrize("compression", SUFFIXES)
def test_the_files_of_a_deb_are_found(tmp_path: Path, compression: str) -> None:
    assert found(put(tmp_path, build_deb(MEMBERS, compression=compression))) == MEMBERS


@pytest.mark.parametrize("compression", SUFFIXES)
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_the_files_of_a_tar_archive_are_found(tmp_path: Path, compression: str, form: int) -> None:
    assert found(put(tmp_path, COMPRESSIONS[compression](build_tar(MEMBERS, form=form)))) == MEMBERS


def test_a_file_that_is_no_archive_is_found_itself(tmp_path: Path) -> None:
    for content in (b"", b"x", b"\x7fELF" * 5000):
        assert found(put(tmp_path, content)) == {"": content}


@pytest.mark.parametrize("compression", ["gzip", "xz", "bzip2", "zstd"])
def test_what_is_compressed_and_no_archive_is_found_as_it_is(tmp_path: Path, compression: str) -> None:
    for text in (b"", b"text" * 1000, random.Random(1).randbytes(2_000_000)):
        content = COMPRESSIONS[compression](text)
        assert found(put(tmp_path, content)) == {"": content}
        assert found(put(tmp_path, build_deb({"./a.gz": content, "./b": b"b"}))) == {"./a.gz": content, "./b": b"b"}


@pytest.mark.parametrize("compression", ["gzip", "xz", "bzip2", "zstd"])
def test_what_only_begins_like_a_compressed_file_is_found_as_it_is(tmp_path: Path, compression: str) -> None:
    whole = COMPRESSIONS[compression](build_tar(MEMBERS))
    members = {"cut off": whole[:20], "no more than a beginning": whole[:6], "another": whole[:10] + b"?" * 400}
    assert found(put(tmp_path, build_rpm(members))) == members


@pytest.mark.parametrize("compression", ["gzip", "xz", "bzip2", "zstd"])
def test_an_archive_is_found_in_a_compressed_file_however_late_its_beginning_comes_out(
    tmp_path: Path, compression: str
) -> None:
    content = random.Random(1).randbytes(1_500_000)  # bzip2 has nothing to give before a block of 900,000 bytes ends
    inner = COMPRESSIONS[compression](build_tar({"a": content}))
    assert found(put(tmp_path, build_tar({"inner": inner}))) == {"inner: a": content}


def test_archives_within_archives_are_walked_and_named(tmp_path: Path) -> None:
    inner = build_deb({"./a.so": b"inside"})
    path = put(tmp_path, build_rpm({"./pkg.deb": inner, "./b.so": b"beside"}))
    assert found(path) == {"./pkg.deb: ./a.so": b"inside", "./b.so": b"beside"}


@pytest.mark.parametrize("name", ["../../../../tmp/evil", "/etc/passwd", "a/../../b", "./-rf"])
@pytest.mark.parametrize("build", [build_rpm, build_deb, build_tar])
def test_names_lead_nowhere(tmp_path: Path, name: str, build: object) -> None:
    assert callable(build)
    before = sorted(tmp_path.rglob("*"))
    path = put(tmp_path, build({name: b"content"}))
    (only,) = found(path)
    assert only.endswith(name.lstrip("/"))
    assert sorted(tmp_path.rglob("*")) == [*before, path]


def test_names_do_nothing_to_a_terminal(tmp_path: Path) -> None:
    path = put(tmp_path, build_rpm({b"a\x1b[2J\nb\xff": b"x"}))
    assert list(found(path)) == ["a\\x1b[2J\\x0ab\\xff"]


def test_long_names_are_shown_whole(tmp_path: Path) -> None:
    name = "d/" * 200 + "x"
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        assert found(put(tmp_path, build_tar({name: b"1"}, form=form))) == {name: b"1"}


def test_only_regular_files_are_found_in_packages(tmp_path: Path) -> None:
    payload = (
        cpio_member("dir", b"", mode=DIRECTORY)
        + cpio_member("link", b"target", mode=LINK)
        + cpio_member("first name", b"", links=2)
        + cpio_member("second name", b"content", links=2)
        + build_cpio({})
    )
    path = put(tmp_path, build_rpm({}, payload=COMPRESSIONS["gzip"](payload)))
    assert found(path) == {"first name": b"", "second name": b"content"}


def test_only_regular_files_are_found_in_tar_archives(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with tarfile.open(path, "w") as archive:
        for kind in (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            member = tarfile.TarInfo(f"a{kind!r}")
            member.type, member.linkname = kind, "elsewhere"
            archive.addfile(member)
    assert found(path) == {}


def test_a_tar_archive_with_holes_is_not_supported(tmp_path: Path) -> None:
    if shutil.which("tar") is None:
        pytest.skip("there is no tar program here, which would make a sparse archive")
    with (tmp_path / "holes").open("wb") as file:
        file.truncate(10_000_000)
        file.write(b"end")
    path = tmp_path / "file"
    subprocess.run(["tar", "--sparse", "-cf", path, "-C", tmp_path, "holes"], check=True)
    with pytest.raises(UnsupportedError, match="sparse"):
        found(path)


def test_several_compressed_parts_in_a_row_are_one(tmp_path: Path) -> None:
    tar = build_tar(MEMBERS)
    for compression in ("gzip", "xz", "bzip2", "zstd"):
        compress = COMPRESSIONS[compression]
        parts = compress(tar[:700]) + compress(tar[700:])
        assert found(put(tmp_path, parts)) == MEMBERS
    assert found(put(tmp_path, COMPRESSIONS["xz"](tar) + bytes(512))) == MEMBERS


def test_a_deb_without_files_is_malformed(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match=r"no data\.tar"):
        found(put(tmp_path, b"!<arch>\n" + ar_member("debian-binary", b"2.0\n")))


def test_a_deb_of_an_unknown_compression_is_not_supported(tmp_path: Path) -> None:
    package = b"!<arch>\n" + ar_member("debian-binary", b"2.0\n") + ar_member("data.tar.lz", b"LZIP" + bytes(600))
    with pytest.raises(UnsupportedError, match=r"data\.tar\.lz"):
        found(put(tmp_path, package))


@pytest.mark.parametrize(
    ("tags", "payload", "message"),
    [
        ({1124: "drpm"}, b"", "drpm"),
        ({1124: "cpio", 1125: "brotli"}, b"\xce\xb2\xcf\x81" * 20, "brotli"),
        ({}, b"?" * 100, "unknown"),
        ({1125: "none"}, build_cpio({"a": b""}, magic=b"07070X"), "4 GiB"),
    ],
)
def test_an_rpm_of_another_kind_is_not_supported(
    tmp_path: Path, tags: dict[int, str], payload: bytes, message: str
) -> None:
    with pytest.raises(UnsupportedError, match=message):
        found(put(tmp_path, build_rpm({}, payload=payload, tags=tags)))


def test_an_rpm_that_names_no_format_has_a_cpio_payload(tmp_path: Path) -> None:
    payload = COMPRESSIONS["gzip"](build_cpio(MEMBERS, magic=b"070702"))
    assert found(put(tmp_path, build_rpm({}, payload=payload, tags={}))) == MEMBERS


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="there is no dpkg-deb here to compare with")
@pytest.mark.parametrize("compression", ["none", "gzip", "xz", "zstd"])
def test_packages_of_dpkg_are_read(tmp_path: Path, compression: str) -> None:
    root = tmp_path / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        "Package: a\nVersion: 1\nArchitecture: all\nMaintainer: a <a@example.org>\nDescription: a\n"
    )
    (root / "usr" / "lib").mkdir(parents=True)
    (root / "usr" / "lib" / "a.so").write_bytes(MEMBERS["./usr/lib/a.so"])
    path = tmp_path / "a.deb"
    done = subprocess.run(
        ["dpkg-deb", f"-Z{compression}", "--root-owner-group", "--build", root, path], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"this dpkg-deb does not compress with {compression}")
    assert found(path) == {"./usr/lib/a.so": MEMBERS["./usr/lib/a.so"]}


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="there is no dpkg-deb here to compare with")
def test_dpkg_reads_the_packages_of_these_tests(tmp_path: Path) -> None:
    path = put(tmp_path, build_deb(MEMBERS, compression="xz"))
    subprocess.run(["dpkg-deb", "-x", path, tmp_path / "out"], check=True)
    assert (tmp_path / "out" / "usr" / "lib" / "a.so").read_bytes() == MEMBERS["./usr/lib/a.so"]
