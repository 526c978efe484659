"""JSON of others, parsed only where its size in memory has a bound: ``[[],[],…]`` takes thirty times its bytes."""

import json
from typing import Final

from verdictd.core.errors import LimitExceededError, MalformedError
from verdictd.core.result import JSONValue

_MARKS: Final = (b",", b"[", b"{")


def parse_bounded_json(data: bytes, what: str, *, max_values: int) -> JSONValue:
    """Parse JSON.

    Args:
        data: of bounded length.
        what: what to call it in an error.
        max_values: how many values it may hold, those in objects and lists counted.
    Raises:
        MalformedError: not JSON in UTF-8, nested too deeply, or with numbers of thousands of digits.
        LimitExceededError: too many values.
    """
    if _count_values(data) > max_values:
        raise LimitExceededError(f"{what} holds more than {max_values} values", remedy="split it, or fetch it again")
    try:
        value: JSONValue = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"{what} is not JSON: {error!s:.200}", remedy="export or fetch it again") from error
    return value


def _count_values(data: bytes) -> int:
    """Count, from above, what makes values in JSON: the marks that do not stand in texts."""
    if sum(data.count(mark) for mark in _MARKS) == 0:
        return 1
    outside = b"".join(data.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    return 1 + sum(outside.count(mark) for mark in _MARKS)
