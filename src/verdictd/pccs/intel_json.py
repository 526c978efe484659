"""Members of Intel's JSON by their type, with the place at which a wrong one stands."""

import re
from typing import Final

from verdictd.core.errors import MalformedError
from verdictd.core.result import JSONValue
from verdictd.pccs.model import PlatformKey

_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})*")
_QE_ID = re.compile(r"[0-9A-Fa-f]{1,260}")
_PCE_ID = re.compile(r"[0-9A-Fa-f]{4}")
_REMEDY: Final = "write the file again with pccsadmin fetch"


def require_object(value: JSONValue, where: str) -> dict[str, JSONValue]:
    """Return an object. Raises MalformedError."""
    if not isinstance(value, dict):
        raise MalformedError(f"{where} is no JSON object", remedy=_REMEDY)
    return value


def require_list(value: JSONValue, where: str) -> list[JSONValue]:
    """Return a list. Raises MalformedError."""
    if not isinstance(value, list):
        raise MalformedError(f"{where} is no list", remedy=_REMEDY)
    return value


def require_text(value: JSONValue, where: str) -> str:
    """Return a text. Raises MalformedError."""
    if not isinstance(value, str):
        raise MalformedError(f"{where} is no text", remedy=_REMEDY)
    return value


def optional_text(value: JSONValue, where: str) -> str:
    """Return a text, empty where it is absent or null. Raises MalformedError."""
    return "" if value is None else require_text(value, where)


def optional_hex(value: JSONValue, where: str) -> bytes:
    """Return what hex digits say, nothing where they are absent, null or empty. Raises MalformedError."""
    text = optional_text(value, where)
    if not _HEX.fullmatch(text):
        raise MalformedError(f"{where} is not hex digits", remedy=_REMEDY)
    return bytes.fromhex(text)


def read_key(members: dict[str, JSONValue], where: str) -> PlatformKey:
    """Return which platform ``qe_id`` and ``pce_id`` name. Raises MalformedError."""
    qe_id, pce_id = require_text(members.get("qe_id"), f"{where}.qe_id"), require_text(members.get("pce_id"), where)
    if not _QE_ID.fullmatch(qe_id) or not _PCE_ID.fullmatch(pce_id):
        raise MalformedError(f"{where} names no platform by its qe_id and pce_id", remedy=_REMEDY)
    return PlatformKey(qe_id.upper(), pce_id.upper())


def encode_utf8(text: str, where: str) -> bytes:
    """Return a text's bytes. Raises MalformedError where it holds half a character."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise MalformedError(f"{where} holds half a character", remedy=_REMEDY) from error
