"""Gives back what the archive holds. Nothing in it is trusted: digests are compared, and forms are checked."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from verdictd.archive.database import FILE, ArchiveError, explained, open_database
from verdictd.archive.entry import ArchiveEntry, decode_entry
from verdictd.archive.material import MAX_BLOB_BYTES, Role, check_blob
from verdictd.core.errors import MalformedError

MAX_LISTED = 100_000
_MAX_AMBIGUOUS = 5


@dataclass(frozen=True, slots=True)
class Bundle:
    """An entry with what it names, as far as it was asked for. Each blob has the digest that the entry says."""

    entry: ArchiveEntry
    blobs: Mapping[Role, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveSummary:
    """What an archive holds.

    Attributes:
        entries: how many attestations.
        blobs: how many different pieces they were judged by.
        oldest: when the oldest was archived; ``None`` where there is none.
        bytes_used: of the database.
    """

    entries: int
    blobs: int
    oldest: datetime | None
    bytes_used: int


class ArchiveReader:
    """Reads the archive in a directory. May be called from any thread: each call opens it anew."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def find(self, attestation_id: str) -> Bundle | None:
        """Return the newest attestation whose id begins so, with all it was judged by; ``None`` where there is none.

        Raises:
            ArchiveError: the archive cannot be read, or the ids of several peers begin so.
            MalformedError, LimitExceededError: what it holds is not what was put there.
        """
        low, high = attestation_id, attestation_id + "\x7f"
        with explained(self._directory / FILE), closing(open_database(self._directory, create=False)) as connection:
            ids = connection.execute(
                "SELECT DISTINCT attestation_id FROM entries WHERE attestation_id >= ? AND attestation_id < ? LIMIT ?",
                (low, high, _MAX_AMBIGUOUS),
            ).fetchall()
            if len(ids) > 1:
                raise ArchiveError(
                    f"several ids begin with {attestation_id!r:.40}: {', '.join(str(row[0]) for row in ids)}",
                    remedy="give more digits",
                )
            return self._find(connection, "attestation_id >= ? AND attestation_id < ?", (low, high))

    def find_number(self, number: int) -> Bundle | None:
        """Return the newest attestation with that number in the audit log; else as `find`."""
        with explained(self._directory / FILE), closing(open_database(self._directory, create=False)) as connection:
            return self._find(connection, "number = ?", (number,))

    def newest(self, count: int, roles: frozenset[Role] = frozenset()) -> Iterator[Bundle]:
        """Return the newest attestations, the oldest of them first, each with its blobs of some roles.

        Raises:
            ArchiveError, MalformedError, LimitExceededError: as `find`.
        """
        with explained(self._directory / FILE), closing(open_database(self._directory, create=False)) as connection:
            connection.execute("BEGIN")  # one state of the archive, whatever is removed meanwhile
            wanted = min(count, MAX_LISTED)
            rows = connection.execute(
                "SELECT body FROM (SELECT id, body FROM entries ORDER BY id DESC LIMIT ?) ORDER BY id", (wanted,)
            )
            for (body,) in rows:
                yield self._assemble(connection, body, roles)

    def summary(self) -> ArchiveSummary:
        """Say how much there is.

        Raises:
            ArchiveError: it cannot be read.
        """
        with explained(self._directory / FILE), closing(open_database(self._directory, create=False)) as connection:
            entries, oldest = connection.execute("SELECT count(*), min(archived_at) FROM entries").fetchone()
            (blobs,) = connection.execute("SELECT count(*) FROM blobs").fetchone()
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            (page_size,) = connection.execute("PRAGMA page_size").fetchone()
        return ArchiveSummary(
            entries=entries,
            blobs=blobs,
            oldest=datetime.fromtimestamp(oldest, UTC) if isinstance(oldest, float) else None,
            bytes_used=pages * page_size,
        )

    def _find(self, connection: sqlite3.Connection, condition: str, values: tuple[str | int, ...]) -> Bundle | None:
        query = f"SELECT body FROM entries WHERE {condition} ORDER BY id DESC LIMIT 1"  # noqa: S608 - constants
        row = connection.execute(query, values).fetchone()
        return None if row is None else self._assemble(connection, row[0], frozenset(Role))

    def _assemble(self, connection: sqlite3.Connection, body: object, roles: frozenset[Role]) -> Bundle:
        if not isinstance(body, bytes):
            raise MalformedError("an archived entry is not what was put there")
        entry = decode_entry(body)
        blobs = {
            role: self._read_blob(connection, role, digest) for role, digest in entry.digests.items() if role in roles
        }
        return Bundle(entry, blobs)

    def _read_blob(self, connection: sqlite3.Connection, role: Role, digest: str) -> bytes:
        row = connection.execute(
            "SELECT content FROM blobs WHERE digest = ? AND length(content) <= ?",
            (bytes.fromhex(digest), MAX_BLOB_BYTES[role]),
        ).fetchone()
        if row is None or not isinstance(row[0], bytes):
            raise MalformedError(
                f"the archived {role} with the SHA-256 {digest} is missing or not what was put there",
                remedy="the archive was changed or is damaged",
            )
        return check_blob(role, digest, row[0]).content
