"""RPMs and DEBs: each check of their readers by an input that it alone refuses, and independent programs as judges."""

import gzip
import shutil
import struct
import subprocess
import tracemalloc
from pathlib import Path

import pytest

from tests.unit.unpacking.packages import (
    COMPRESSIONS,
    REGULAR,
    ar_member,
    build_cpio,
    build_deb,
    build_rpm,
    build_tar,
    cpio_member,
)
from tests.unit.unpacking.test_walk import MEMBERS, found, put
from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError, VerdictdError
from verdictd.unpacking.limits import UnpackingLimits
from verdictd.unpacking.walk import walk

LEAD = b"\xed\xab\xee\xdb\x03\x00" + bytes(90)
EMPTY_HEADER = b"\x8e\xad\xe8\x01" + bytes(12)


def rpm_of(entries: bytes, store: bytes, payload: bytes) -> bytes:
    """An RPM with a header of these index entries."""
    counts = struct.pack(">II", len(entries) // 16, len(store))
    return LEAD + EMPTY_HEADER + b"\x8e\xad\xe8\x01" + bytes(4) + counts + entries + store + payload


def entry(tag: int, kind: int, offset: int) -> bytes:
    return struct.pack(">IIII", tag, kind, offset, 1)


def name_record(name: bytes, size: int) -> bytes:
    """A cpio header whose name has a size of its own."""
    header = cpio_member("", b"", mode=REGULAR)[:94] + b"%08x" % size + bytes(8).hex().encode()[:8]
    return header + name + bytes(-(110 + len(name)) % 4)


def test_what_the_header_says_of_the_payload_is_in_the_header(tmp_path: Path) -> None:
    payload = build_cpio(MEMBERS)
    assert found(put(tmp_path, rpm_of(entry(1124, 6, 0), b"cpio\0", payload))) == MEMBERS
    for tag in (1124, 1125):
        with pytest.raises(MalformedError, match=f"tag {tag} of the package is at byte 5 of 5 bytes"):
            found(put(tmp_path, rpm_of(entry(tag, 6, 5), b"cpio\0", payload)))
    # Of other tags, and of what is no text, nothing is read.
    assert found(put(tmp_path, rpm_of(entry(1000, 6, 2**32 - 1) + entry(1124, 4, 99), b"", payload))) == MEMBERS


def test_a_header_of_a_million_entries_costs_twice_its_bytes(tmp_path: Path) -> None:
    entries = b"".join(entry(tag, 6, 0) for tag in range(2000, 1_002_000))
    path = put(tmp_path, rpm_of(entries, b"x" * 31, build_cpio(MEMBERS)))
    del entries
    tracemalloc.start()
    try:
        assert found(path) == MEMBERS
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40 * 1024 * 1024


@pytest.mark.parametrize(("name", "size"), [(b"", 0), (b"a", 1), (b"abc", 3), (b"a\0b", 3), (b"a\0b\0", 4)], ids=repr)
def test_a_name_in_a_payload_ends_where_its_header_says(tmp_path: Path, name: bytes, size: int) -> None:
    payload = name_record(name, size) + build_cpio(MEMBERS)
    with pytest.raises(MalformedError, match="a name does not end where its header says"):
        found(put(tmp_path, rpm_of(b"", b"", payload)))


def test_zeros_behind_a_name_are_padding(tmp_path: Path) -> None:
    payload = name_record(b"a\0\0\0", 4) + build_cpio(MEMBERS)
    assert found(put(tmp_path, rpm_of(b"", b"", payload))) == {"a": b"", **MEMBERS}


@pytest.mark.parametrize("magic", [b"070707", b"\xc7q\x07\x07\0\0"])
def test_older_forms_of_cpio_are_refused(tmp_path: Path, magic: bytes) -> None:
    payload = b"0707" + build_cpio(MEMBERS)[4:]
    with pytest.raises((MalformedError, UnsupportedError)):
        found(put(tmp_path, rpm_of(b"", b"", magic + payload[6:])))


@pytest.mark.parametrize("compression", [name for name in COMPRESSIONS if name not in {"none", "zstd"}])
def test_a_payload_that_is_cut_off_behind_its_last_file_is_refused(tmp_path: Path, compression: str) -> None:
    package = build_rpm(MEMBERS, compression=compression)
    for cut in range(1, 6):
        with pytest.raises(MalformedError, match=f"the {compression} data ends early"):
            found(put(tmp_path, package[:-cut]))


def test_a_payload_whose_checksum_is_wrong_is_refused(tmp_path: Path) -> None:
    whole = gzip.compress(build_cpio(MEMBERS) + bytes(3_000_000), mtime=0)
    with pytest.raises(MalformedError, match="data check"):
        found(put(tmp_path, build_rpm({}, payload=whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:])))


