"""JSON as policies see it: strict reading of what others wrote, and writing of inputs.

The engine keeps integers of 64 bits, signed or not, and takes others for floating-point numbers: 2^64 would equal
2^64 + 1. So other integers are refused; 64-bit fields travel as text anyway.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import NoReturn, cast

from verdictd.core.errors import LimitExceededError, MalformedError
from verdictd.core.result import JSONValue

MAX_DEPTH = 64
MAX_NUMBER_LENGTH = 100
"""Characters of a number."""
MIN_INTEGER = -(2**63)
MAX_INTEGER = 2**64 - 1

_LONG_NUMBERS = tuple(re.compile(before + rb"-?[0-9]{19}") for before in (rb" ", rb"\["))
"""A number in what `_ENCODER` writes comes after a space or a bracket; in text, digits come after anything."""
_ENCODER = json.JSONEncoder(allow_nan=False)


def parse_json_object(data: bytes, what: str, max_bytes: int) -> dict[str, JSONValue]:
    """Read a JSON object in which nothing is ambiguous.

    Args:
        data: the document, UTF-8.
        what: what to call it in a message.
        max_bytes: the most it may have.
    Returns:
        Its members, in their order.
    Raises:
        MalformedError: not UTF-8, not JSON, not an object; it names a member twice; it has NaN, an infinity, an integer
            of more than 64 bits, a number too long or too large, or half a surrogate pair.
        LimitExceededError: longer than `max_bytes`, or deeper than `MAX_DEPTH`.
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


def encode_input(given: Mapping[str, JSONValue]) -> bytes:
    """Write an input for the engine.

    Raises:
        LimitExceededError: it has an integer of more than 64 bits.
        TypeError, ValueError: it is not JSON, or has NaN; a mistake of the caller.
    """
    text = _ENCODER.encode(dict(given)).encode("ascii")
    if any(pattern.search(text) for pattern in _LONG_NUMBERS):
        _check_integers(given)
    return text


def _check_integers(value: object) -> None:
    if isinstance(value, int) and not MIN_INTEGER <= value <= MAX_INTEGER:
        raise LimitExceededError(f"the input has the integer {str(value)[:40]}, which has more than 64 bits")
    if isinstance(value, Mapping):
        for item in value.values():
            _check_integers(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_integers(item)


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"it has the member {twice!r:.80} twice in one object")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it has {name}, which is not a JSON number")


def _parse_int(digits: str) -> int:
    if len(digits) > MAX_NUMBER_LENGTH:
        raise ValueError(f"it has a number of {len(digits)} digits, the limit is {MAX_NUMBER_LENGTH}")
    value = int(digits)
    if not MIN_INTEGER <= value <= MAX_INTEGER:
        raise ValueError(f"it has the integer {digits}, which has more than 64 bits; write it as text")
    return value


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
