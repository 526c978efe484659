"""The operator's own files: all that is in a directory, nothing that is not, and no waiting for what never comes."""

import os
from pathlib import Path

import pytest

from tests.unit.unpacking.packages import build_rpm, build_tar
from tests.unit.unpacking.test_walk import found, put
from verdictd.core.errors import ConfigError, LimitExceededError
from verdictd.unpacking.limits import UnpackingLimits
from verdictd.unpacking.walk import walk


def test_directories_are_walked_in_order_without_following_links(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "b").mkdir(parents=True)
    (root / "a").write_bytes(b"1")
    (root / "b" / "c").write_bytes(build_tar({"x": b"2"}))
    (root / "d").symlink_to(root / "a")
    (root / "e").symlink_to(root)
    (tmp_path / "outside").write_bytes(b"3")
    (root / "f").symlink_to(tmp_path / "outside")
    os.mkfifo(root / "g")
    assert found(root) == {"/a": b"1", "/b/c: x": b"2"}
    assert list(found(root)) == ["/a", "/b/c: x"]


def test_a_link_that_the_operator_names_is_followed(tmp_path: Path) -> None:
    put(tmp_path, b"1", "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert found(tmp_path / "link") == {"": b"1"}


def test_what_is_not_there_is_the_operators_matter(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="missing cannot be read: No such file"):
        list(walk(tmp_path / "missing"))


def test_a_directory_that_is_gone_meanwhile_is_the_operators_matter(tmp_path: Path) -> None:
    (tmp_path / "root" / "a").mkdir(parents=True)
    put(tmp_path / "root", b"1", "0")
    walking = walk(tmp_path / "root")
    next(walking)
    (tmp_path / "root" / "a").rmdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        list(walking)


def test_a_directory_is_in_order_of_its_names_whatever_order_they_were_made_in(tmp_path: Path) -> None:
    for name in ("c", "a", "b/z", "b/y", "B"):
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    assert list(found(tmp_path / "root")) == ["/B", "/a", "/b/y", "/b/z", "/c"]


def test_directories_that_are_nested_without_end_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c" / "file").write_bytes(b"")
    assert list(walk(tmp_path, UnpackingLimits(directory_depth=4)))
    with pytest.raises(LimitExceededError, match="/a/b/c is more than 3 directories deep"):
        list(walk(tmp_path, UnpackingLimits(directory_depth=3)))


def test_directories_deeper_than_the_interpreter_recurses_are_refused(tmp_path: Path) -> None:
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        for _ in range(1200):
            Path("d").mkdir()
            os.chdir("d")
    finally:
        os.chdir(before)
    with pytest.raises(LimitExceededError, match="directories deep"):
        list(walk(tmp_path))
    # The path is too long to be removed by it, which whoever cleans up after the test would try.
    descriptor = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1200):
        inner = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    for _ in range(1200):
        outer = os.open("..", os.O_RDONLY, dir_fd=descriptor)
        os.rmdir("d", dir_fd=outer)
        os.close(descriptor)
        descriptor = outer
    os.close(descriptor)


def test_a_directory_of_too_many_entries_is_refused(tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / name).symlink_to("nowhere")
    assert not list(walk(tmp_path, UnpackingLimits(members=4)))
    with pytest.raises(LimitExceededError, match="more than 3 files"):
        list(walk(tmp_path, UnpackingLimits(members=3)))


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b", "a" * 300])
def test_a_path_that_cannot_be_is_the_operators_matter(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        list(walk(Path(name)))
    assert len(str(caught.value)) < 1200
    assert str(caught.value).isprintable()


def test_a_directory_that_may_not_be_looked_into_is_the_operators_matter(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match="Not a directory"):
        list(walk(tmp_path / "file" / "below"))


def test_a_pipe_or_a_device_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ConfigError, match="neither a file nor a directory"):
            list(walk(path))


@pytest.mark.parametrize("trap", ["link", "pipe"])
def test_what_is_exchanged_after_it_was_listed_leads_nowhere(tmp_path: Path, trap: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"secret")
    for name in ("0", "1"):
        (root / name).write_bytes(b"")
    walking = walk(root)
    next(walking)
    (root / "1").unlink()
    if trap == "link":
        (root / "1").symlink_to(tmp_path / "outside")
        with pytest.raises(ConfigError, match="/1 cannot be read"):
            list(walking)
    else:
        os.mkfifo(root / "1")
        assert not list(walking)


def test_a_directory_that_is_moved_while_it_is_walked_leads_nowhere(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "d").mkdir(parents=True)
    for name in ("1", "2"):
        (root / "d" / name).write_bytes(b"inside")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "2").write_bytes(b"outside")
    walking = walk(root)
    next(walking)
    (root / "d").rename(root / "e")
    (root / "d").symlink_to(tmp_path / "outside")
    assert [file.head for file in walking] == [b"inside"]


def test_no_file_stays_open(tmp_path: Path) -> None:
    for name in ("a/b/1", "a/2", "3"):
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(build_rpm({"x": b"y"}))
    before = list(Path("/proc/self/fd").iterdir())
    found(tmp_path / "root")
    walking = walk(tmp_path / "root")
    next(walking)
    walking.close()  # type: ignore[attr-defined]
    assert len(list(Path("/proc/self/fd").iterdir())) == len(before)
