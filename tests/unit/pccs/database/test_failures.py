"""What an operator reads when the database cannot be used: what, why, what to do, and no secret."""

import logging
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg.errors
import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from tests.unit.collateral.endorser import START, Endorser
from tests.unit.pccs.database.postgresql import PASSWORD, PostgreSQL
from tests.unit.pccs.database.samples import pck_set
from verdictd.core.errors import ConfigError
from verdictd.pccs.database import connections as connections_module
from verdictd.pccs.database import open_storage
from verdictd.pccs.database.addresses import DatabaseAddress, parse_database_url
from verdictd.pccs.database.connections import Database
from verdictd.pccs.database.failures import explain_failure
from verdictd.pccs.errors import StorageError

SECRET = "s3cr%t"


# --- addresses ---


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:////var/lib/pccs/pccs.db", "the database /var/lib/pccs/pccs.db"),
        ("sqlite+pysqlite:////a/b.db", "the database /a/b.db"),
        (f"postgresql://pccs:{SECRET}@db.example:6432/cache", "the PostgreSQL database cache on db.example:6432"),
        (f"postgresql+psycopg://pccs:{SECRET}@db.example/cache", "the PostgreSQL database cache on db.example"),
        (f"postgresql://pccs:{SECRET}@/cache?host=/run/postgresql", "the PostgreSQL database cache on /run/postgresql"),
        (f"postgresql:///?password={SECRET}", "the PostgreSQL database (default) on this machine"),
    ],
)
def test_a_database_is_named_without_its_password(url: str, shown: str) -> None:
    assert str(parse_database_url(url)) == shown


def test_a_relative_path_is_read_from_the_present_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_database_url("sqlite:///pccs.db").path == tmp_path / "pccs.db"


@pytest.mark.parametrize(
    "url",
    [
        "",
        f"no URL {SECRET}",
        f"mysql://pccs:{SECRET}@host/db",
        f"postgresql+asyncpg://pccs:{SECRET}@host/db",
        f"postgresql://pccs:{SECRET}@host:port/db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:pccs.db?uri=true",
        "sqlite:////a/b.db?mode=ro",
        f"sqlite://{SECRET}/a/b.db",
    ],
)
def test_other_addresses_are_refused_and_not_shown(url: str, endorser: Endorser) -> None:
    with pytest.raises(ConfigError) as refusal:
        open_storage(url, endorser.roots)
    assert SECRET not in str(refusal.value)
    assert "write it as sqlite:////" in refusal.value.remedy


def test_a_missing_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigError, match="PostgreSQL needs a driver") as refusal:
        parse_database_url(f"postgresql://pccs:{SECRET}@host/db")
    assert "pip install 'verdictd[postgresql]'" in refusal.value.remedy


# --- failures ---


def sqlite_error(name: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("as SQLite says")
    error.sqlite_errorname = name
    return error


FILE = parse_database_url("sqlite:////pccs.db")
SERVER = parse_database_url(f"postgresql://pccs:{SECRET.replace('%', '%25')}@host/db")


@pytest.mark.parametrize(
    ("address", "cause", "says"),
    [
        (FILE, sqlite_error("SQLITE_FULL"), "make room"),
        (FILE, sqlite_error("SQLITE_BUSY"), "another process holds it"),
        (FILE, sqlite_error("SQLITE_BUSY_SNAPSHOT"), "another process holds it"),
        (FILE, sqlite_error("SQLITE_READONLY_DBMOVED"), "write the file and its directory"),
        (FILE, sqlite_error("SQLITE_CANTOPEN"), "write the file and its directory"),
        (FILE, sqlite_error("SQLITE_CORRUPT_VTAB"), "backup"),
        (FILE, sqlite_error("SQLITE_IOERR_FSYNC"), "local"),
        (FILE, sqlite_error("SQLITE_MISUSE"), "the database's own log"),
        (FILE, sqlite3.ProgrammingError("closed"), "the database's own log"),
        (SERVER, psycopg.errors.DiskFull("x"), "give the server more"),
        (SERVER, psycopg.errors.InvalidPassword("x"), "user and password are right"),
        (SERVER, psycopg.errors.InvalidCatalogName("x"), "create the database"),
        (SERVER, psycopg.errors.InsufficientPrivilege("x"), "grant the user"),
        (SERVER, psycopg.errors.ReadOnlySqlTransaction("x"), "standby"),
        (SERVER, psycopg.errors.LockNotAvailable("x"), "another process holds it"),
        (SERVER, psycopg.errors.DeadlockDetected("x"), "another process holds it"),
        (SERVER, psycopg.errors.AdminShutdown("x"), "the server runs"),
        (SERVER, psycopg.errors.UndefinedTable("x"), "pccs serve"),
        (SERVER, psycopg.OperationalError(f"connection failed: {SECRET}\nmore"), "the server runs"),
    ],
)
def test_every_failure_says_what_to_do(address: DatabaseAddress, cause: Exception, says: str) -> None:
    error = DBAPIError("SELECT secret", {"value": SECRET}, cause)
    explained = explain_failure(error, address, "store it")
    assert str(explained).startswith(f"{address} could not store it: ")
    assert says in explained.remedy
    assert SECRET not in str(explained)
    assert "SELECT" not in str(explained)
    assert "more" not in explained.message


def test_other_failures_are_named() -> None:
    waited = explain_failure(PoolTimeoutError("QueuePool limit"), FILE, "store it")
    assert "all its connections stayed in use" in str(waited)
    assert "SQLAlchemyError" in str(explain_failure(SQLAlchemyError(SECRET), FILE, "store it"))
    assert SECRET not in str(explain_failure(SQLAlchemyError(SECRET), FILE, "store it"))


def test_an_error_has_no_chain_that_would_show_values(storage: Any, endorser: Endorser) -> None:
    def work(connection: Connection) -> None:
        connection.execute(text("SELECT :secret FROM nowhere"), {"secret": SECRET})

    with pytest.raises(StorageError) as failure:
        storage._database.write("look", work)
    assert failure.value.__cause__ is None
    assert failure.value.__suppress_context__


def test_a_server_that_is_not_there_is_named(endorser: Endorser, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="the PostgreSQL database db on") as failure:
        open_storage(f"postgresql://pccs:{SECRET}@/db?host={tmp_path}", endorser.roots)
    assert "see that the server runs" in failure.value.remedy
    assert SECRET not in str(failure.value)


def test_a_wrong_password_and_a_missing_database_are_named(postgresql: PostgreSQL, endorser: Endorser) -> None:
    with pytest.raises(StorageError, match="password authentication failed") as failure:
        open_storage(postgresql.url("postgres", password=SECRET), endorser.roots)
    assert SECRET not in str(failure.value)
    with pytest.raises(StorageError, match="does not exist") as failure:
        open_storage(postgresql.url("nowhere"), endorser.roots)
    assert PASSWORD not in str(failure.value)


def test_a_server_that_was_away_is_used_again(postgresql: PostgreSQL, endorser: Endorser) -> None:
    name = postgresql.create_database()
    storage = open_storage(postgresql.url(name), endorser.roots)
    storage.ping()
    with postgresql.connect() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
        ).fetchall()
    storage.ping()
    storage.close()


