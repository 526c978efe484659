"""How a database comes to be, and which ones are refused."""

import os
import pwd
import sqlite3
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from tests.unit.collateral.endorser import START, Endorser
from tests.unit.pccs.database.samples import change, verified
from verdictd.pccs.database import open_storage
from verdictd.pccs.database.addresses import parse_database_url
from verdictd.pccs.database.connections import Database
from verdictd.pccs.database.schema import VERSION_TABLE
from verdictd.pccs.database.storage import DatabaseStorage
from verdictd.pccs.database.tables import METADATA
from verdictd.pccs.errors import StorageError
from verdictd.pccs.model import STANDARD
from verdictd.pccs.ports import Storage


def sqlite_url(path: Path) -> str:
    return f"sqlite:///{path}"


# --- what is made ---


def test_the_storage_is_what_the_cache_asks_for(storage: DatabaseStorage) -> None:
    protocol: Storage = storage
    protocol.ping()


def test_the_migrations_make_what_the_tables_say(storage: DatabaseStorage) -> None:
    def compare(connection: Connection) -> Any:
        options = {"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
        return compare_metadata(MigrationContext.configure(connection, opts=options), METADATA)

    assert storage._database.read("be compared", compare) == []


def test_all_tables_have_the_prefix_of_the_cache(storage: DatabaseStorage) -> None:
    names = storage._database.read("be listed", lambda connection: inspect(connection).get_table_names())
    assert len(names) == len(METADATA.tables) + 1
    assert all(name.startswith("pccs_") for name in names)


def test_what_was_stored_is_there_after_it_is_opened_again(url: str, endorser: Endorser) -> None:
    item = verified(endorser, endorser.tcb_info(1))
    first = open_storage(url, endorser.roots)
    first.items.keep(STANDARD, item, START)
    first.close()
    for migrate in (True, False):
        again = open_storage(url, endorser.roots, migrate=migrate)
        again.ping()
        assert [stored.item for stored in again.items.changed_since(0)] == [item]
        again.close()


def test_the_file_and_its_directory_are_their_users_alone(tmp_path: Path, endorser: Endorser) -> None:
    path = tmp_path / "one" / "two" / "a b?%.db"
    storage = open_storage(f"sqlite:///{tmp_path}/one/two/a b%3F%25.db", endorser.roots)
    storage.items.keep(STANDARD, verified(endorser, endorser.tcb_info(1)), START)
    assert path.exists(), sorted(path.parent.iterdir())
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == {0o600}
    storage.close()


def test_sqlite_is_set_up_to_lose_nothing_that_was_acknowledged(tmp_path: Path, endorser: Endorser) -> None:
    storage = open_storage(sqlite_url(tmp_path / "pccs.db"), endorser.roots)

    def settings(connection: Connection) -> list[Any]:
        names = ("journal_mode", "synchronous", "foreign_keys")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in names]

    assert storage._database.read("be asked", settings) == ["wal", 2, 1]
    storage.close()


def test_many_processes_start_at_once_on_an_empty_database(url: str, endorser: Endorser, tmp_path: Path) -> None:
    root = tmp_path / "root.pem"
    root.write_bytes(endorser.platform.trust_root_pem)
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from verdictd.pccs.database import open_storage\n"
        "from verdictd.tees.dcap.trust_roots import TrustRoots, parse_trust_roots\n"
        "roots = TrustRoots(parse_trust_roots(Path(sys.argv[2]).read_bytes(), 'root'))\n"
        "input()\n"
        "storage = open_storage(sys.argv[1], roots)\n"
        "storage.ping()\n"
        "storage.close()\n"
        "print('started')\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, url, root], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(5)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate(timeout=90)[0] for process in processes] == ["started\n"] * 5
    storage = open_storage(url, endorser.roots, migrate=False)
    storage.ping()
    storage.close()


# --- what is refused ---


def test_a_database_of_a_newer_program_is_refused_and_stays_as_it_is(url: str, endorser: Endorser) -> None:
    storage = open_storage(url, endorser.roots)
    assert change(storage, "UPDATE pccs_schema SET version_num = '9999'") == 1
    storage.close()
    for migrate in (True, False):
        with pytest.raises(StorageError, match="the form '9999', which this program does not know") as refusal:
            open_storage(url, endorser.roots, migrate=migrate)
        assert "newer one" in refusal.value.remedy
    database = Database(parse_database_url(url))
    query = text("SELECT version_num FROM pccs_schema")
    assert database.read("be asked", lambda connection: connection.execute(query).scalar_one()) == "9999"
    database.close()


