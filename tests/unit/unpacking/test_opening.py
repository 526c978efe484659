"""Opening what was found: the file that was looked at, whole; and misuse is refused rather than shown half a file."""

import os
import tempfile
from functools import partial
from pathlib import Path

import pytest

from tests.unit.unpacking.packages import build_cpio, build_rpm, build_tar
from tests.unit.unpacking.test_walk import put
from verdictd.core.errors import ConfigError, LimitExceededError, MalformedError
from verdictd.unpacking.limits import UnpackingLimits
from verdictd.unpacking.walk import walk

CONTENT = bytes(range(256)) * 100


def test_a_member_is_a_real_file_that_has_no_name(tmp_path: Path) -> None:
    for file in walk(put(tmp_path, build_rpm({"a": CONTENT}))):
        with file.open() as opened:
            assert os.fstat(opened.fileno()).st_nlink == 0
            assert os.pread(opened.fileno(), 10, 300) == CONTENT[300:310]
            opened.seek(-5, os.SEEK_END)
            assert opened.read() == CONTENT[-5:]


def test_a_plain_file_is_opened_in_place_and_as_often_as_asked(tmp_path: Path) -> None:
    path = put(tmp_path, CONTENT)
    for file in walk(path):
        for _ in range(2):
            with file.open() as opened:
                assert os.path.samestat(os.fstat(opened.fileno()), path.stat())
                assert opened.read() == CONTENT


def test_a_plain_file_is_the_one_that_was_looked_at(tmp_path: Path) -> None:
    path = put(tmp_path, CONTENT)
    for file in walk(path):
        path.unlink()
        path.write_bytes(b"another")
        with file.open() as opened:
            assert opened.read() == CONTENT


def test_a_member_cannot_be_opened_twice(tmp_path: Path) -> None:
    for file in walk(put(tmp_path, build_rpm({"a": CONTENT}))):
        with file.open():
            pass
        with pytest.raises(RuntimeError, match="opened before"), file.open():
            pass


@pytest.mark.parametrize("content", [build_rpm({"a": CONTENT, "b": b""}), build_tar({"a": CONTENT}), CONTENT])
def test_nothing_can_be_opened_when_the_walk_has_moved_on(tmp_path: Path, content: bytes) -> None:
    for file in list(walk(put(tmp_path, content))):
        with pytest.raises(RuntimeError, match="moved on"), file.open():
            pass


def test_damage_that_shows_in_opening_stays(tmp_path: Path) -> None:
    """Whoever opens it may go on to the next member, of which nothing is left that could be believed."""
    package = build_rpm({"a": CONTENT, "b": CONTENT}, compression="none")
    path = put(tmp_path, package[: -len(CONTENT) - 2000])
    walking = walk(path)
    file = next(walking)
    with pytest.raises(MalformedError) as caught, file.open():
        pass
    assert caught.value.message.startswith("it ends in a file")
    with pytest.raises(MalformedError):
        next(walking)


def test_a_member_that_is_too_large_is_not_read_and_the_next_one_is_found(tmp_path: Path) -> None:
    path = put(tmp_path, build_rpm({"a": CONTENT, "b": b"small"}))
    refused = []
    for file in walk(path, UnpackingLimits(opened_bytes=100)):
        try:
            with file.open() as opened:
                assert opened.read() == b"small"
        except LimitExceededError as error:
            refused.append(error.message)
    assert refused == [f"it is {len(CONTENT)} bytes long, the limit within archives is 100"]


def test_no_room_for_a_member_is_the_operators_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise FileNotFoundError(2, "No usable temporary directory")

    monkeypatch.setattr(tempfile, "TemporaryFile", fail)
    for file in walk(put(tmp_path, build_rpm({"a": CONTENT}))):
        with pytest.raises(ConfigError, match="a cannot be unpacked into a temporary file: No usable"), file.open():
            pass


def test_a_full_disk_is_the_operators_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = partial(Path("/dev/full").open, "r+b", buffering=0)
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    payload = build_cpio({"a": CONTENT})
    for file in walk(put(tmp_path, build_rpm({}, payload=payload, tags={1125: "none"}))):
        with pytest.raises(ConfigError, match="No space left"), file.open():
            pass
