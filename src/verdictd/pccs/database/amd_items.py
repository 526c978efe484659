"""AMD's certificates and CRLs in the database."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, Literal, TypeAlias, get_args

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, select, update

from verdictd.collateral.amd_names import AMDCertificateName
from verdictd.core.errors import MalformedError, UnsupportedError, VerdictdError
from verdictd.core.limits import MAX_CRL_BYTES
from verdictd.pccs.database.connections import Database
from verdictd.pccs.database.row_warnings import RowWarnings
from verdictd.pccs.database.sizes import check_content, check_text
from verdictd.pccs.database.tables import AMD_ITEMS
from verdictd.pccs.database.upserts import insert_into
from verdictd.pccs.model import AMDItem, AMDKeyType, AMDProduct, AMDSummary

AMDVerifier: TypeAlias = Callable[[AMDItem], None]
"""Raises a `VerdictdError` where an item does not hold up to the pinned root of its product, or is not as it says."""

_PAGE_ROWS: Final = 64
_MAX_SEQUENCE_DIGITS: Final = 50
_MAX_CHIP_ID_DIGITS: Final = 128
_MAX_TCB_DIGITS: Final = 16
_Kind: TypeAlias = Literal["leaf", "cert_chain", "crl"]
_KINDS: Final[dict[str, _Kind]] = {kind: kind for kind in get_args(_Kind)}
_PRODUCTS: Final[dict[str, AMDProduct]] = {product: product for product in get_args(AMDProduct)}
_KEY_TYPES: Final[dict[str, AMDKeyType]] = {key_type: key_type for key_type in get_args(AMDKeyType)}


class DatabaseAMD:
    """Implements `AMDStorage`. What is read is verified again; without a verifier it is passed over."""

    def __init__(self, database: Database, verify: AMDVerifier | None, warnings: RowWarnings) -> None:
        self._database = database
        self._verify = verify or _refuse
        self._warnings = warnings

    def keep(self, item: AMDItem) -> bool:
        """See `AMDStorage.keep`. An item that no longer verifies here is displaced by any that is kept.

        Raises:
            LimitExceededError: the item is larger than any is accepted.
            StorageError: the database failed.
        """
        key = _key_columns(item.name)
        values = key | {
            "content": check_content(item.content, MAX_CRL_BYTES, "an item of AMD's"),
            "expires_at": item.expires_at,
            "sequence": check_text(str(item.sequence), _MAX_SEQUENCE_DIGITS, "a CRL number"),
            "fetched_at": item.fetched_at,
        }

        def work(connection: Connection) -> bool:
            # An empty row first where there is none, so that there is one to lock for whoever comes at the same time.
            empty = {"content": b"", "sequence": "0", "expires_at": item.expires_at, "fetched_at": item.fetched_at}
            connection.execute(insert_into(connection, AMD_ITEMS).values(key | empty).on_conflict_do_nothing())
            row = connection.execute(select(AMD_ITEMS).where(_where(item.name)).with_for_update()).one()
            there = self._read(row) if row.content else None
            if there is not None and there.sequence > item.sequence:
                return False
            connection.execute(update(AMD_ITEMS).where(_where(item.name)).values(values))
            return bool(row.content != item.content)

        return self._database.write("store an item of AMD's", work)

    def get(self, name: AMDCertificateName) -> AMDItem | None:
        """See `AMDStorage.get`."""
        query = select(AMD_ITEMS).where(_where(name))
        row = self._database.read("read an item of AMD's", lambda connection: connection.execute(query).one_or_none())
        return None if row is None else self._read(row)

    def items(self) -> Iterator[AMDItem]:
        """See `AMDStorage.items`. It is read in pages; what comes and goes meanwhile may be there or not."""
        last = 0
        while True:
            query = select(AMD_ITEMS).where(AMD_ITEMS.c.id > last).order_by(AMD_ITEMS.c.id).limit(_PAGE_ROWS)
            rows = self._database.read("read AMD's items", partial(_fetch, query=query))
            if not rows:
                return
            yield from (item for row in rows if (item := self._read(row)) is not None)
            last = rows[-1].id

    def summaries(self) -> Sequence[AMDSummary]:
        """See `AMDStorage.summaries`."""
        of_kind = (AMD_ITEMS.c.key_type, AMD_ITEMS.c.what)
        figures = (func.count(), func.min(AMD_ITEMS.c.fetched_at), func.min(AMD_ITEMS.c.expires_at))
        query = select(*of_kind, *figures).group_by(*of_kind).order_by(*of_kind)
        rows = self._database.read("count AMD's items", partial(_fetch, query=query))
        return [AMDSummary(*row) for row in map(tuple, rows)]

    def _read(self, row: Row[Any]) -> AMDItem | None:
        try:
            item = _put_together(row)
            self._verify(item)
        except (VerdictdError, TypeError, ValueError) as error:  # also of columns that hold something else
            what = f"an item of AMD's ({row.key_type!s:.4} {row.product!s:.10} {row.what!s:.10})"
            self._warnings.warn(("amd", row.id, row.fetched_at, row.content), what, str(error))
            return None
        return item


def _refuse(item: AMDItem) -> None:
    raise UnsupportedError(f"nothing verifies {item.name.product} {item.name.what}s here")


def _fetch(connection: Connection, query: Select[Any]) -> Sequence[Row[Any]]:
    return connection.execute(query).all()


def _key_columns(name: AMDCertificateName) -> dict[str, object]:
    return {
        "key_type": name.key_type,
        "product": name.product,
        "what": name.what,
        "chip_id": check_text(name.chip_id.hex(), _MAX_CHIP_ID_DIGITS, "a chip id"),
        "tcb": check_text(name.tcb.hex(), _MAX_TCB_DIGITS, "a TCB"),
    }


def _where(name: AMDCertificateName) -> ColumnElement[bool]:
    return and_(*(AMD_ITEMS.c[column] == value for column, value in _key_columns(name).items()))


def _put_together(row: Row[Any]) -> AMDItem:
    if row.key_type not in _KEY_TYPES or row.product not in _PRODUCTS or row.what not in _KINDS:
        raise MalformedError("it is of no known kind")
    if row.expires_at is None or row.fetched_at is None:
        raise MalformedError("it does not say when it was fetched, or expires")
    return AMDItem(
        name=AMDCertificateName(
            key_type=_KEY_TYPES[row.key_type],
            product=_PRODUCTS[row.product],
            what=_KINDS[row.what],
            chip_id=bytes.fromhex(row.chip_id),
            tcb=bytes.fromhex(row.tcb),
        ),
        content=row.content,
        expires_at=row.expires_at,
        sequence=int(row.sequence),
        fetched_at=row.fetched_at,
    )
