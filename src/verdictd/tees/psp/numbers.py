"""Numbers as the firmware writes them: little-endian, in fields that are longer than they need be."""

from verdictd.core.errors import MalformedError

EC_FIELD_BYTES = 72
"""The room for a coordinate of a point, or for one number of a signature."""


def read_number(data: bytes, offset: int, what: str, *, used_bytes: int) -> int:
    """Read a number from a field of `EC_FIELD_BYTES`, of which only the first `used_bytes` may be other than zero.

    Raises:
        MalformedError: it is longer.
    """
    field = data[offset : offset + EC_FIELD_BYTES]
    if any(field[used_bytes:]):
        raise MalformedError(f"{what} is longer than {used_bytes} bytes")
    return int.from_bytes(field, "little")
