"""Readers of single settings: from what TOML or argparse give to the value that a program works with."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

from verdictd.configuration.trust_files import INTEL
from verdictd.core.errors import ConfigError

Reader: TypeAlias = Callable[[object, Path], object]
"""Takes a raw value and the directory that relative paths are relative to; raises a `VerdictdError`."""

_MAX_SECONDS = 86400.0


def read_text(value: object) -> str:
    """Read a text.

    Raises:
        ConfigError: another type, an empty one, or one that holds a NUL.
    """
    if not isinstance(value, str):
        raise ConfigError(f"expected a text, found {_describe(value)}")
    if not value or "\0" in value:
        raise ConfigError("expected a text that is neither empty nor holds a NUL")
    return value


def read_texts(value: object) -> tuple[str, ...]:
    """Read a list of texts.

    Raises:
        ConfigError: it is no list, or holds what `read_text` refuses.
    """
    if not isinstance(value, list | tuple):
        raise ConfigError(f"expected a list of texts, found {_describe(value)}")
    return tuple(read_text(item) for item in value)


def read_flag(value: object, _: Path) -> bool:
    """Read true or false.

    Raises:
        ConfigError: another type.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"expected true or false, found {_describe(value)}")
    return value


def read_by(parse: Callable[[str], object]) -> Reader:
    """Return a reader of texts of some form."""
    return lambda value, _: parse(read_text(value))


def number(minimum: int, maximum: int) -> Reader:
    """Return a reader of whole numbers within bounds."""

    def read(value: object, _: Path) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
            raise ConfigError(f"expected a whole number from {minimum} to {maximum}, found {_describe(value)}")
        return value

    return read


def read_seconds(value: object, _: Path) -> float:
    """Read seconds, above 0 and up to a day.

    Raises:
        ConfigError: another type, or out of bounds.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _MAX_SECONDS:
        raise ConfigError(f"expected seconds, above 0 and up to {_MAX_SECONDS:g}, found {_describe(value)}")
    return float(value)


def one_of(names: type[StrEnum], *, absent: frozenset[str] = frozenset()) -> Reader:
    """Return a reader of one of several words.

    Args:
        names: the words.
        absent: further ones, which are known but not implemented.
    """

    def parse(name: str) -> StrEnum:
        try:
            return names(name)
        except ValueError as error:
            why = "is not implemented" if name in absent else "is unknown"
            raise ConfigError(f"{name!r} {why}", remedy=f"use one of {', '.join(names)}") from error

    return read_by(parse)


def read_path(value: object, base: Path) -> Path:
    """Read a path.

    Raises:
        ConfigError: see `read_text`.
    """
    return base / read_text(value)


def read_trust_roots(value: object, base: Path) -> tuple[str, ...]:
    """Read a list of what `load_trust_roots` takes: `INTEL`, or paths of PEM files.

    Raises:
        ConfigError: it is no list of texts, or is empty.
    """
    names = read_texts(value)
    if not names:
        raise ConfigError("expected at least one trust root", remedy=f"name {INTEL!r}, or leave the key out")
    return tuple(name if name == INTEL else str(base / name) for name in names)


def suggest(name: str, known: Sequence[str]) -> str:
    """Say what may have been meant, or nothing."""
    matches = get_close_matches(name, known, n=1)
    return f" (did you mean {matches[0]}?)" if matches else ""


def _describe(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f"the text {value!r}"
        case list() | tuple():
            return "a list"
        case dict():
            return "a table"
        case _:
            return str(value)
