"""Strict reading of JSON documents that others wrote: references, and inputs that are given as text."""

import json
import math
from typing import NoReturn, cast

from verdictd.core.errors import LimitExceededError, MalformedError
from verdictd.core.result import JSONValue

MAX_DEPTH = 64
MAX_NUMBER_LENGTH = 100
"""Digits of a number. 64-bit integers have 20; the engine computes with any."""


def parse_json_object(data: bytes, what: str, max_bytes: int) -> dict[str, JSONValue]:
    """Read a JSON object in which nothing is ambiguous.

    Args:
        data: the document, UTF-8.
        what: what to call it in a message.
        max_bytes: the most it may have.
    Returns:
        Its members, in their order.
    Raises:
        MalformedError: not UTF-8, not JSON, not an object; it names a member twice; it has NaN or an infinity, a number
            that is not finite, or half a surrogate pair.
        LimitExceededError: longer than `max_bytes`, deeper than `MAX_DEPTH`, or a longer number.
    """
    if len(data) > max_bytes:
        raise LimitExceededError(f"{what} is {len(data)} bytes long, the limit is {max_bytes}")
    try:
        text = data.decode("utf-8")
        value = json.loads(
            text,
            object_pairs_hook=_members,
            parse_constant=_refuse_constant,
            parse_int=_parse_int,
            parse_float=_parse_float,
        )
    except UnicodeDecodeError as error:
        raise MalformedError(f"{what} is not UTF-8: {error.reason} at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise MalformedError(f"{what} is not JSON: line {error.lineno}, column {error.colno}: {error.msg}") from error
    except ValueError as error:
        raise MalformedError(f"{what} cannot be used: {error}") from error
    except RecursionError as error:
        raise _too_deep(what) from error
    if not isinstance(value, dict):
        raise MalformedError(f"{what} is not a JSON object", remedy="write {…}, with a member for each value")
    _check_values(value, what)
    return cast("dict[str, JSONValue]", value)


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it has the member {twice!r} twice in one object")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it has {name}, which is not a JSON number")


def _parse_int(digits: str) -> int:
    if len(digits) > MAX_NUMBER_LENGTH:
        raise ValueError(f"it has a number of {len(digits)} digits, the limit is {MAX_NUMBER_LENGTH}")
    return int(digits)


def _parse_float(digits: str) -> float:
    if len(digits) > MAX_NUMBER_LENGTH:
        raise ValueError(f"it has a number of {len(digits)} digits, the limit is {MAX_NUMBER_LENGTH}")
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"it has the number {digits}, which is too large")
    return value


def _check_values(value: object, what: str) -> None:
    """Bound the depth, and refuse strings that cannot be written as UTF-8."""
    level: list[object] = [value]
    for _ in range(MAX_DEPTH):
        inner: list[object] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(item)
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
            elif isinstance(item, str) and not item.isascii():
                _check_text(item, what)
        if not inner:
            return
        level = inner
    raise _too_deep(what)


def _check_text(text: str, what: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise MalformedError(f"{what} has a string with half a surrogate pair") from error


def _too_deep(what: str) -> LimitExceededError:
    return LimitExceededError(f"{what} has values more than {MAX_DEPTH} deep inside one another")
