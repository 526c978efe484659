"""Members of a bundle's entries by their type."""

import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from verdictd.core.errors import MalformedError

_HEX = re.compile(r"(?:[0-9A-F]{2})*")


class EntryMembers:
    """Reads members of an object by name and type, and notes which are known. All raise MalformedError."""

    def __init__(self, members: Mapping[str, object]) -> None:
        self._members = members
        self._known: set[str] = set()

    def _get(self, name: str) -> object:
        self._known.add(name)
        if name not in self._members:
            raise MalformedError(f"an entry lacks {name}")
        return self._members[name]

    def text(self, name: str) -> str:
        """Return a text."""
        return _require_text(self._get(name), name)

    def texts(self, name: str) -> list[str]:
        """Return a list of texts."""
        value = self._get(name)
        if not isinstance(value, list):
            raise MalformedError(f"{name} of an entry is no list")
        return [_require_text(item, name) for item in value]

    def hex(self, name: str) -> bytes:
        """Return what upper-case hex digits say."""
        return read_hex(self.text(name), name)

    def base64(self, name: str) -> bytes:
        """Return what base64 says."""
        try:
            return binascii.a2b_base64(self.text(name).encode("utf-8"), strict_mode=True)
        except binascii.Error as error:
            raise MalformedError(f"{name} of an entry is not base64: {error}") from error

    def flag(self, name: str) -> bool:
        """Return true or false."""
        value = self._get(name)
        if not isinstance(value, bool):
            raise MalformedError(f"{name} of an entry is neither true nor false")
        return value

    def instant(self, name: str) -> datetime:
        """Return an instant, in UTC."""
        return parse_instant(self.text(name), name)

    def require_all_known(self) -> None:
        """Require that every member was asked for."""
        unknown = self._members.keys() - self._known
        if unknown:
            raise MalformedError(f"an entry has the unknown member {min(unknown)!r:.40}")


def parse_instant(text: str, what: str) -> datetime:
    """Read an instant in ISO 8601, with its zone.

    Raises:
        MalformedError: not that.
    """
    try:
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is None:
            raise MalformedError(f"{what} is {text!r:.40}, which does not say its zone")
        return instant.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise MalformedError(f"{what} is {text!r:.40}, expected an instant such as 2026-01-31T00:00:00Z") from error


def _require_text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise MalformedError(f"{name} of an entry is no text")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise MalformedError(f"{name} of an entry holds half a character") from error
    return value


def read_hex(text: str, what: str) -> bytes:
    """Read upper-case hex digits, two for each byte. Raises MalformedError."""
    if not _HEX.fullmatch(text):
        raise MalformedError(f"{what} is {text!r:.40}, expected upper-case hex digits")
    return bytes.fromhex(text)
