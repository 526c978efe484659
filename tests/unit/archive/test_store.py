"""The archive on disk: each blob once, within its bounds, for several processes, and never believed."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.appraisal.platforms import NOW
from tests.unit.archive.peers import judge
from verdictd.archive.builder import BuiltEntry, build_entry
from verdictd.archive.database import FILE, ArchiveError
from verdictd.archive.material import Blob, Role
from verdictd.archive.reader import ArchiveReader
from verdictd.archive.store import ArchiveBounds, ArchiveStore
from verdictd.core.errors import ConfigError, MalformedError, VerdictdError
from verdictd.policy.runner import PolicyRunner

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def built(runner: PolicyRunner) -> BuiltEntry:
    return build_entry(judge(runner, "accepted"))


def numbered(built: BuiltEntry, number: int, *, certificate: bytes | None = None) -> BuiltEntry:
    """Another attestation by the same, or with a certificate of its own."""
    blobs = dict(built.blobs)
    if certificate is not None:
        blobs[Role.CERTIFICATE] = Blob.of(certificate)
    digests = {role: blob.digest for role, blob in blobs.items()}
    return BuiltEntry(replace(built.entry, number=number, digests=digests), blobs)


def count(directory: Path, table: str) -> int:
    connection = sqlite3.connect(directory / FILE)
    try:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608
    finally:
        connection.close()


def numbers(directory: Path) -> list[int]:
    return [bundle.entry.number for bundle in ArchiveReader(directory).newest(1000)]


def test_each_blob_is_kept_once_and_goes_with_the_last_that_uses_it(tmp_path: Path, built: BuiltEntry) -> None:
    bounds = ArchiveBounds(max_age=timedelta(days=2))
    own = [numbered(built, number, certificate=b"%d" % number) for number in range(1, 4)]
    with ArchiveStore(tmp_path, bounds) as store:
        for day, each in enumerate(own):
            store.add([each], NOW + timedelta(days=day))
        assert count(tmp_path, "blobs") == len(built.blobs) - 1 + 3
        store.prune(NOW + timedelta(days=2, seconds=1))
        assert (numbers(tmp_path), count(tmp_path, "blobs")) == ([2, 3], len(built.blobs) - 1 + 2)
        store.prune(NOW + timedelta(days=4))
        assert (numbers(tmp_path), count(tmp_path, "blobs")) == ([3], len(built.blobs))
        store.prune(NOW + timedelta(days=4, seconds=1))
        assert [count(tmp_path, table) for table in ("entries", "blobs", "uses")] == [0, 0, 0]


def test_the_oldest_go_where_there_are_too_many_bytes(tmp_path: Path, built: BuiltEntry) -> None:
    bounds = ArchiveBounds(max_bytes=MIB)
    with ArchiveStore(tmp_path, bounds) as store:
        for number in range(1, 101):
            store.add([numbered(built, number, certificate=b"%4d" % number * 15_000)], NOW)
            assert number in numbers(tmp_path)
    left = numbers(tmp_path)
    assert left == list(range(left[0], 101))
    assert left[0] > 1
    assert len(left) >= 3
    assert ArchiveReader(tmp_path).summary().bytes_used <= 2 * MIB
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 20 * MIB
    found = ArchiveReader(tmp_path).find_number(100)
    assert found is not None
    assert found.blobs[Role.CERTIFICATE] == b" 100" * 15_000


def test_a_file_becomes_smaller_when_it_may_be_only_smaller(tmp_path: Path, built: BuiltEntry) -> None:
    with ArchiveStore(tmp_path, ArchiveBounds()) as store:
        store.add([numbered(built, number, certificate=b"%4d" % number * 15_000) for number in range(1, 101)], NOW)
    before = ArchiveReader(tmp_path).summary().bytes_used
    with ArchiveStore(tmp_path, ArchiveBounds(max_bytes=MIB)) as store:
        for _ in range(20):
            store.prune(NOW)
    assert before > 6 * MIB
    assert ArchiveReader(tmp_path).summary().bytes_used <= 3 * MIB
    assert numbers(tmp_path)[-1] == 100


@pytest.mark.parametrize("bounds", [{"max_bytes": MIB - 1}, {"max_age": timedelta()}])
def test_bounds_that_keep_nothing_are_refused(bounds: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="keeps nothing"):
        ArchiveBounds(**bounds)  # type: ignore[arg-type]


def test_entries_are_added_all_or_none(tmp_path: Path, built: BuiltEntry) -> None:
    broken = BuiltEntry(built.entry, {Role.CERTIFICATE: Blob("00", b"x" * (17 * MIB))})
    with ArchiveStore(tmp_path, ArchiveBounds()) as store:
        with pytest.raises(ArchiveError):
            store.add([built, broken], NOW)
        assert count(tmp_path, "entries") == 0
        store.add([built], NOW)
        assert count(tmp_path, "entries") == 1


WRITER = """
import pathlib, sys
from datetime import UTC, datetime
from tests.unit.archive.peers import judge
from tests.unit.archive.test_store import numbered
from verdictd.archive.builder import build_entry
from verdictd.archive.store import ArchiveBounds, ArchiveStore
from verdictd.policy.runner import PolicyRunner

