"""Reads and writes the rows of one platform, within a transaction."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, insert, select, update

from verdictd.core.errors import MalformedError
from verdictd.pccs.database.platform_columns import parse_ca, parse_fmspc, parse_raw_tcb
from verdictd.pccs.database.tables import ANSWERS, ISSUER_CHAINS, PCK_CERTIFICATES, PLATFORMS
from verdictd.pccs.database.upserts import insert_into
from verdictd.pccs.model import Platform, PlatformKey, RawTCB


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformRows:
    """What the rows of a platform say. Nothing of it is verified.

    Attributes:
        number: of the platform, in this database.
        platform: what is known of it.
        levels: for each TCB level its certificate in PEM; ``None`` where the vendor said that there is none.
        issuer_chain: PEM.
        is_complete: see `PCKSet`.
        fetched_at: see `PCKSet`.
    """

    number: int
    platform: Platform
    levels: Mapping[RawTCB, bytes | None]
    issuer_chain: bytes
    is_complete: bool
    fetched_at: datetime


def where_platform(key: PlatformKey) -> ColumnElement[bool]:
    """Select the row of a platform."""
    return and_(PLATFORMS.c.qe_id == key.qe_id, PLATFORMS.c.pce_id == key.pce_id)


def read_platform(row: Row[Any]) -> Platform:
    """Read what a row says of a platform.

    Raises:
        MalformedError: a column holds what was never written there.
    """
    return Platform(
        key=PlatformKey(row.qe_id, row.pce_id),
        enc_ppid=row.enc_ppid,
        manifest=row.manifest,
        fmspc=parse_fmspc(row.fmspc),
        ca=parse_ca(row.ca),
    )


def read_rows(connection: Connection, key: PlatformKey, *, locked: bool = False) -> PlatformRows | None:
    """Read the rows of a platform; ``None`` where there is none.

    Args:
        connection: where.
        key: of the platform.
        locked: whether others who lock it have to wait until the transaction ends.
    Raises:
        MalformedError: a column holds what was never written there.
    """
    query = (
        select(PLATFORMS, ISSUER_CHAINS.c.pem.label("chain"))
        .join_from(PLATFORMS, ISSUER_CHAINS, PLATFORMS.c.issuer_chain == ISSUER_CHAINS.c.digest)
        .where(where_platform(key))
    )
    row = connection.execute(query.with_for_update(of=PLATFORMS) if locked else query).one_or_none()
    if row is None:
        return None
    if row.fetched_at is None:
        raise MalformedError("it does not say since when it is there")
    of_platform = PCK_CERTIFICATES.c.platform_id == row.id
    levels = connection.execute(select(PCK_CERTIFICATES).where(of_platform).order_by(PCK_CERTIFICATES.c.tcb)).all()
    return PlatformRows(
        number=row.id,
        platform=read_platform(row),
        levels={parse_raw_tcb(level.tcb): level.pem for level in levels},
        issuer_chain=row.chain,
        is_complete=row.is_complete,
        fetched_at=row.fetched_at,
    )


def write_chain(connection: Connection, pem: bytes) -> str:
    """Store an issuer chain where it is not there already, and return its digest."""
    digest = hashlib.sha256(pem).hexdigest()
    there = connection.execute(select(ISSUER_CHAINS.c.pem).where(ISSUER_CHAINS.c.digest == digest)).scalar_one_or_none()
    if there != pem:  # also where somebody changed it
        statement = insert_into(connection, ISSUER_CHAINS).values(digest=digest, pem=pem)
        index = [ISSUER_CHAINS.c.digest]
        connection.execute(statement.on_conflict_do_update(index_elements=index, set_={"pem": pem}))
    return digest


def write_levels(connection: Connection, number: int, levels: Mapping[RawTCB, bytes | None]) -> None:
    """Store the certificates of a platform in the place of those that are there."""
    connection.execute(delete(PCK_CERTIFICATES).where(PCK_CERTIFICATES.c.platform_id == number))
    rows = [{"platform_id": number, "tcb": str(tcb), "pem": pem} for tcb, pem in levels.items()]
    if rows:
        connection.execute(insert(PCK_CERTIFICATES), rows)


def forget_answers(connection: Connection, number: int) -> None:
    """Forget which certificates were chosen, and not for which raw TCBs: these are asked for again."""
    connection.execute(update(ANSWERS).where(ANSWERS.c.platform_id == number).values(chosen=None))
