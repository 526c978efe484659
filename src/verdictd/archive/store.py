"""Keeps entries and blobs, each blob once, within bounds of size and age."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from verdictd.archive.builder import BuiltEntry
from verdictd.archive.database import FILE, explained, open_database, transaction
from verdictd.archive.entry import encode_entry
from verdictd.archive.material import Blob
from verdictd.core.errors import ConfigError

DEFAULT_MAX_BYTES = 1024 * 1024 * 1024
DEFAULT_MAX_AGE = timedelta(days=90)
MIN_MAX_BYTES = 1024 * 1024
_PRUNED_AT_ONCE = 64
_VACUUMED_PAGES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveBounds:
    """How much is kept. Beyond either, the oldest entries are removed, and the blobs that no other entry uses.

    Attributes:
        max_bytes: of the database, its indexes included; what SQLite writes ahead is apart, and cut back to 16 MiB.
        max_age: since an entry was archived.
    """

    max_bytes: int = DEFAULT_MAX_BYTES
    max_age: timedelta = DEFAULT_MAX_AGE

    def __post_init__(self) -> None:
        if self.max_bytes < MIN_MAX_BYTES or self.max_age <= timedelta():
            raise ConfigError(
                f"an archive of {self.max_bytes} bytes and {self.max_age} keeps nothing",
                remedy=f"give it at least {MIN_MAX_BYTES} bytes and a day",
            )


class ArchiveStore:
    """The writing side, one for each process. Used by one thread at a time."""

    def __init__(self, directory: Path, bounds: ArchiveBounds) -> None:
        """Open the archive, or begin one.

        Raises:
            ArchiveError: it cannot be used.
        """
        self._path = directory / FILE
        self._bounds = bounds
        self._connection = open_database(directory, create=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def add(self, built: Sequence[BuiltEntry], now: datetime) -> None:
        """Keep entries, all or none, and then remove what is beyond the bounds.

        Args:
            built: the entries with their blobs.
            now: from which their age counts (aware).
        Raises:
            ArchiveError: it cannot be written.
        """
        with explained(self._path), transaction(self._connection):
            known: dict[str, int] = {}
            for each in built:
                self._add(each, now, known)
        self.prune(now)

    def prune(self, now: datetime) -> None:
        """Remove what is beyond the bounds.

        Raises:
            ArchiveError: it cannot be written.
        """
        with explained(self._path):
            while self._remove_some(now):  # each time for itself, so that others do not wait for long
                pass
            self._give_back_room()

    def _add(self, built: BuiltEntry, now: datetime, known: dict[str, int]) -> None:
        entry = built.entry
        cursor = self._connection.execute(
            "INSERT INTO entries (number, attestation_id, archived_at, body) VALUES (?, ?, ?, ?)",
            (entry.number, entry.attestation_id, now.timestamp(), encode_entry(entry)),
        )
        for blob in built.blobs.values():
            if blob.digest not in known:  # most of them are those of the entry before
                known[blob.digest] = self._keep(blob)
        blobs = {known[blob.digest] for blob in built.blobs.values()}
        self._connection.executemany(
            "INSERT INTO uses (entry, blob) VALUES (?, ?)", [(cursor.lastrowid, blob) for blob in blobs]
        )

    def _keep(self, blob: Blob) -> int:
        """Keep a blob unless it is there; return its number, which holds for the transaction alone."""
        digest = bytes.fromhex(blob.digest)
        row = self._connection.execute("SELECT id FROM blobs WHERE digest = ?", (digest,)).fetchone()
        if row is None:
            query = "INSERT INTO blobs (digest, content) VALUES (?, ?) RETURNING id"
            row = self._connection.execute(query, (digest, blob.content)).fetchone()
        return int(row[0])

    def _remove_some(self, now: datetime) -> int:
        """Remove some of the oldest entries where there are too many or too old ones; return how many."""
        if not self._is_too_large() and not self._find_old(now):
            return 0
        removed = 0
        with transaction(self._connection):
            for _ in range(_PRUNED_AT_ONCE):
                gone = self._find_oldest() if self._is_too_large() else self._find_old(now)
                for entry in gone:
                    self._remove(entry)
                removed += len(gone)
        return removed

    def _find_oldest(self) -> list[int]:
        rows = self._connection.execute("SELECT id FROM entries ORDER BY id LIMIT 1").fetchall()
        return [int(entry) for (entry,) in rows]

    def _find_old(self, now: datetime) -> list[int]:
        """Return the oldest entry where it is too old. Entries are in the order of their time."""
        bound = (now - self._bounds.max_age).timestamp()
        rows = self._connection.execute("SELECT id, archived_at FROM entries ORDER BY id LIMIT 1").fetchall()
        return [int(entry) for entry, archived_at in rows if archived_at < bound]

    def _remove(self, entry: int) -> None:
        """Remove an entry and the blobs that no other uses."""
        execute = self._connection.execute
        blobs = execute("SELECT blob FROM uses WHERE entry = ?", (entry,)).fetchall()
        execute("DELETE FROM uses WHERE entry = ?", (entry,))
        execute("DELETE FROM entries WHERE id = ?", (entry,))
        self._connection.executemany(
            "DELETE FROM blobs WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM uses WHERE blob = ?1)", blobs
        )

    def _is_too_large(self) -> bool:
        count = {
            name: int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        }
        used = (count["page_count"] - count["freelist_count"]) * count["page_size"]
        return used > self._bounds.max_bytes

    def _give_back_room(self) -> None:
        """Make the file smaller where there is much free room in it, a little each time."""
        free = int(self._connection.execute("PRAGMA freelist_count").fetchone()[0])
        if free > _VACUUMED_PAGES:
            # As a script: `execute` would take one step of it alone, which is one page.
            self._connection.executescript(f"PRAGMA incremental_vacuum({_VACUUMED_PAGES})")