with PolicyRunner(workers=1) as runner:
    built = build_entry(judge(runner, "accepted"))
print("ready", flush=True)
sys.stdin.readline()
with ArchiveStore(pathlib.Path(sys.argv[1]), ArchiveBounds()) as store:
    for number in range(int(sys.argv[2]), int(sys.argv[2]) + 200):
        store.add([numbered(built, number, certificate=b"%d" % (number % 1000))], datetime.now(UTC))
"""


def test_two_processes_open_and_write_at_once(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "archive"), start],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for start in ("1000", "2000")
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.communicate("go\n", timeout=60)
        assert process.returncode == 0
    found = numbers(tmp_path / "archive")
    assert sorted(found) == [*range(1000, 1200), *range(2000, 2200)]
    assert [number for number in found if number < 2000] == list(range(1000, 1200))
    for bundle in ArchiveReader(tmp_path / "archive").newest(1000, frozenset(Role)):
        assert bundle.blobs[Role.CERTIFICATE] == b"%d" % (bundle.entry.number % 1000)


def test_the_newest_are_given_with_the_roles_asked_for(tmp_path: Path, built: BuiltEntry) -> None:
    with ArchiveStore(tmp_path, ArchiveBounds()) as store:
        store.add([numbered(built, number) for number in range(1, 8)], NOW)
    found = list(ArchiveReader(tmp_path).newest(3, frozenset({Role.POLICY_INPUT})))
    assert [bundle.entry.number for bundle in found] == [5, 6, 7]
    assert {frozenset(bundle.blobs) for bundle in found} == {frozenset({Role.POLICY_INPUT})}
    summary = ArchiveReader(tmp_path).summary()
    assert (summary.entries, summary.blobs, summary.oldest) == (7, len(built.blobs), NOW)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE blobs SET content = x'00'",
        "UPDATE blobs SET content = 'text'",
        "UPDATE blobs SET content = zeroblob(16000000)",
        "UPDATE blobs SET digest = zeroblob(32) WHERE id = 1",
        "DELETE FROM blobs",
        "UPDATE entries SET body = x'00'",
        "UPDATE entries SET body = 'text'",
        "UPDATE entries SET body = 7",
        "DROP TABLE blobs",
        "DROP TABLE entries",
        "ALTER TABLE entries RENAME COLUMN body TO other",
        "PRAGMA user_version = 2",
        "PRAGMA application_id = 1",
    ],
)
def test_what_somebody_changed_is_refused_with_our_errors(tmp_path: Path, built: BuiltEntry, damage: str) -> None:
    with ArchiveStore(tmp_path, ArchiveBounds()) as store:
        store.add([built], NOW)
    connection = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    connection.execute(damage)
    connection.close()
    reader = ArchiveReader(tmp_path)
    with pytest.raises(VerdictdError):
        reader.find(built.entry.attestation_id)
    with pytest.raises(VerdictdError):
        list(reader.newest(10, frozenset(Role)))


def overwrite(path: Path) -> None:
    path.write_bytes(b"this is no database at all" * 1000)


def tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def scribble(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:] = bytes(len(data) - 4096)
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [overwrite, tear, scribble], ids=lambda damage: damage.__name__)
def test_a_file_that_is_damaged_is_said(tmp_path: Path, built: BuiltEntry, damage: Callable[[Path], None]) -> None:
    with ArchiveStore(tmp_path, ArchiveBounds()) as store:
        store.add([built], NOW)
    damage(tmp_path / FILE)
    with pytest.raises(ArchiveError, match="move it away"):
        ArchiveReader(tmp_path).find(built.entry.attestation_id)
    with pytest.raises(ArchiveError, match="move it away"), ArchiveStore(tmp_path, ArchiveBounds()) as store:
        store.add([built], NOW)


def test_the_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / FILE)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(ArchiveError, match="no archive of this version"):
        ArchiveStore(tmp_path, ArchiveBounds())
    with pytest.raises(ArchiveError, match="no archive of this version"):
        ArchiveReader(tmp_path).summary()


def test_no_archive_is_said_and_none_is_made_by_looking(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="--archive"):
        ArchiveReader(tmp_path).find("00")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / FILE).touch()
    with pytest.raises(ArchiveError, match="no archive"):
        ArchiveReader(tmp_path).find("00")
    with pytest.raises(ArchiveError, match="cannot be used"):
        ArchiveStore(tmp_path / FILE, ArchiveBounds())


def test_a_blob_whose_digest_somebody_changed_beside_it_is_refused(tmp_path: Path, built: BuiltEntry) -> None:
    """The digest is that of the entry, and not that of the table."""
    with ArchiveStore(tmp_path, ArchiveBounds()) as store:
        store.add([built], NOW)
    connection = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    digest = bytes.fromhex(built.entry.digests[Role.POLICY])
    connection.execute("UPDATE blobs SET content = x'00' WHERE digest = ?", (digest,))
    connection.close()
    with pytest.raises(MalformedError, match="archived policy has the SHA-256"):
        ArchiveReader(tmp_path).find(built.entry.attestation_id)
