"""Where the database is: what its URL says, and how it may be named to an operator."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from verdictd.core.errors import ConfigError

_REMEDY: Final = "write it as sqlite:////DIRECTORY/pccs.db or postgresql://USER:PASSWORD@HOST:5432/DATABASE"
_SQLITE: Final = frozenset({"sqlite", "sqlite+pysqlite"})
_POSTGRESQL: Final = frozenset({"postgresql", "postgresql+psycopg"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseAddress:
    """Where a database is.

    Attributes:
        url: for the library; it may hold a password.
        path: of the file; ``None`` for a server.
    """

    url: URL
    path: Path | None

    def __str__(self) -> str:
        """What to call it; never with a password."""
        if self.path is not None:
            return f"the database {self.path}"
        host = self.url.host or _first(self.url.query.get("host", "")) or "this machine"
        port = "" if self.url.port is None else f":{self.url.port}"
        return f"the PostgreSQL database {self.url.database or '(default)'} on {host}{port}"


def parse_database_url(text: str) -> DatabaseAddress:
    """Read the URL of a database as it stands in settings.

    Raises:
        ConfigError: not such a URL, of a database that is not supported, or whose driver is not installed. The URL
            is never shown: it may hold a password.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ConfigError("the database's URL cannot be read", remedy=_REMEDY) from None
    if url.drivername in _SQLITE:
        return _sqlite(url)
    if url.drivername not in _POSTGRESQL:
        raise ConfigError(
            f"the database's URL begins with {url.drivername!r:.40}, which is not supported", remedy=_REMEDY
        )
    try:
        import_module("psycopg")
    except ImportError:  # also of the library below it
        raise ConfigError(
            "PostgreSQL needs a driver that is not installed", remedy="install it: pip install 'verdictd[postgresql]'"
        ) from None
    return DatabaseAddress(url=url.set(drivername="postgresql+psycopg"), path=None)


def _sqlite(url: URL) -> DatabaseAddress:
    name = url.database or ""
    if name in {"", ":memory:"} or name.startswith("file:") or url.query or url.host:
        raise ConfigError("the URL of an SQLite database does not name a file, and nothing else", remedy=_REMEDY)
    path = Path(name).absolute()
    return DatabaseAddress(url=URL.create("sqlite", database=str(path)), path=path)


def _first(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else value[0]