def test_what_unpacks_without_end_behind_the_last_file_reaches_the_limit(tmp_path: Path) -> None:
    payload = gzip.compress(build_cpio(MEMBERS) + bytes(3_000_000))
    package = put(tmp_path, build_rpm({}, payload=payload))
    assert found(package) == MEMBERS
    with pytest.raises(LimitExceededError, match="unpacks to more than 2000000 bytes"):
        list(walk(package, UnpackingLimits(unpacked_bytes=2_000_000)))


def deb(form: bytes, name: str = "data.tar") -> bytes:
    return b"!<arch>\n" + ar_member("debian-binary", form) + ar_member(name, build_tar(MEMBERS))


def test_a_deb_says_that_it_is_of_the_second_format(tmp_path: Path) -> None:
    for form in (b"2.0\n", b"2.99\nmore", b"2.0\r\n"):
        assert found(put(tmp_path, deb(form))) == MEMBERS
    for form in (b"3.0\n", b"20\n", b"0.93"):
        with pytest.raises(UnsupportedError, match="supported is 2"):
            found(put(tmp_path, deb(form)))
    for form in (b"", b"2"):
        with pytest.raises(UnsupportedError, match="supported is 2"):
            found(put(tmp_path, deb(form)))


def test_the_files_of_a_deb_are_where_the_format_has_them(tmp_path: Path) -> None:
    assert found(put(tmp_path, deb(b"2.0\n", "data.tar/"))) == MEMBERS
    for name in ("control.tar", "_data.tar", "data", "#1/8"):
        with pytest.raises(MalformedError, match=r"no data\.tar"):
            found(put(tmp_path, deb(b"2.0\n", name)))


@pytest.mark.parametrize("compression", ["gzip", "xz", "bzip2"])
def test_the_checksum_of_the_files_of_a_deb_is_looked_at(tmp_path: Path, compression: str) -> None:
    whole = COMPRESSIONS[compression](build_tar(MEMBERS) + bytes(3_000_000))
    start = b"!<arch>\n" + ar_member("debian-binary", b"2.0\n")
    assert found(put(tmp_path, start + ar_member("data.tar", whole))) == MEMBERS
    with pytest.raises(MalformedError, match=f"the {compression} data ends early"):
        found(put(tmp_path, start + ar_member("data.tar", whole[:-4])))


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_deb_that_is_cut_off_behind_its_last_file_is_refused(tmp_path: Path, compression: str) -> None:
    package = build_deb(MEMBERS, compression=compression)
    padding = len(package) - len(package.rstrip(b"\0")) if compression == "none" else 3
    for cut in range(2, min(padding, 9000), 500):
        with pytest.raises(MalformedError, match="it ends in"):
            found(put(tmp_path, package[:-cut]))


@pytest.mark.parametrize("end", [b"\n`", b"``", b"  "])
def test_the_header_of_a_part_of_a_deb_ends_as_the_format_says(tmp_path: Path, end: bytes) -> None:
    package = bytearray(deb(b"2.0\n"))
    at = 8 + 60 + 4 + 58
    assert package[at : at + 2] == b"`\n"
    package[at : at + 2] = end
    with pytest.raises(MalformedError, match="no header that can be read"):
        found(put(tmp_path, bytes(package)))
    with pytest.raises(MalformedError, match="no header that can be read"):
        found(put(tmp_path, bytes(package[:at])))


def test_an_error_says_where_whatever_its_own_words_begin_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("it").write_bytes(build_rpm(MEMBERS, compression="none")[:-100])
    with pytest.raises(MalformedError, match=r"^it: it ends in the header of a file"):
        list(walk(Path("it")))


@pytest.mark.parametrize("at", ["archive", "member"])
def test_a_message_has_bounds_whatever_archives_call_their_files(tmp_path: Path, at: str) -> None:
    content = build_rpm({"e" * 4000: b"x" * 5000}, compression="none")[: -5200 if at == "member" else -100]
    for _ in range(2):
        content = build_tar({b"\x1b" * 1000 + b"d" * 3000: content})
    with pytest.raises(MalformedError) as caught:
        found(put(tmp_path, content))
    assert len(str(caught.value)) < 4096
    assert str(caught.value).isprintable()
    assert str(caught.value).startswith(str(tmp_path))


