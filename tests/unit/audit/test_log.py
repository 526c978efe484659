"""Appending: the chain goes on over segments, threads, restarts and torn lines; whatever fails is not recorded."""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from verdictd.audit.lines import BEGINNING, MAX_LINE_BYTES, Head, encode_content, parse_line
from verdictd.audit.log import AuditLog
from verdictd.audit.segments import AuditLogError, read_lines, snapshot
from verdictd.audit.verification import Line, Verification, verify
from verdictd.core.errors import LimitExceededError
from verdictd.core.result import JSONValue

NOW = datetime(2026, 6, 1, 12, 30, 15, 123456, tzinfo=UTC)


def verified(directory: Path, *expected: Head) -> Verification:
    lines = (
        Line(segment.path.name, number, line)
        for segment in snapshot(directory)
        for number, line in enumerate(read_lines(segment), 1)
    )
    return verify(lines, expected)


def contents(directory: Path) -> list[JSONValue]:
    return [dict(parse_line(line).content) for segment in snapshot(directory) for line in read_lines(segment)]


def test_records_count_from_1_and_go_on_after_a_restart(tmp_path: Path) -> None:
    directory = tmp_path / "data" / "audit"
    with AuditLog.open(directory, clock=lambda: NOW) as log:
        assert log.read_head() == BEGINNING
        assert log.append({"kind": "a"}) == 1
        assert log.append_all([{"kind": "b"}, {"kind": "c"}]) == range(2, 4)
        head = log.read_head()
    with AuditLog.open(directory, clock=lambda: NOW) as log:
        assert log.read_head() == head
        assert log.append({"kind": "d"}) == 4
    assert contents(directory) == [{"kind": kind} for kind in "abcd"]
    assert verified(directory, head).holds


def test_a_line_is_canonical_and_its_hash_is_that_of_the_file(tmp_path: Path) -> None:
    with AuditLog.open(tmp_path, clock=lambda: NOW) as log:
        log.append({"z": "é\n", "a": [1, 0.5, None]})
        first = (tmp_path / "audit.jsonl").read_bytes()
        log.append({})
    nothing = b"0" * 64
    assert first == (
        b'{"at":"2026-06-01T12:30:15.123456Z","content":{"a":[1,0.5,null],"z":"\\u00e9\\n"},'
        b'"previous":"' + nothing + b'","seq":1}\n'
    )
    second = parse_line((tmp_path / "audit.jsonl").read_bytes()[len(first) :])
    assert second.previous == hashlib.sha256(first).hexdigest()


def test_two_that_have_the_log_open_chain_to_each_other(tmp_path: Path) -> None:
    with AuditLog.open(tmp_path) as one, AuditLog.open(tmp_path) as two:
        numbers = [
            log.append({"by": name}) for name, log in [("1", one), ("2", two), ("1", one), ("1", one), ("2", two)]
        ]
        assert numbers == [1, 2, 3, 4, 5]
        assert one.read_head() == two.read_head()
    assert verified(tmp_path).holds


