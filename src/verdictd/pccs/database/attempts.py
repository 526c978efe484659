"""What came of asking upstream, in the database."""

from collections.abc import Sequence
from datetime import datetime
from itertools import count
from typing import Any, Final

from sqlalchemy import Connection, Row, case, delete, func, select

from verdictd.collateral.source_names import one_line
from verdictd.pccs.database.connections import Database
from verdictd.pccs.database.sizes import MAX_FAILURE_CHARACTERS, MAX_NAME_CHARACTERS, check_text
from verdictd.pccs.database.tables import ATTEMPTS
from verdictd.pccs.database.upserts import insert_into
from verdictd.pccs.model import Attempt

_BETWEEN_CLEANINGS: Final = 1000
_FAILED: Final = ATTEMPTS.c.down_since.is_not(None)


class DatabaseAttempts:
    """Implements `Attempts`. Of an older attempt than the one that is known nothing is noted."""

    def __init__(self, database: Database, *, most: int = 200_000) -> None:
        """Use a database.

        Args:
            database: where.
            most: how many names are remembered, or few more; the oldest are forgotten.
        """
        self._database = database
        self._most = most
        self._noted = count()

    def succeeded(self, name: str, at: datetime) -> None:
        """See `Attempts.succeeded`."""
        self._note(Attempt(name, at, "", None, None))

    def failed(self, name: str, at: datetime, failure: str, not_before: datetime | None) -> None:
        """See `Attempts.failed`. Of a long reason the beginning is kept."""
        self._note(
            Attempt(name, at, one_line(failure)[:MAX_FAILURE_CHARACTERS] or "no reason is given", not_before, at)
        )

    def _note(self, attempt: Attempt) -> None:
        check_text(attempt.name, MAX_NAME_CHARACTERS, "the name of an attempt")

        def work(connection: Connection) -> None:
            statement = insert_into(connection, ATTEMPTS).values(attempt._asdict())
            new = statement.excluded
            since = case((new.down_since.is_(None), None), else_=func.coalesce(ATTEMPTS.c.down_since, new.down_since))
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=[ATTEMPTS.c.name],
                    set_={"at": new.at, "failure": new.failure, "not_before": new.not_before, "down_since": since},
                    where=ATTEMPTS.c.at <= new.at,
                )
            )

        self._database.write("note an attempt", work)
        if next(self._noted) % _BETWEEN_CLEANINGS == 0:
            self._database.write("forget old attempts", self._forget_oldest)

    def _forget_oldest(self, connection: Connection) -> None:
        too_many = connection.execute(select(func.count()).select_from(ATTEMPTS)).scalar_one() - self._most
        if too_many > 0:
            oldest = select(ATTEMPTS.c.name).order_by(ATTEMPTS.c.at, ATTEMPTS.c.name).limit(too_many)
            connection.execute(delete(ATTEMPTS).where(ATTEMPTS.c.name.in_(oldest)))

    def get(self, name: str) -> Attempt | None:
        """See `Attempts.get`."""
        query = select(ATTEMPTS).where(ATTEMPTS.c.name == name)
        row = self._database.read("read an attempt", lambda connection: connection.execute(query).one_or_none())
        return None if row is None else _attempt(row)

    def failures(self, most: int) -> Sequence[Attempt]:
        """See `Attempts.failures`."""
        query = select(ATTEMPTS).where(_FAILED).order_by(ATTEMPTS.c.down_since, ATTEMPTS.c.name).limit(most)
        rows = self._database.read("read the failures", lambda connection: connection.execute(query).all())
        return [_attempt(row) for row in rows]

    def count_failures(self) -> int:
        """See `Attempts.count_failures`."""
        query = select(func.count()).select_from(ATTEMPTS).where(_FAILED)
        return self._database.read("count the failures", lambda connection: connection.execute(query).scalar_one())


def _attempt(row: Row[Any]) -> Attempt:
    return Attempt(row.name, row.at, row.failure, row.not_before, row.down_since)