def test_everything_together_is_found_under_names_that_say_where(tmp_path: Path) -> None:
    innermost = build_rpm({"./c": b"3"}, compression="zstd")
    inner = build_deb({"./b": b"2", "./in.rpm": innermost}, compression="xz")
    (tmp_path / "root").mkdir()
    put(tmp_path / "root", COMPRESSIONS["bzip2"](build_tar({"a": b"1", "in.deb": inner})), "t.tbz")
    assert found(tmp_path / "root") == {
        "/t.tbz: a": b"1",
        "/t.tbz: in.deb: ./b": b"2",
        "/t.tbz: in.deb: ./in.rpm: ./c": b"3",
    }


def test_the_limits_are_of_the_walk_and_not_of_each_archive_in_it(tmp_path: Path) -> None:
    for name in "abc":
        put(tmp_path, build_rpm({"x": bytes(1000)}), name)
    assert len(list(walk(tmp_path, UnpackingLimits(unpacked_bytes=20_000, members=6)))) == 3
    for limits in (UnpackingLimits(unpacked_bytes=12_000), UnpackingLimits(members=5)):
        with pytest.raises(LimitExceededError):
            list(walk(tmp_path, limits))


SPECIFICATION = """
Name: example
Version: 1
Release: 1
Summary: example
License: none
BuildArch: noarch
%description
example
%install
mkdir -p %{buildroot}/usr/lib/example
printf content > %{buildroot}/usr/lib/example/a.so
ln %{buildroot}/usr/lib/example/a.so %{buildroot}/usr/lib/example/b.so
ln -s a.so %{buildroot}/usr/lib/example/link
touch %{buildroot}/usr/lib/example/empty
%files
/usr/lib/example
"""


@pytest.mark.skipif(shutil.which("rpmbuild") is None, reason="there is no rpmbuild here to compare with")
@pytest.mark.parametrize("form", ["w9.gzdio", "w6.xzdio", "w6.lzdio", "w9.bzdio", "w19.zstdio", "w.ufdio"])
def test_packages_of_rpmbuild_are_read(tmp_path: Path, form: str) -> None:
    (tmp_path / "example.spec").write_text(SPECIFICATION)
    settings = {"_topdir": str(tmp_path), "_binary_payload": form, "__os_install_post": "%{nil}"}
    defined = [each for key, value in settings.items() for each in ("--define", f"{key} {value}")]
    done = subprocess.run(
        ["rpmbuild", "-bb", *defined, tmp_path / "example.spec"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"this rpmbuild does not build: {done.stderr[-200:]}")
    (package,) = (tmp_path / "RPMS").rglob("*.rpm")
    # The content of a file with two names comes with the last of them.
    assert found(package) == {
        "./usr/lib/example/a.so": b"",
        "./usr/lib/example/b.so": b"content",
        "./usr/lib/example/empty": b"",
    }


@pytest.mark.skipif(shutil.which("bsdtar") is None, reason="there is no bsdtar here to compare with")
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_bsdtar_reads_the_packages_of_these_tests(tmp_path: Path, compression: str) -> None:
    path = put(tmp_path, build_rpm(MEMBERS, compression=compression))
    (tmp_path / "out").mkdir()
    subprocess.run(["bsdtar", "-xf", path, "-C", tmp_path / "out"], check=True)
    for name, content in MEMBERS.items():
        assert (tmp_path / "out" / name).read_bytes() == content


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="there is no dpkg-deb here to compare with")
@pytest.mark.parametrize("compression", ["none", "gzip", "xz", "zstd"])
def test_dpkg_lists_what_is_found(tmp_path: Path, compression: str) -> None:
    path = put(tmp_path, build_deb(MEMBERS, compression=compression))
    done = subprocess.run(["dpkg-deb", "-c", path], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this dpkg-deb does not read {compression}")
    listed = {line.split()[-1]: int(line.split()[2]) for line in done.stdout.splitlines()}
    assert listed == {name: len(content) for name, content in found(path).items()}


@pytest.mark.parametrize("at", range(13))
@pytest.mark.parametrize("value", [b"00000000", b"00000001", b"0000006e", b"000081a4", b"7fffffff", b"ffffffff"])
def test_any_field_of_a_cpio_header_may_lie(tmp_path: Path, at: int, value: bytes) -> None:
    """Then it is refused, or the field is of no matter, or what it says is what is taken."""
    payload = bytearray(build_cpio({"a": b"content", "b": b"more"}))
    payload[6 + at * 8 : 14 + at * 8] = value
    try:
        files = found(put(tmp_path, rpm_of(b"", b"", bytes(payload))))
    except VerdictdError:
        assert at in {6, 11}, "neither the size nor the size of the name"
    else:
        assert files in ({"a": b"content", "b": b"more"}, {"b": b"more"})
        assert (len(files) == 1) == (at == 1 and value != b"000081a4")
