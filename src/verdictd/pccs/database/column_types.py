"""How values are kept in columns: the same, and in the same order, in every database.

What comes out of a column may have been put there by anybody who can write the database. A value of the wrong type
comes out as one that cannot verify, so that its row is passed over and the others are read.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import BigInteger, Dialect, LargeBinary, TypeDecorator

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Instant(TypeDecorator[datetime]):
    """An aware instant, in microseconds since 1970 (UTC)."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Count the microseconds. A naive instant is a mistake of the caller's: `TypeError`."""
        del dialect
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: object, dialect: Dialect) -> datetime | None:
        """Return the instant; ``None`` where it cannot be one."""
        del dialect
        try:
            return _EPOCH + value * _MICROSECOND if isinstance(value, int) else None
        except OverflowError:
            return None


class Content(TypeDecorator[bytes]):
    """Bytes. What is none comes out as empty."""

    impl = LargeBinary
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], bytes | None]:
        """Take the place of the library's own, which raises `TypeError`."""
        del dialect, coltype
        return _content


def _content(value: object) -> bytes | None:
    if value is None:
        return None
    return bytes(value) if isinstance(value, bytes | memoryview) else b""
