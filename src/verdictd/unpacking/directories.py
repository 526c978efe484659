"""The operator's own files: one that is named, or all in a directory, opened so that nothing leads out of it.

A directory's entries are opened by its descriptor and without following links, so that a link that is put there
meanwhile leads nowhere. A file that is no regular one is not opened: a pipe would be waited for without end.
"""

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from verdictd.core.errors import ConfigError, LimitExceededError
from verdictd.unpacking.limits import Budget
from verdictd.unpacking.names import shorten, show_name, show_path

_OPENED: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_ENTRY: Final = _OPENED | os.O_NOFOLLOW


class NamedFile(NamedTuple):
    """A regular file, open until the next one is asked for. Its name is its path, as one line."""

    name: str
    file: io.BufferedReader


def list_files(path: Path, budget: Budget) -> Iterator[NamedFile]:
    """Open a file, or all regular files in a directory and those within it, one after the other, in order of names.

    Raises:
        ConfigError: one of them cannot be read, or `path` is neither file nor directory.
        LimitExceededError: there are too many, or too deep.
    """
    name = show_path(path)
    with _open(name, str(path), _OPENED, None) as descriptor:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            yield from _list_directory(descriptor, name, budget, depth=1)
        elif stat.S_ISREG(mode):
            yield from _open_file(descriptor, name)
        else:
            raise ConfigError(
                f"{shorten(name)} is neither a file nor a directory", remedy="save what comes from there, and name that"
            )


def _list_directory(descriptor: int, name: str, budget: Budget, *, depth: int) -> Iterator[NamedFile]:
    if depth > budget.limits.directory_depth:
        raise LimitExceededError(
            f"{shorten(name)} is more than {budget.limits.directory_depth} directories deep",
            remedy="name one further inside",
        )
    for entry in _read_entries(descriptor, name, budget):
        inner = f"{name.rstrip('/')}/{show_name(os.fsencode(entry))}"
        with _open(inner, entry, _ENTRY, descriptor) as opened:
            mode = os.fstat(opened).st_mode
            if stat.S_ISDIR(mode):
                yield from _list_directory(opened, inner, budget, depth=depth + 1)
            elif stat.S_ISREG(mode):  # else it was put there meanwhile
                yield from _open_file(opened, inner)


def _read_entries(descriptor: int, name: str, budget: Budget) -> list[str]:
    """List the files and directories of a directory, without links, pipes and devices."""
    entries = []
    try:
        with os.scandir(descriptor) as scanned:
            for entry in scanned:
                budget.spend_member()
                if entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False):
                    entries.append(entry.name)
    except OSError as error:
        raise ConfigError(f"{shorten(name)} cannot be read: {error.strerror}") from error
    return sorted(entries)


def _open_file(descriptor: int, name: str) -> Iterator[NamedFile]:
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        yield NamedFile(name, file)


@contextmanager
def _open(name: str, path: str, flags: int, directory: int | None) -> Iterator[int]:
    try:
        descriptor = os.open(path, flags, dir_fd=directory)
    except OSError as error:
        raise ConfigError(
            f"{shorten(name)} cannot be read: {error.strerror}", remedy="name a file that exists and can be read"
        ) from error
    except ValueError as error:
        raise ConfigError(f"{shorten(name)} is no path: {error}", remedy="name a file") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)
