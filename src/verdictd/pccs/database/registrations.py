"""Platforms that wait for somebody to fetch their collateral, in the database."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select

from verdictd.core.errors import MalformedError
from verdictd.pccs.database.connections import Database
from verdictd.pccs.database.platform_columns import check_platform, parse_ca, parse_fmspc, parse_raw_tcb
from verdictd.pccs.database.row_warnings import RowWarnings
from verdictd.pccs.database.tables import REGISTRATIONS
from verdictd.pccs.database.upserts import insert_into
from verdictd.pccs.errors import NOT_NOW, UnavailableError
from verdictd.pccs.model import Platform, PlatformKey, Registration, RegistrationState


class DatabaseRegistrations:
    """Implements `RegistrationStorage`. Nothing of a registration is verified."""

    def __init__(self, database: Database, warnings: RowWarnings, *, most: int = 100_000) -> None:
        """Use a database.

        Args:
            database: where.
            warnings: of rows that cannot be read.
            most: how many there may be, or few more.
        """
        self._database = database
        self._warnings = warnings
        self._most = most

    def add(self, registration: Registration) -> None:
        """See `RegistrationStorage.add`.

        Raises:
            LimitExceededError, MalformedError: what cannot be stored.
            UnavailableError: too many wait already.
            StorageError: the database failed.
        """
        values = check_platform(registration.platform) | {
            "raw_tcb": "" if registration.raw_tcb is None else str(registration.raw_tcb),
            "state": registration.state.value,
        }

        key = [REGISTRATIONS.c.qe_id, REGISTRATIONS.c.pce_id, REGISTRATIONS.c.raw_tcb]

        def work(connection: Connection) -> None:
            there = select(REGISTRATIONS.c.id).where(*(column == values[column.name] for column in key))
            if connection.execute(there).one_or_none() is None:
                self._require_room(connection)
            statement = insert_into(connection, REGISTRATIONS).values(values)
            connection.execute(statement.on_conflict_do_update(index_elements=key, set_=values))

        self._database.write("store a registration", work)

    def _require_room(self, connection: Connection) -> None:
        count = connection.execute(select(func.count()).select_from(REGISTRATIONS)).scalar_one()
        if count >= self._most:
            raise UnavailableError(
                f"{count} platforms wait already for somebody to fetch their collateral",
                status=NOT_NOW,
                problem="busy",
                remedy="have them fetched: pccsadmin get takes the list (GET /platforms)",
            )

    def waiting(self, state: RegistrationState) -> Sequence[Registration]:
        """See `RegistrationStorage.waiting`: in the order in which they were added."""
        query = select(*REGISTRATIONS.c).where(REGISTRATIONS.c.state == state.value).order_by(REGISTRATIONS.c.id)
        rows = self._database.read("read the registrations", lambda connection: connection.execute(query).all())
        return [registration for registration in map(self._read, rows) if registration is not None]

    def take(self, state: RegistrationState) -> Sequence[Registration]:
        """See `RegistrationStorage.take`: in the order in which they were added."""
        statement = delete(REGISTRATIONS).where(REGISTRATIONS.c.state == state.value).returning(*REGISTRATIONS.c)
        rows = self._database.write("take registrations", lambda connection: connection.execute(statement).all())
        found = (self._read(row) for row in sorted(rows, key=lambda row: int(row.id)))
        return [registration for registration in found if registration is not None]

    def count(self, state: RegistrationState) -> int:
        """See `RegistrationStorage.count`."""
        query = select(func.count()).where(REGISTRATIONS.c.state == state.value)
        return self._database.read("count the registrations", lambda connection: connection.execute(query).scalar_one())

    def _read(self, row: Row[Any]) -> Registration | None:
        try:
            platform = Platform(
                key=PlatformKey(row.qe_id, row.pce_id),
                enc_ppid=row.enc_ppid,
                manifest=row.manifest,
                fmspc=parse_fmspc(row.fmspc),
                ca=parse_ca(row.ca),
            )
            return Registration(
                platform=platform,
                raw_tcb=parse_raw_tcb(row.raw_tcb) if row.raw_tcb else None,
                state=RegistrationState(row.state),
            )
        except (MalformedError, ValueError) as error:
            self._warnings.warn(("registration", row.id), f"registration {row.id}", str(error))
            return None
