"""The archive's file: an SQLite database that several processes use at once.

What is in it is not trusted: whoever reads compares digests and parses strictly, and gets this project's errors alone.
"""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from verdictd.core.errors import ConfigError

FILE = "archive.sqlite3"
_APPLICATION = 0x76646172  # "vdar"
_VERSION = 1
_BUSY_S = 10.0
_MAX_VALUE_BYTES = 16 * 1024 * 1024
_MAX_WAL_BYTES = 16 * 1024 * 1024
_SCHEMA = """
CREATE TABLE blobs (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, content BLOB NOT NULL);
CREATE TABLE entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    number INTEGER NOT NULL,
    attestation_id TEXT NOT NULL,
    archived_at REAL NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX entries_by_number ON entries (number);
CREATE INDEX entries_by_attestation_id ON entries (attestation_id);
CREATE TABLE uses (entry INTEGER NOT NULL, blob INTEGER NOT NULL, PRIMARY KEY (entry, blob)) WITHOUT ROWID;
CREATE INDEX uses_by_blob ON uses (blob);
"""


_MOVE_AWAY = "move it away; verdictd then begins a new one"


class ArchiveError(ConfigError):
    """The archive cannot be read or written."""


def open_database(directory: Path, *, create: bool) -> sqlite3.Connection:
    """Open the archive in a directory; it may be used by one thread at a time.

    Args:
        directory: ``<data-dir>/archive``.
        create: whether to make what is missing.
    Raises:
        ArchiveError: it is missing, cannot be used, or is something else.
    """
    path = directory / FILE
    with explained(path):
        if create:
            _make_file(path)
        elif not path.exists():
            raise ArchiveError(f"there is no archive in {directory}", remedy="start verdictd with --archive")
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_BUSY_S)
        try:
            _harden(connection)
            if create:
                _begin(connection, path)
            else:
                connection.execute("PRAGMA query_only = ON")
            found = _read_pragma(connection, "application_id"), _read_pragma(connection, "user_version")
            if found != (_APPLICATION, _VERSION):
                raise ArchiveError(f"{path} is no archive of this version of verdictd", remedy=_MOVE_AWAY)
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn errors of the database and of the operating system into a sentence."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise ArchiveError(
            f"the archive {path} cannot be used: {error}",
            remedy="see that the disk has room and that verdictd may write there; if it is damaged, move it away",
        ) from error


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Do all or nothing; other processes wait meanwhile."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk ends it by itself
            connection.execute("ROLLBACK")
        raise


def _make_file(path: Path) -> None:
    """Make the file with our mode where it is missing. One that is there is not opened: closing it drops its locks."""
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640))


def _harden(connection: sqlite3.Connection) -> None:
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_VALUE_BYTES)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")


def _begin(connection: sqlite3.Connection, path: Path) -> None:
    """Set the file up where it is empty, and the connection for writing, one process at a time."""
    with path.with_name("lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _is_empty(connection):
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        if connection.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
            raise ArchiveError(f"{path} is where SQLite's WAL does not work", remedy="put --data-dir on a local disk")
        if _is_empty(connection):
            with transaction(connection):
                for statement in _SCHEMA.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                connection.execute(f"PRAGMA user_version = {_VERSION}")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA journal_size_limit = {_MAX_WAL_BYTES}")


def _is_empty(connection: sqlite3.Connection) -> bool:
    (count,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return int(count) == 0


def _read_pragma(connection: sqlite3.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]