def test_an_empty_database_is_refused_where_it_may_not_be_changed(url: str, endorser: Endorser) -> None:
    with pytest.raises(StorageError) as refusal:
        open_storage(url, endorser.roots, migrate=False)
    assert "pccs serve" in refusal.value.remedy
    database = Database(parse_database_url(url))
    if database.address.path is None:
        names = database.read("be listed", lambda connection: inspect(connection).get_table_names())
        assert names == []
    else:
        assert not database.address.path.parent.exists(), "nothing is made to find that out"
    database.close()


def test_tables_of_another_program_are_left_alone(tmp_path: Path, endorser: Endorser) -> None:
    path = tmp_path / "pccs.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE pccs_items (other INTEGER)")
    connection.close()
    with pytest.raises(StorageError, match="tables of another program"):
        open_storage(sqlite_url(path), endorser.roots)


@pytest.mark.parametrize("migrate", [True, False])
@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough to be looked at" * 100, b"SQLite format 3\0?"]
)
def test_a_file_that_is_no_database_is_refused(
    tmp_path: Path, endorser: Endorser, content: bytes, *, migrate: bool
) -> None:
    path = tmp_path / "pccs.db"
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"pccs\.db could not be opened") as refusal:
        open_storage(sqlite_url(path), endorser.roots, migrate=migrate)
    assert "backup" in refusal.value.remedy
    assert path.read_bytes() == content


def test_a_file_that_is_damaged_later_is_an_error_that_says_so(tmp_path: Path, endorser: Endorser) -> None:
    path = tmp_path / "pccs.db"
    storage = open_storage(sqlite_url(path), endorser.roots)
    storage.items.keep(STANDARD, verified(endorser, endorser.tcb_info(1)), START)
    storage.close()
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with pytest.raises(StorageError, match="SQLITE_CORRUPT") as refusal:
        open_storage(sqlite_url(path), endorser.roots).items.changed_since(0)
    assert "backup" in refusal.value.remedy


@pytest.mark.parametrize("is_there", [False, True])
def test_a_directory_that_may_not_be_written_is_refused(endorser: Endorser, *, is_there: bool) -> None:
    program = (
        "import os, sys\n"
        "from verdictd.pccs.database import open_storage\n"
        "from verdictd.pccs.errors import StorageError\n"
        "from verdictd.tees.dcap.trust_roots import TrustRoots, intel_trust_root\n"
        "roots = TrustRoots((intel_trust_root(),))\n"
        "os.setuid(int(sys.argv[2]))\n"
        "try:\n"
        "    open_storage(sys.argv[1], roots)\n"
        "except StorageError as error:\n"
        "    print(error)\n"
    )
    user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else os.getuid()  # root may write everywhere
    with tempfile.TemporaryDirectory() as directory:  # not pytest's own, which others may not enter
        path = Path(directory) / "pccs.db"
        if is_there:
            open_storage(sqlite_url(path), endorser.roots).close()
            path.chmod(0o444)
        path.parent.chmod(0o555)
        run = subprocess.run(
            [sys.executable, "-c", program, sqlite_url(path), str(user)], capture_output=True, text=True, check=False
        )
        path.parent.chmod(0o755)
    what = "could not be opened" if is_there else "cannot be made: Permission denied"
    assert f"pccs.db {what}" in run.stdout, run.stderr
    assert "; let the user that this runs as write the file and its directory" in run.stdout


def test_a_path_below_a_file_is_refused(tmp_path: Path, endorser: Endorser) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match=r"file/pccs\.db cannot be made"):
        open_storage(sqlite_url(tmp_path / "file" / "pccs.db"), endorser.roots)


@pytest.mark.parametrize("what", ["removed", "replaced"])
def test_a_file_that_was_taken_away_is_noticed(tmp_path: Path, endorser: Endorser, what: str) -> None:
    path = tmp_path / "pccs.db"
    storage = open_storage(sqlite_url(path), endorser.roots)
    storage.ping()
    moved = path.rename(tmp_path / "other.db")
    if what == "replaced":
        path.write_bytes(moved.read_bytes())
    with pytest.raises(StorageError, match="gone" if what == "removed" else "another file"):
        storage.ping()
    storage.close()
