"""Reads one request: strict JSON, so that no two readers can take it to mean different things."""

import json
import math
import re
from typing import Final

from verdictd.core.errors import LimitExceededError, MalformedError
from verdictd.core.limits import MAX_REQUEST_BYTES
from verdictd.core.result import JSONValue

_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


def parse_request(text: bytes) -> dict[str, JSONValue]:
    """Read a request, which is a JSON object (RFC 8259).

    Refused beyond what Python's reader refuses: any encoding but UTF-8, NaN and infinities, numbers too large to be
    finite, a name that stands twice in an object, and halves of surrogate pairs, which no text can hold.

    Args:
        text: untrusted bytes, at most `MAX_REQUEST_BYTES`, nested no deeper than `framing` allows.
    Raises:
        MalformedError, LimitExceededError: and nothing else, for any bytes.
    """
    if len(text) > MAX_REQUEST_BYTES:
        raise LimitExceededError(f"a request is longer than {MAX_REQUEST_BYTES} bytes")
    try:
        value: JSONValue = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_build_object,
            parse_constant=_refuse_constant,
            parse_float=_parse_finite,
        )
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"a request is no JSON: {type(error).__name__}") from error
    if not isinstance(value, dict):
        raise MalformedError("a request is no JSON object")
    return value


def _build_object(pairs: list[tuple[str, JSONValue]]) -> dict[str, JSONValue]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedError("a request holds an object with the same name twice")
    return members


def _refuse_constant(name: str) -> JSONValue:
    raise MalformedError(f"a request holds {name}, which is no JSON")


def _parse_finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise MalformedError("a request holds a number that is not finite")
    return number
