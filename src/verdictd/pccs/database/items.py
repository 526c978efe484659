"""Collateral in the database."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, get_args

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, insert, select, update

from verdictd.collateral.items import CollateralItem, ItemKey, ItemKind, VerifiedItem, verify_item
from verdictd.collateral.pccs_urls import APIVersion, Update, UpdateType
from verdictd.collateral.source_names import one_line
from verdictd.core.errors import MalformedError, VerdictdError
from verdictd.core.limits import MAX_CHAIN_BYTES, MAX_CRL_BYTES, MAX_SIGNED_DOCUMENT_BYTES
from verdictd.pccs.database.connections import Database
from verdictd.pccs.database.row_warnings import RowWarnings
from verdictd.pccs.database.sizes import check_content
from verdictd.pccs.database.tables import ITEMS, REVISIONS
from verdictd.pccs.model import STANDARD, Edition, StoredItem
from verdictd.tees.dcap.collateral import RevocationList, SignedDocument
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.trust_roots import TrustRoots

_CRLS: Final = frozenset({ItemKind.PCK_CRL, ItemKind.ROOT_CA_CRL})
_VERSIONS: Final[dict[int, APIVersion]] = {version: version for version in get_args(APIVersion)}
_UPDATES: Final[dict[str, UpdateType]] = {update: update for update in get_args(UpdateType)}


class DatabaseItems:
    """Implements `ItemStorage`.

    Trust: a row counts for what it verifies to under this process's roots. Whoever may write the database can take rows
    away, or put older ones and those of another edition in their place.
    """

    def __init__(self, database: Database, roots: TrustRoots, memory: FactMemory, warnings: RowWarnings) -> None:
        self._database = database
        self._roots = roots
        self._memory = memory
        self._warnings = warnings

    def keep(self, edition: Edition, item: VerifiedItem, at: datetime) -> bool:
        """See `ItemStorage.keep`. An item that no longer verifies here is displaced by any that does.

        Raises:
            LimitExceededError: the item is larger than any is accepted.
            StorageError: the database failed.
        """
        where = _where(edition, item.key)
        content = _content_columns(item.item)

        def work(connection: Connection) -> bool:
            revision = _raise_revision(connection)  # holds back all other writers of items until the end
            row = connection.execute(select(ITEMS).where(where)).mappings().one_or_none()
            if row is None:
                times = {"fetched_at": at, "checked_at": at}
                values = _key_columns(edition, item.key) | content | times | {"revision": revision}
                connection.execute(insert(ITEMS).values(values))
                return True
            there = self._verify(row)
            if there is None or item.replaces(there.item):
                values = content | {"fetched_at": at, "checked_at": at, "revision": revision}
                connection.execute(update(ITEMS).where(where).values(values))
                return True
            if at > there.checked_at and not there.item.replaces(item):  # an older one confirms nothing
                connection.execute(update(ITEMS).where(where).values(checked_at=at, revision=revision))
            return False

        return self._database.write(f"store the {item.key.name}", work)

    def get(self, edition: Edition, key: ItemKey) -> StoredItem | None:
        """See `ItemStorage.get`."""
        query = select(ITEMS).where(_where(edition, key))
        row = self._database.read(
            f"read the {key.name}", lambda connection: connection.execute(query).mappings().one_or_none()
        )
        return None if row is None else self._verify(row)

    def changed_since(self, revision: int) -> Sequence[StoredItem]:
        """See `ItemStorage.changed_since`.

        Revisions are committed in their order. So whoever saw one has seen all before it, and asks for those after it.
        """
        query = select(ITEMS).where(ITEMS.c.revision > revision).order_by(ITEMS.c.revision)
        rows = self._database.read("read the collateral", lambda connection: connection.execute(query).mappings().all())
        return [stored for row in rows if (stored := self._verify(row)) is not None]

    def _verify(self, row: RowMapping) -> StoredItem | None:
        try:
            return self._read(row)
        except (VerdictdError, TypeError, ValueError) as error:  # also of columns that hold something else
            row_key = (*(row[column.name] for column in ITEMS.primary_key), row["revision"])
            what = " ".join(["an item:", *(str(row[name])[:20] for name in ("kind", "tee", "fmspc", "publication"))])
            self._warnings.warn(row_key, what, str(error))
            return None

    def _read(self, row: RowMapping) -> StoredItem:
        edition = _parse_edition(row["api_version"], row["publication"])
        item = verify_item(_put_together(row), self._roots, self._memory)
        columns = _key_columns(edition, item.key)
        if any(row[name] != value for name, value in columns.items()):
            raise MalformedError(f"what is stored there is the {item.key.name} under {item.root.label}")
        if row["fetched_at"] is None or row["checked_at"] is None:
            raise MalformedError("it does not say since when it is there")
        return StoredItem(
            edition=edition,
            item=item,
            fetched_at=row["fetched_at"],
            checked_at=row["checked_at"],
            revision=row["revision"],
        )


def _raise_revision(connection: Connection) -> int:
    raised = update(REVISIONS).values(newest=REVISIONS.c.newest + 1).returning(REVISIONS.c.newest)
    return int(connection.execute(raised).scalar_one())


def _parse_edition(version: object, publication: object) -> Edition:
    found = _VERSIONS.get(version) if isinstance(version, int) else None
    if found is None or not isinstance(publication, str):
        raise MalformedError("it is of no known edition")
    known: Update | None = _UPDATES.get(publication)
    if known is None:
        if not publication.isdecimal() or not publication.isascii():
            raise MalformedError("it is of no known edition")
        known = int(publication)
    return Edition(found, known)


def _key_columns(edition: Edition, key: ItemKey) -> dict[str, object]:
    kept_under = STANDARD if key.name.kind in _CRLS else edition
    return {
        "api_version": kept_under.version,
        "publication": str(kept_under.update),
        "root": key.root,
        "kind": key.name.kind.value,
        "tee": key.name.tee or "",
        "fmspc": key.name.fmspc.hex().upper(),
        "pck_ca": key.name.pck_ca or "",
    }


def _where(edition: Edition, key: ItemKey) -> ColumnElement[bool]:
    return and_(*(ITEMS.c[name] == value for name, value in _key_columns(edition, key).items()))


def _content_columns(item: CollateralItem) -> dict[str, object]:
    raw = item.raw
    if isinstance(raw, SignedDocument):
        body, signature = check_content(raw.body, MAX_SIGNED_DOCUMENT_BYTES, str(item.kind)), raw.signature
    else:
        body, signature = check_content(raw.der, MAX_CRL_BYTES, str(item.kind)), b""
    chain = check_content(raw.issuer_chain, MAX_CHAIN_BYTES, f"the issuer chain of {item.kind}")
    return {"body": body, "signature": signature, "issuer_chain": chain, "source": one_line(raw.source)}


def _put_together(row: RowMapping) -> CollateralItem:
    if not isinstance(row["source"], str):
        raise MalformedError("it does not say where it came from")
    kind, source = ItemKind(row["kind"]), one_line(row["source"])
    if kind in _CRLS:
        crl = RevocationList(der=row["body"], issuer_chain=row["issuer_chain"], source=source)
        return CollateralItem(kind=kind, raw=crl)
    document = SignedDocument(
        body=row["body"], signature=row["signature"], issuer_chain=row["issuer_chain"], source=source
    )
    return CollateralItem(kind=kind, raw=document)