def test_threads_of_one_process_get_numbers_of_their_own(tmp_path: Path) -> None:
    numbers: list[int] = []
    with AuditLog.open(tmp_path, max_segment_bytes=20_000) as log:
        threads = [
            threading.Thread(target=lambda: numbers.extend(log.append({"x": "y" * 50}) for _ in range(200)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(numbers) == list(range(1, 801))
    assert (verified(tmp_path).holds, verified(tmp_path).records) == (True, 800)


def test_full_segments_are_named_by_their_first_record_and_the_chain_goes_on(tmp_path: Path) -> None:
    with AuditLog.open(tmp_path, max_segment_bytes=1000) as one, AuditLog.open(tmp_path, max_segment_bytes=1000) as two:
        for _ in range(20):
            one.append({"x": "y" * 200})
            two.append({"x": "y" * 200})
        head = one.read_head()
    paths = sorted(path.name for path in tmp_path.glob("audit*"))
    assert paths[:2] == ["audit-0000000000000001.jsonl", "audit-0000000000000004.jsonl"]
    assert paths[-1] == "audit.jsonl"
    assert verified(tmp_path, head).records == 40
    assert verified(tmp_path, head).holds
    moved = tmp_path / "audit-0000000000000001.jsonl"
    moved.rename(tmp_path / "moved away")
    found = verified(tmp_path, head)
    assert (found.holds, found.first, found.records) == (True, 4, 37)


def test_a_segment_is_full_when_it_has_reached_its_size(tmp_path: Path) -> None:
    with AuditLog.open(tmp_path / "measured", clock=lambda: NOW) as log:
        log.append({"kind": "a"})
    size = (tmp_path / "measured" / "audit.jsonl").stat().st_size
    for limit, segments in ((size, 2), (size + 1, 1)):
        directory = tmp_path / str(limit)
        with AuditLog.open(directory, clock=lambda: NOW, max_segment_bytes=limit) as log:
            log.append({"kind": "a"})
            log.append({"kind": "b"})
        assert len(snapshot(directory)) == segments


def test_a_rotation_that_was_interrupted_is_finished_by_the_next(tmp_path: Path) -> None:
    with AuditLog.open(tmp_path) as log:
        log.append({"kind": "a"})
    (tmp_path / "audit.jsonl").rename(tmp_path / "audit-0000000000000001.jsonl")
    with AuditLog.open(tmp_path) as log:
        assert log.append({"kind": "b"}) == 2
    (tmp_path / "audit.jsonl").rename(tmp_path / "audit-0000000000000002.jsonl")
    (tmp_path / "audit.jsonl").touch()
    with AuditLog.open(tmp_path) as log:
        assert log.append({"kind": "c"}) == 3
    assert contents(tmp_path) == [{"kind": kind} for kind in "abc"]
    assert verified(tmp_path).holds


@pytest.mark.parametrize("kept", [1, 50, -1], ids=["one byte", "half", "all but the line feed"])
@pytest.mark.parametrize("is_open", [True, False], ids=["while others have it open", "at the start"])
def test_a_torn_line_is_moved_away_and_the_chain_goes_on(tmp_path: Path, kept: int, is_open: bool) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog.open(tmp_path)
    log.append({"kind": "a"})
    log.append({"kind": "b"})
    whole = path.read_bytes()
    if not is_open:
        log.close()
    torn = whole.splitlines(keepends=True)[1][:kept]
    with path.open("ab") as file:
        file.write(torn)
    assert not verified(tmp_path).holds
    if not is_open:
        log = AuditLog.open(tmp_path)
    assert log.append({"kind": "c"}) == 4
    log.close()
    assert path.read_bytes().startswith(whole)
    (kept_file,) = tmp_path.glob("*.torn")
    assert kept_file.read_bytes() == torn
    recovered = contents(tmp_path)[2]
    assert recovered == {
        "kind": "recovered",
        "torn_bytes": len(torn),
        "torn_sha256": hashlib.sha256(torn).hexdigest(),
        "kept_in": kept_file.name,
    }
    assert verified(tmp_path).holds


def test_a_log_that_was_torn_twice_at_one_place_keeps_both(tmp_path: Path) -> None:
    AuditLog.open(tmp_path).close()
    (tmp_path / "audit-0000000000000001-1.torn").write_bytes(b"before")
    (tmp_path / "audit.jsonl").write_bytes(b'{"at":')
    AuditLog.open(tmp_path).close()
    assert {path.read_bytes() for path in tmp_path.glob("*.torn")} == {b"before", b'{"at":'}


def cut_to_first(path: Path) -> None:
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])


def replace_last(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"bb"', b'"ccc"'))


@pytest.mark.parametrize("change", [cut_to_first, replace_last, Path.unlink], ids=lambda change: change.__name__)
def test_a_log_that_was_changed_while_it_is_open_is_not_continued(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    with AuditLog.open(tmp_path) as log:
        log.append({"kind": "aa"})
        log.append({"kind": "bb"})
        change(tmp_path / "audit.jsonl")
        with pytest.raises(AuditLogError, match="changed while verdictd runs"):
            log.append({"kind": "dd"})


@pytest.mark.parametrize(
    "end",
    [b"\n", b"nonsense\n", b"{}\n", b"\0" * 100 + b"\n", b"x" * (MAX_LINE_BYTES + 1), b"x" * (3 * MAX_LINE_BYTES)],
)
def test_what_does_not_end_like_a_log_is_not_continued(tmp_path: Path, end: bytes) -> None:
    with AuditLog.open(tmp_path) as log:
        log.append({"kind": "a"})
        with (tmp_path / "audit.jsonl").open("ab") as file:
            file.write(end)
        before = (tmp_path / "audit.jsonl").read_bytes()
        with pytest.raises(AuditLogError, match="does not end with a record"):
            log.append({"kind": "b"})
    with pytest.raises(AuditLogError, match=r"does not end with a record.*verdict audit verify"):
        AuditLog.open(tmp_path)
    assert (tmp_path / "audit.jsonl").read_bytes() == before


def test_a_record_of_any_size_up_to_the_limit_can_be_continued(tmp_path: Path) -> None:
    longest = MAX_LINE_BYTES - 192 - len('{"x":""}')
    with AuditLog.open(tmp_path) as log:
        for size in (longest, 1, longest, longest):
            log.append({"x": "y" * size})
            with AuditLog.open(tmp_path) as other:
                assert other.read_head() == log.read_head()
        with pytest.raises(LimitExceededError, match="the limit is"):
            log.append({"x": "y" * (longest + 1)})
    assert verified(tmp_path).records == 4
    assert verified(tmp_path).holds
    assert len(encode_content({"x": "y" * longest})) == MAX_LINE_BYTES - 192


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"bytes", {1, 2}])
def test_what_is_not_json_is_a_mistake_of_the_caller_and_not_recorded(tmp_path: Path, value: object) -> None:
    with AuditLog.open(tmp_path) as log:
        with pytest.raises((TypeError, ValueError)):
            log.append_all([{"kind": "fine"}, {"x": value}])  # type: ignore[dict-item]
        assert log.read_head() == BEGINNING


FILLS_THE_DISK = r"""
import json, pathlib, resource, sys
from verdictd.audit.log import AuditLog
from verdictd.audit.segments import AuditLogError

directory = pathlib.Path(sys.argv[1])
log = AuditLog.open(directory)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
acknowledged, errors = 0, []
for _ in range(60):
    try:
        acknowledged = log.append({"x": "y" * 100})
    except AuditLogError as error:
        errors.append(str(error))
size = (directory / "audit.jsonl").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
after = log.append({"x": "there is room again"})
print(json.dumps([acknowledged, size, errors, after]))
"""


def test_a_full_disk_records_nothing_by_halves_and_says_what_to_do(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: it cuts a write short in the middle just so."""
    done = subprocess.run(
        [sys.executable, "-c", FILLS_THE_DISK, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    acknowledged, size, errors, after = json.loads(done.stdout)
    assert 0 < acknowledged < 60
    assert len(errors) == 60 - acknowledged
    assert all("make room" in error for error in errors)
    assert size < 5000
    assert after == acknowledged + 1
    assert not list(tmp_path.glob("*.torn"))
    assert verified(tmp_path).holds
    assert verified(tmp_path).records == after


def test_a_directory_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AuditLogError, match=r"cannot be opened.*see that it is there"):
        AuditLog.open(tmp_path / "file")


def test_a_lock_that_is_not_given_back_does_not_hold_a_handshake_for_ever(tmp_path: Path) -> None:
    with AuditLog.open(tmp_path, lock_timeout_s=0.05) as log, (tmp_path / "lock").open() as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with pytest.raises(AuditLogError, match="is locked"):
            log.append({"kind": "a"})
        with pytest.raises(AuditLogError, match="is locked"):
            snapshot(tmp_path, lock_timeout_s=0.05)
        fcntl.flock(holder, fcntl.LOCK_UN)
        assert log.append({"kind": "a"}) == 1


def test_a_log_that_is_closed_records_nothing(tmp_path: Path) -> None:
    log = AuditLog.open(tmp_path)
    log.close()
    log.close()
    with pytest.raises(AuditLogError, match="closed"):
        log.append({"kind": "a"})


def test_a_log_is_not_shared_over_a_fork(tmp_path: Path) -> None:
    """Both would hold one lock, and write over each other."""
    with AuditLog.open(tmp_path) as log:
        child = os.fork()
        if child == 0:
            try:
                log.append({"kind": "a"})
            except RuntimeError:
                os._exit(7)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert log.append({"kind": "b"}) == 1


def test_everything_appended_is_synced_also_what_is_in_an_older_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    real = os.fdatasync

    def fdatasync(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    with AuditLog.open(tmp_path, max_segment_bytes=100) as log:
        synced.clear()
        for _ in range(3):
            log.append({"kind": "a"})
        log.sync()
        inodes = [segment.path.stat().st_ino for segment in snapshot(tmp_path)]
        assert synced == inodes
        assert len(inodes) == 3
        log.sync()
        assert synced == inodes
        log.append({"kind": "b"})
        log.sync()
        assert len(synced) == len(inodes) + 2  # the full one that was synced already, and the new one


def test_a_log_that_is_to_be_synced_always_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    with AuditLog.open(tmp_path, sync_always=True) as log:
        monkeypatch.setattr(os, "fdatasync", synced.append)
        log.append({"kind": "a"})
        assert len(synced) == 1


def test_a_disk_that_fails_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with AuditLog.open(tmp_path) as log:
        log.append({"kind": "a"})
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", fails)
            for _ in range(2):
                with pytest.raises(AuditLogError, match="Input/output error"):
                    log.sync()
        log.sync()
