"""Connections to a database, and the transactions on them."""

import logging
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from verdictd.pccs.database.addresses import DatabaseAddress
from verdictd.pccs.database.failures import explained, is_conflict

T = TypeVar("T")

_LOGGER: Final = logging.getLogger(__name__)
_WAIT_S: Final = 30
"""For how long a transaction waits for others, and for a connection."""
_TRIES: Final = 8
_PAUSE_MS: Final = 5
_KEPT_OPEN, _AT_MOST = 5, 40  # connections of this process
_WRITING: Final = "pccs_writing"

_SQLITE_SETTINGS: Final = (
    f"PRAGMA busy_timeout = {_WAIT_S * 1000}",
    "PRAGMA foreign_keys = ON",
    "PRAGMA synchronous = FULL",  # what is acknowledged survives a loss of power; NORMAL would not promise it with WAL
    "PRAGMA journal_size_limit = 67108864",
)


class Database:
    """Runs transactions. Its methods may be called from any thread; not to be shared with a forked process."""

    def __init__(self, address: DatabaseAddress) -> None:
        self.address = address
        self.engine = _sqlite_engine(address) if address.path is not None else _postgresql_engine(address)
        self._writing = Lock()
        self._writer = self.engine.execution_options(**{_WRITING: True})

    def read(self, what: str, work: Callable[[Connection], T]) -> T:
        """Run a transaction that only reads.

        Args:
            what: what it does, as in "could not …".
            work: given the connection; its result is returned.
        Raises:
            StorageError: the database failed.
        """
        with explained(self.address, what), self.engine.begin() as connection:
            return work(connection)

    def write(self, what: str, work: Callable[[Connection], T]) -> T:
        """Run a transaction that writes. What it wrote is durable when this returns.

        Args:
            what: what it does, as in "could not …".
            work: given the connection; it may run again, where others were in its way.
        Raises:
            StorageError: the database failed; then nothing was written, unless a server went away at the very end.
        """
        with self._turn(), explained(self.address, what):
            tries = 0
            while True:
                try:
                    with self._writer.begin() as connection:
                        return work(connection)
                except DBAPIError as error:
                    tries += 1
                    if tries == _TRIES or not is_conflict(error):
                        raise
                _LOGGER.debug("to %s is tried again: others were in its way", what)
                time.sleep(secrets.randbelow(_PAUSE_MS * 2**tries) / 1000)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Have the threads of a process write to SQLite one after the other.

        SQLite does not queue those who wait for its lock: they ask again, after ever longer pauses. Whoever waits here
        for too long is let through, to be told by SQLite what holds the lock.
        """
        has_turn = self.address.path is not None and self._writing.acquire(timeout=_WAIT_S)
        try:
            yield
        finally:
            if has_turn:
                self._writing.release()

    def close(self) -> None:
        """Close the connections that are not in use; those in use are closed when they are given back."""
        self.engine.dispose()


def _sqlite_engine(address: DatabaseAddress) -> Engine:
    engine = create_engine(
        address.url,
        pool_size=_KEPT_OPEN,
        max_overflow=_AT_MOST - _KEPT_OPEN,
        pool_timeout=_WAIT_S,
        hide_parameters=True,
        connect_args={"timeout": _WAIT_S},
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
    del record
    connection.isolation_level = None  # the driver begins no transaction by itself: `_begin_sqlite` does
    cursor = connection.cursor()
    for setting in _SQLITE_SETTINGS:
        cursor.execute(setting)
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """Take the lock for writing at once: whoever reads first and then writes would find that others wrote meanwhile."""
    is_writing = connection.get_execution_options().get(_WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")


def _postgresql_engine(address: DatabaseAddress) -> Engine:
    defaults: dict[str, Any] = {
        "connect_timeout": 10,
        "tcp_user_timeout": _WAIT_S * 1000,
        "application_name": "pccs",
        "options": f"-c lock_timeout={_WAIT_S}s -c idle_in_transaction_session_timeout={_WAIT_S}s",
    }
    return create_engine(
        address.url,
        pool_size=_KEPT_OPEN,
        max_overflow=_AT_MOST - _KEPT_OPEN,
        pool_timeout=_WAIT_S,
        pool_pre_ping=True,
        hide_parameters=True,
        isolation_level="READ COMMITTED",
        connect_args={name: value for name, value in defaults.items() if name not in address.url.query},
    )