def test_a_database_that_is_locked_for_too_long_says_so(
    tmp_path: Path, endorser: Endorser, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pccs.db"
    open_storage(f"sqlite:///{path}", endorser.roots).close()
    quick = tuple(each for each in connections_module._SQLITE_SETTINGS if "busy" not in each)
    monkeypatch.setattr(connections_module, "_SQLITE_SETTINGS", (*quick, "PRAGMA busy_timeout = 50"))
    storage = open_storage(f"sqlite:///{path}", endorser.roots)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match="could not store a platform's certificates: database is locked"):
        storage.platforms.keep(pck_set(endorser, 1))
    assert storage.platforms.count() == 0, "readers go on meanwhile"
    other.execute("ROLLBACK")
    storage.platforms.keep(pck_set(endorser, 1))
    other.close()
    storage.close()


def test_a_full_disk_is_an_error_and_what_was_stored_stays(tmp_path: Path, endorser: Endorser) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/pccs.db", endorser.roots)
    storage.platforms.keep(pck_set(endorser, 1, qe_id="01"))

    def limit(connection: Any, record: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")  # SQLite takes the present number instead

    storage.close()
    event.listen(storage._database.engine, "connect", limit)

    def fill() -> None:
        for number in range(100):
            storage.attempts.failed(f"{number}" * 100, START, "x" * 2000, None)

    with pytest.raises(StorageError, match="SQLITE_FULL") as failure:
        fill()
    assert "make room" in failure.value.remedy
    assert storage.platforms.count() == 1
    storage.close()


# --- conflicts ---


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setattr(connections_module, "_PAUSE_MS", 1)
    opened = Database(parse_database_url(f"sqlite:///{tmp_path}/pccs.db"))
    yield opened
    opened.close()


@pytest.mark.parametrize("conflict", [psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected])
def test_a_transaction_that_others_were_in_the_way_of_is_tried_again(
    database: Database, conflict: type[psycopg.Error], caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[int] = []

    def work(connection: Connection) -> str:
        tries.append(1)
        if len(tries) < 4:
            raise OperationalError("UPDATE", {"value": SECRET}, conflict("x"))
        return "done"

    with caplog.at_level(logging.DEBUG):
        assert database.write("do it", work) == "done"
    assert len(tries) == 4
    assert SECRET not in caplog.text


def test_it_is_not_tried_for_ever_and_for_nothing_else(database: Database) -> None:
    tries: list[int] = []

    def work(connection: Connection, error: DBAPIError) -> None:
        tries.append(1)
        raise error

    conflict = OperationalError("UPDATE", {}, psycopg.errors.DeadlockDetected("x"))
    with pytest.raises(StorageError, match="DeadlockDetected"):
        database.write("do it", lambda connection: work(connection, conflict))
    assert len(tries) == connections_module._TRIES
    other = IntegrityError("UPDATE", {}, psycopg.errors.UniqueViolation("x"))
    with pytest.raises(StorageError, match="UniqueViolation"):
        database.write("do it", lambda connection: work(connection, other))
    assert len(tries) == connections_module._TRIES + 1


def test_what_failed_halfway_is_undone(database: Database) -> None:
    database.write("make", lambda connection: connection.exec_driver_sql("CREATE TABLE t (x)").close())

    def work(connection: Connection) -> None:
        connection.exec_driver_sql("INSERT INTO t VALUES (1)")
        raise ConfigError("no")

    with pytest.raises(ConfigError):
        database.write("do it", work)
    count = text("SELECT count(*) FROM t")
    assert database.read("count", lambda connection: connection.execute(count).scalar_one()) == 0
