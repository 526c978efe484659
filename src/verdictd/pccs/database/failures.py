"""What the database's errors mean to an operator: what could not be done, why, and what to do.

The library's own messages are not passed on: they may quote values, and a server's may quote whole rows. What is passed
on are the names that the databases give to their errors, and SQLite's messages, which name tables and columns only.
"""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from verdictd.pccs.database.addresses import DatabaseAddress
from verdictd.pccs.errors import StorageError

_ROOM: Final = "make room on its disk, then try again: nothing that was stored is lost"
_LOCKED: Final = "another process holds it: see what else has it open, then try again"
_READ_ONLY: Final = "let the user that this runs as write the file and its directory"
_CORRUPT: Final = "put a backup in its place, or move it away with its -wal: what is missing is fetched again"
_AWAY: Final = "see that the server runs and can be reached, and that its URL, user and password are right"
_OTHER: Final = "see the database's own log"

_SQLITE_REMEDIES: Final = {
    "SQLITE_FULL": _ROOM,
    "SQLITE_BUSY": _LOCKED,
    "SQLITE_LOCKED": _LOCKED,
    "SQLITE_PROTOCOL": _LOCKED,
    "SQLITE_READONLY": _READ_ONLY,
    "SQLITE_CANTOPEN": _READ_ONLY,
    "SQLITE_PERM": _READ_ONLY,
    "SQLITE_CORRUPT": _CORRUPT,
    "SQLITE_NOTADB": _CORRUPT,
    "SQLITE_IOERR": "see the system's log for what its disk says; it must be a local one",
}
"""By the first two words of an error's name; the third says more."""
_POSTGRESQL_REMEDIES: Final = {
    "08": _AWAY,
    "28": _AWAY,
    "3D": "create the database, or name another one",
    "42501": "grant the user the right to create and change tables in its schema",
    "42P01": "its tables are missing: start `pccs serve` once, which makes them",
    "25006": "it is a standby, or set to read-only: name the server that takes writes",
    "40": _LOCKED,
    "53": "give the server more of it, then try again: nothing that was stored is lost",
    "55": _LOCKED,
    "57": _AWAY,
}
"""By SQLSTATE, or its class."""
_CONFLICTS: Final = frozenset({"40001", "40P01"})
"""A serialisation failure and a deadlock: the transaction was undone as if it had not begun, and may be tried again."""


def is_conflict(error: DBAPIError) -> bool:
    """Whether a transaction failed for nothing but others that ran beside it."""
    return getattr(error.orig, "sqlstate", None) in _CONFLICTS


def explain_failure(error: SQLAlchemyError | sqlite3.Error, address: DatabaseAddress, what: str) -> StorageError:
    """Put an error in words.

    Args:
        error: the library's, or the driver's as a connection was set up.
        address: of the database.
        what: what was to be done, as in "could not …".
    """
    reason, remedy = _reason(error, address)
    return StorageError(f"{address} could not {what}: {reason}", remedy=remedy)


def _reason(error: SQLAlchemyError | sqlite3.Error, address: DatabaseAddress) -> tuple[str, str]:
    if isinstance(error, PoolTimeoutError):
        return "all its connections stayed in use", "see what keeps it busy, then try again"
    original = error.orig if isinstance(error, StatementError) else error
    if isinstance(original, sqlite3.Error):
        name = getattr(original, "sqlite_errorname", type(original).__name__)
        return f"{original} ({name})", _SQLITE_REMEDIES.get("_".join(name.split("_")[:2]), _OTHER)
    state = getattr(original, "sqlstate", None)
    if isinstance(state, str):
        remedy = _POSTGRESQL_REMEDIES.get(state) or _POSTGRESQL_REMEDIES.get(state[:2], _OTHER)
        return f"the server says {type(original).__name__} ({state})", remedy
    if isinstance(error, DBAPIError) and original is not None and address.path is None:
        return _without_password(original, address), _AWAY
    return type(original).__name__, _OTHER


def _without_password(error: BaseException, address: DatabaseAddress) -> str:
    """What the driver says where no server said anything: that it was not reached, or is gone."""
    lines = str(error).splitlines() or [type(error).__name__]
    text = lines[0]
    secrets = [str(address.url.password or ""), *map(str, address.url.query.get("password", ()))]
    for secret in filter(None, secrets):
        text = text.replace(secret, "(password)")
    return text[:400]


@contextmanager
def explained(address: DatabaseAddress, what: str) -> Iterator[None]:
    """Raise errors of the library as `StorageError`.

    Their chain is cut: with it a traceback in the log would quote values and rows.
    """
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise explain_failure(error, address, what) from None


def explain_os_error(error: OSError, path: Path, what: str) -> StorageError:
    """Put a failure to make a file or directory in words."""
    remedy = _ROOM if error.errno in {errno.ENOSPC, errno.EDQUOT} else _READ_ONLY
    return StorageError(f"{path} cannot be {what}: {error.strerror}", remedy=remedy)
