"""Strict reading of Intel's JSON documents: each field by name, with its exact type, size and range."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from verdictd.core.errors import LimitExceededError, MalformedError

_DATE_FORM = "2026-01-31T00:00:00Z"


class JSONObject:
    """A JSON object of a document, read field by field. Its methods raise `MalformedError` and nothing else."""

    __slots__ = ("members", "where")

    def __init__(self, members: object, where: str) -> None:
        if not isinstance(members, dict):
            raise MalformedError(f"{where} is not a JSON object")
        self.members: Mapping[str, object] = members
        self.where = where

    def _get(self, name: str) -> object:
        if name not in self.members:
            raise MalformedError(f"{self.where} has no member {name!r}")
        return self.members[name]

    def text(self, name: str) -> str:
        """A string."""
        value = self.members.get(name)
        if type(value) is not str:
            raise MalformedError(f"{self.where}: {name} is {type(self._get(name)).__name__}, expected text")
        return value

    def integer(self, name: str, maximum: int) -> int:
        """An integer from 0 to `maximum`."""
        value = self.members.get(name)
        if type(value) is not int or not 0 <= value <= maximum:
            found = self._get(name)
            raise MalformedError(f"{self.where}: {name} is {found!r:.40}, expected an integer from 0 to {maximum}")
        return value

    def octets(self, name: str, size: int) -> bytes:
        """`size` bytes as hex text, in either case."""
        value = self.text(name)
        try:
            octets = bytes.fromhex(value)
        except ValueError as error:
            raise MalformedError(f"{self.where}: {name} is not hex text") from error
        if len(octets) != size or len(value) != 2 * size:
            raise MalformedError(f"{self.where}: {name} has {len(value)} hex digits, expected {2 * size}")
        return octets

    def date(self, name: str) -> datetime:
        """An instant in the form 2026-01-31T00:00:00Z."""
        value = self.text(name)
        try:
            if len(value) == len(_DATE_FORM) and value[4:20:3] == _DATE_FORM[4:20:3]:  # one of many that can be read
                return datetime.fromisoformat(value)
        except ValueError:  # e.g. 30 February
            pass
        raise MalformedError(f"{self.where}: {name} is {value!r:.40}, expected the form {_DATE_FORM}")

    def object(self, name: str) -> "JSONObject":
        """An object."""
        return JSONObject(self._get(name), f"{self.where}.{name}")

    def list(self, name: str) -> list[Any]:
        """A list of anything."""
        value = self.members.get(name)
        if type(value) is not list:
            raise MalformedError(f"{self.where}: {name} is {type(self._get(name)).__name__}, expected a list")
        return value

    def objects(self, name: str) -> "tuple[JSONObject, ...]":
        """A list of objects."""
        return tuple(JSONObject(entry, f"{self.where}.{name}[{index}]") for index, entry in enumerate(self.list(name)))

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings; empty where the member is absent."""
        value = self.members.get(name, [])
        if not isinstance(value, list) or not {*map(type, value)} <= {str}:
            raise MalformedError(f"{self.where}: {name} is not a list of text")
        return tuple(value)


def parse_json_document(text: bytes, where: str) -> JSONObject:
    """Parse the text of a document whose signature was verified.

    Raises:
        MalformedError: not UTF-8, not JSON, or not an object; or a text in it has half a surrogate pair, which cannot
            be written again.
        LimitExceededError: nested too deeply.
    """
    try:
        members = json.loads(text.decode("utf-8"))
        if b"\\u" in text:
            json.dumps(members, ensure_ascii=False).encode("utf-8")
    except ValueError as error:
        raise MalformedError(f"{where} is not JSON: {error}") from error
    except RecursionError as error:
        raise LimitExceededError(f"{where} is nested too deeply") from error
    return JSONObject(members, where)
