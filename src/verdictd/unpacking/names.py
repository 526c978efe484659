"""Names of files in archives, which are untrusted, as they are shown to people; and errors that say where they are."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from verdictd.core.errors import ConfigError, VerdictdError

_MAX_SHOWN: Final = 1000
"""Characters of a name in a message. Archives in archives can have names of many thousands."""


def show_name(name: bytes) -> str:
    """Write a name so that it is one line and does nothing to a terminal."""
    text = name.decode("utf-8", "backslashreplace")
    return "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in text)


def show_path(path: Path) -> str:
    """Write a path of the operator's as the names of found files begin."""
    return show_name(os.fsencode(path))


def shorten(name: str) -> str:
    """Leave out the middle of a name that is too long for a message."""
    if len(name) <= _MAX_SHOWN:
        return name
    return f"{name[: _MAX_SHOWN // 2]}…{name[-_MAX_SHOWN // 2 :]}"


@contextmanager
def locate_errors(name: str) -> Iterator[None]:
    """Put a name before the errors of what is read meanwhile. Those of the operator's own files have theirs."""
    try:
        yield
    except ConfigError:
        raise
    except VerdictdError as error:
        raise type(error)(f"{shorten(name)}: {error.message}", remedy=error.remedy) from error
