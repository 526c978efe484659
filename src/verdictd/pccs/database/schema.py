"""Brings a database to the form that this program knows, once, whoever starts at the same time."""

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from threading import Lock
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, inspect, select

from verdictd.pccs.database.connections import Database
from verdictd.pccs.database.failures import explain_os_error, explained
from verdictd.pccs.database.tables import METADATA, PREFIX, REVISIONS
from verdictd.pccs.errors import StorageError

VERSION_TABLE: Final = f"{PREFIX}schema"
_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_ADVISORY_LOCK: Final = 0x70636373  # "pccs"
_PATIENCE_S: Final = 30.0
_ONE_AT_A_TIME: Final = Lock()
"""Of the threads of a process: alembic keeps in global variables what it is at."""


def prepare_schema(database: Database, *, migrate: bool) -> None:
    """Make the tables, or bring them up to date, in one transaction that others wait for.

    Args:
        database: what is to be used.
        migrate: whether it may be changed. Otherwise it must be there and up to date.
    Raises:
        StorageError: it is of a newer program, of another one, or cannot be used.
    """
    if database.address.path is not None:
        _make_file(database.address.path, may_make=migrate)
        _use_wal(database, database.address.path)
    with _ONE_AT_A_TIME:
        if migrate:
            database.write("be brought up to date", lambda connection: _migrate(connection, database))
        else:
            database.read("be looked at", lambda connection: _check_current(connection, database))


def _make_file(path: Path, *, may_make: bool) -> None:
    """Make the file of a database where there is none, so that only its user can read it."""
    try:
        if path.exists():
            return
        if not may_make:
            raise StorageError(
                f"there is no database {path}", remedy="start `pccs serve` once, which makes it, or name another"
            )
        missing = [directory for directory in path.parents if not directory.exists()]
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=True)
        for directory in missing:  # the file's own name is made durable with the first transaction
            _make_durable(directory.parent)
    except OSError as error:
        raise explain_os_error(error, path, "made") from error


def _make_durable(directory: Path) -> None:
    """Make the names in a directory survive a loss of power."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _use_wal(database: Database, path: Path) -> None:
    """Have readers and the writer not wait for one another. The file remembers it."""
    deadline = time.monotonic() + _PATIENCE_S
    with explained(database.address, "be opened"), closing(sqlite3.connect(path, timeout=_PATIENCE_S)) as connection:
        while (mode := _switch_to_wal(connection, deadline)) is None:
            time.sleep(0.02)
    if mode != "wal":
        raise StorageError(
            f"{database.address} cannot be used by several at once (its journal mode stays {mode!r:.20})",
            remedy="keep it on a local disk, not on a network's",
        )


def _switch_to_wal(connection: sqlite3.Connection, deadline: float) -> str | None:
    """Return the mode it is in then; ``None`` where others are at it, for whom SQLite does not wait here."""
    try:
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY and time.monotonic() < deadline:
            return None
        raise
    return str(mode)


def _migrate(connection: Connection, database: Database) -> None:
    if connection.dialect.name == "postgresql":  # SQLite's transaction is the only one by now
        connection.execute(select(func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
    if not _is_current(connection, database):
        _check_empty(connection, database)
        config = _configure()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _check_current(connection: Connection, database: Database) -> None:
    if not _is_current(connection, database):
        raise StorageError(
            f"{database.address} is not in the form that this program needs",
            remedy="start `pccs serve` once, which brings it up to date",
        )


def _is_current(connection: Connection, database: Database) -> bool:
    """Whether it is in the newest form that is known; one that is not known is refused."""
    revision = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()
    script = ScriptDirectory.from_config(_configure())
    known = [each.revision for each in script.walk_revisions()]
    if revision is not None and revision not in known:
        raise StorageError(
            f"{database.address} has the form {revision!r:.40}, which this program does not know; it knows {known[0]!r}"
            " and those before it",
            remedy="use the version of verdictd that made it, or a newer one; or name another database",
        )
    return revision == known[0]


def _check_empty(connection: Connection, database: Database) -> None:
    """Refuse a database that has tables of our names although nothing says that they are ours."""
    tables = set(inspect(connection).get_table_names())
    if VERSION_TABLE not in tables and tables & METADATA.tables.keys():
        raise StorageError(
            f"{database.address} has tables of another program, or of a damaged copy", remedy="name another database"
        )


def _configure() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def check_presence(database: Database) -> None:
    """Raise `StorageError` where a database does not answer."""
    query = select(REVISIONS.c.newest)
    database.read("answer", lambda connection: connection.execute(query).scalar_one())


def identify_file(database: Database) -> tuple[int, int] | None:
    """Tell the file of a database from any other that takes its place; ``None`` for a server's.

    Raises:
        StorageError: there is none.
    """
    path = database.address.path
    if path is None:
        return None
    try:
        status = path.stat()
    except OSError as error:
        raise StorageError(f"{path} is gone: {error.strerror}", remedy="put it back, then start again") from error
    return status.st_dev, status.st_ino
