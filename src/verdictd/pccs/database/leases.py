"""Leases in the database: one statement decides who has one."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, or_

from verdictd.pccs.database.connections import Database
from verdictd.pccs.database.sizes import MAX_NAME_CHARACTERS, check_text
from verdictd.pccs.database.tables import LEASES
from verdictd.pccs.database.upserts import insert_into


class DatabaseLeases:
    """Implements `Leases`.

    A lease ends by the clock of whoever asks for it next. Two hosts whose clocks differ by more than what is left of a
    lease may both believe that they have it; what is done under one must bear being done twice.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def acquire(self, name: str, holder: str, seconds: float, at: datetime) -> bool:
        """See `Leases.acquire`.

        Raises:
            LimitExceededError, MalformedError: a name that cannot be stored.
            StorageError: the database failed.
        """
        check_text(name, MAX_NAME_CHARACTERS, "the name of a lease")
        check_text(holder, MAX_NAME_CHARACTERS, "the name of a lease's holder")

        def work(connection: Connection) -> bool:
            statement = insert_into(connection, LEASES).values(
                name=name, holder=holder, ends_at=at + timedelta(seconds=seconds)
            )
            taken = statement.on_conflict_do_update(
                index_elements=[LEASES.c.name],
                set_={"holder": statement.excluded.holder, "ends_at": statement.excluded.ends_at},
                where=or_(LEASES.c.holder == holder, LEASES.c.ends_at <= at),
            )
            return connection.execute(taken.returning(LEASES.c.name)).one_or_none() is not None

        return self._database.write("take a lease", work)

    def release(self, name: str, holder: str) -> None:
        """See `Leases.release`."""
        statement = delete(LEASES).where(LEASES.c.name == name, LEASES.c.holder == holder)
        self._database.write("give back a lease", lambda connection: connection.execute(statement).rowcount)
