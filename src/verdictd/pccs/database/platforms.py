"""Platforms and their PCK certificates in the database."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, delete, func, select, update

from verdictd.core.errors import MalformedError, VerdictdError
from verdictd.core.limits import MAX_CERTIFICATE_BYTES, MAX_CHAIN_BYTES
from verdictd.pccs.database.connections import Database
from verdictd.pccs.database.pck_verification import PCKVerifier
from verdictd.pccs.database.platform_columns import check_platform, parse_raw_tcb
from verdictd.pccs.database.platform_rows import (
    PlatformRows,
    forget_answers,
    read_platform,
    read_rows,
    where_platform,
    write_chain,
    write_levels,
)
from verdictd.pccs.database.row_warnings import RowWarnings
from verdictd.pccs.database.sizes import MAX_ANSWERS, MAX_LEVELS, check_content, check_number
from verdictd.pccs.database.tables import ANSWERS, PLATFORMS
from verdictd.pccs.database.upserts import insert_into
from verdictd.pccs.model import PCKCertificate, PCKSet, Platform, PlatformKey, RawTCB

_PAGE_ROWS: Final = 256


class DatabasePlatforms:
    """Implements `PlatformStorage`.

    Trust: a certificate counts for what it verifies to under this process's roots. What is known of a platform beside
    its certificates (encrypted PPID, manifest, raw TCBs) is what somebody said.
    """

    def __init__(self, database: Database, verifier: PCKVerifier, warnings: RowWarnings) -> None:
        self._database = database
        self._verifier = verifier
        self._warnings = warnings

    def keep(self, pck_set: PCKSet) -> None:
        """See `PlatformStorage.keep`. Of what is known of the platform already, nothing empty takes the place.

        An incomplete set of another family or CA than what is there replaces it, and those certificates that do not
        hold with its issuer chain go.

        Raises:
            VerdictdError: a certificate does not hold, or is not what it is said to be; nothing is stored then.
            StorageError: the database failed.
        """
        self._check(pck_set)
        self._database.write("store a platform's certificates", partial(self._keep, pck_set=pck_set))

    def _check(self, pck_set: PCKSet) -> None:
        chain = check_content(pck_set.issuer_chain, MAX_CHAIN_BYTES, "the issuer chain of PCK certificates")
        check_number(len(pck_set.certificates) + len(pck_set.unavailable), MAX_LEVELS, "the TCB levels of a platform")
        for each in pck_set.certificates:
            pem = check_content(each.pem, MAX_CERTIFICATE_BYTES, "a PCK certificate")
            self._verifier.verify(each.tcb, pem, chain, pck_set.platform)

    def _keep(self, connection: Connection, pck_set: PCKSet) -> None:
        columns = check_platform(pck_set.platform)
        values = columns | {
            "issuer_chain": write_chain(connection, pck_set.issuer_chain),
            "is_complete": pck_set.is_complete,
            "fetched_at": pck_set.fetched_at,
        }
        # First of all there is a row to lock, so that others who keep the same platform wait.
        connection.execute(insert_into(connection, PLATFORMS).values(values).on_conflict_do_nothing())
        there = self._read_locked(connection, pck_set.platform.key)
        levels: dict[RawTCB, bytes | None] = dict.fromkeys(pck_set.unavailable)
        levels |= {each.tcb: each.pem for each in pck_set.certificates}
        is_added = there is not None and not pck_set.is_complete and _is_alike(there.platform, pck_set.platform)
        if there is not None and is_added:
            levels = self._still_good(there, pck_set) | levels
            if there.is_complete:  # as of then; single certificates do not make it newer
                values |= {"is_complete": True, "fetched_at": there.fetched_at}
        if there is not None:
            values |= {name: columns[name] or getattr(there.platform, name) for name in ("enc_ppid", "manifest")}
        where = where_platform(pck_set.platform.key)
        number = connection.execute(
            update(PLATFORMS).where(where).values(values).returning(PLATFORMS.c.id)
        ).scalar_one()
        write_levels(connection, number, levels)
        if not is_added:
            forget_answers(connection, number)

    def _read_locked(self, connection: Connection, key: PlatformKey) -> PlatformRows | None:
        try:
            return read_rows(connection, key, locked=True)
        except MalformedError:  # it is nothing, so that it can be replaced
            return None

    def _still_good(self, there: PlatformRows, pck_set: PCKSet) -> dict[RawTCB, bytes | None]:
        pems = {tcb: pem for tcb, pem in there.levels.items() if pem is not None}
        levels: dict[RawTCB, bytes | None] = {tcb: None for tcb, pem in there.levels.items() if pem is None}
        return levels | self._verifier.still_hold(pems, pck_set.issuer_chain, pck_set.platform)

    def get(self, key: PlatformKey) -> PCKSet | None:
        """See `PlatformStorage.get`."""
        try:
            rows = self._database.read("read a platform's certificates", partial(read_rows, key=key))
        except MalformedError as error:
            self._warn(key, b"", str(error))
            return None
        return None if rows is None else self._verify(rows)

    def _verify(self, rows: PlatformRows) -> PCKSet | None:
        found: list[PCKCertificate] = []
        for tcb, pem in rows.levels.items():
            if pem is not None:
                try:
                    found.append(self._verifier.verify(tcb, pem, rows.issuer_chain, rows.platform))
                except VerdictdError as error:
                    self._warn(rows.platform.key, pem, str(error))
        if not found:
            return None
        return PCKSet(
            platform=rows.platform,
            certificates=tuple(found),
            unavailable=tuple(tcb for tcb, pem in rows.levels.items() if pem is None),
            issuer_chain=rows.issuer_chain,
            is_complete=rows.is_complete and len(found) == sum(pem is not None for pem in rows.levels.values()),
            fetched_at=rows.fetched_at,
        )

    def _warn(self, key: PlatformKey, pem: bytes, reason: str) -> None:
        self._warnings.warn(("platform", key, pem), f"a PCK certificate of the platform {key.qe_id:.40}", reason)

    def platform(self, key: PlatformKey) -> Platform | None:
        """See `PlatformStorage.platform`. Nothing of it is verified."""
        query = select(PLATFORMS).where(where_platform(key))
        row = self._database.read("read a platform", lambda connection: connection.execute(query).one_or_none())
        return None if row is None else self._platform(row)

    def _platform(self, row: Row[Any]) -> Platform | None:
        try:
            return read_platform(row)
        except MalformedError as error:
            self._warnings.warn(("platform", row.id), f"platform {row.id}", str(error))
            return None

    def answer(self, key: PlatformKey, raw_tcb: RawTCB) -> tuple[PCKCertificate, PCKSet] | None:
        """See `PlatformStorage.answer`."""
        query = (
            select(ANSWERS.c.chosen)
            .join_from(ANSWERS, PLATFORMS)
            .where(where_platform(key), ANSWERS.c.raw_tcb == str(raw_tcb))
        )

        def work(connection: Connection) -> tuple[str | None, PlatformRows | None]:
            chosen = connection.execute(query).scalar_one_or_none()
            return chosen, None if chosen is None else read_rows(connection, key)

        try:
            chosen, rows = self._database.read("read a platform's certificates", work)
        except MalformedError as error:
            self._warn(key, b"", str(error))
            return None
        pck_set = None if rows is None else self._verify(rows)
        if pck_set is None:
            return None
        found = [each for each in pck_set.certificates if str(each.tcb) == chosen]
        return (found[0], pck_set) if found else None

    def keep_answer(self, key: PlatformKey, raw_tcb: RawTCB, chosen: RawTCB) -> None:
        """See `PlatformStorage.keep_answer`. Of a platform that is unknown nothing is remembered.

        Of each platform the last `MAX_ANSWERS` raw TCBs are remembered.
        """

        def work(connection: Connection) -> None:
            locked = select(PLATFORMS.c.id).where(where_platform(key)).with_for_update()
            number = connection.execute(locked).scalar_one_or_none()
            if number is None:
                return
            statement = insert_into(connection, ANSWERS).values(
                platform_id=number, raw_tcb=str(raw_tcb), chosen=str(chosen)
            )
            index = [ANSWERS.c.platform_id, ANSWERS.c.raw_tcb]
            connection.execute(statement.on_conflict_do_update(index_elements=index, set_={"chosen": str(chosen)}))
            of_platform = ANSWERS.c.platform_id == number
            kept = select(ANSWERS.c.id).where(of_platform).order_by(ANSWERS.c.id.desc()).limit(MAX_ANSWERS)
            connection.execute(delete(ANSWERS).where(of_platform, ANSWERS.c.id.not_in(kept)))

        self._database.write("store which certificate was chosen", work)

    def platforms(
        self, fmspcs: Sequence[bytes] = (), *, fetched_before: datetime | None = None
    ) -> Iterator[tuple[Platform, tuple[RawTCB, ...]]]:
        """See `PlatformStorage.platforms`. It is read in pages; what comes meanwhile may be there or not."""
        query = select(PLATFORMS)
        if fetched_before is not None:
            query = query.where(PLATFORMS.c.fetched_at < fetched_before)
        if not fmspcs:
            yield from self._pages(query)
        for fmspc in dict.fromkeys(fmspcs):
            yield from self._pages(query.where(PLATFORMS.c.fmspc == fmspc.hex().upper()))

    def _pages(self, query: Select[Any]) -> Iterator[tuple[Platform, tuple[RawTCB, ...]]]:
        last = 0
        while True:
            page = query.where(PLATFORMS.c.id > last).order_by(PLATFORMS.c.id).limit(_PAGE_ROWS)
            rows, asked = self._database.read("read the platforms", partial(_read_page, page=page))
            if not rows:
                return
            for row in rows:
                platform = self._platform(row)
                if platform is not None:
                    yield platform, asked.get(row.id, ())
            last = rows[-1].id

    def families(self) -> Sequence[tuple[bytes, int]]:
        """See `PlatformStorage.families`; those of unknown family are left out."""
        query = (
            select(PLATFORMS.c.fmspc, func.count())
            .where(PLATFORMS.c.fmspc != "")
            .group_by(PLATFORMS.c.fmspc)
            .order_by(PLATFORMS.c.fmspc)
        )
        rows = self._database.read("count the platforms", lambda connection: connection.execute(query).all())
        return [(bytes.fromhex(fmspc), number) for fmspc, number in rows]

    def count(self) -> int:
        """See `PlatformStorage.count`."""
        query = select(func.count()).select_from(PLATFORMS)
        return self._database.read("count the platforms", lambda connection: connection.execute(query).scalar_one())


def _is_alike(one: Platform, other: Platform) -> bool:
    return (one.fmspc, one.ca) == (other.fmspc, other.ca)


def _read_page(
    connection: Connection, page: Select[Any]
) -> tuple[Sequence[Row[Any]], Mapping[int, tuple[RawTCB, ...]]]:
    """Read some platforms, and what these asked for."""
    rows = connection.execute(page).all()
    numbers = [row.id for row in rows]
    query = select(ANSWERS).where(ANSWERS.c.platform_id.in_(numbers)).order_by(ANSWERS.c.id)
    asked: dict[int, tuple[RawTCB, ...]] = {}
    for row in connection.execute(query).all() if numbers else ():
        try:
            asked[row.platform_id] = (*asked.get(row.platform_id, ()), parse_raw_tcb(row.raw_tcb))
        except MalformedError:
            continue
    return rows, asked
