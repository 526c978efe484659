"""Files that are replaced whole: whoever looks, also after a crash at any instant, finds the old content or the new.

One file is written beside its name, made durable, and renamed over it. Several files that belong together first go,
as a whole, into a journal that is put in place by one such rename: from that instant they are written, and if a crash
comes between, `recover` writes them again from the journal.
"""

import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from verdictd.core.errors import ConfigError, LimitExceededError, MalformedError

JOURNAL = ".journal"
_TEMPORARY = ".tmp"
_FILE_MODE = 0o644
_MAX_JOURNAL_BYTES = 64 * 1024 * 1024


def make_directory(path: Path) -> None:
    """Make a directory of the daemon's data where it is missing.

    Raises:
        ConfigError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be made: {error.strerror}",
            remedy="name a directory that verdictd may write, with --data-dir",
        ) from error


def read_file(path: Path, max_bytes: int) -> bytes | None:
    """Read a regular file.

    Returns:
        Its content, or ``None`` if there is no file of that name.
    Raises:
        ConfigError: it cannot be read, or is something else than a file.
        LimitExceededError: it is larger than `max_bytes`.
    """
    try:
        # Not to wait for the other end should it be a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # before `fdopen`, which leaves a directory's open
        os.close(descriptor)
        raise ConfigError(f"{path} is not a file")
    with _mapped(path, "read"), os.fdopen(descriptor, "rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise LimitExceededError(f"{path} is larger than {max_bytes} bytes")
    return content


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file, or make it, at one instant.

    Raises:
        ConfigError: it cannot be written. What was there is there still, unless the message says otherwise.
    """
    with _mapped(path, "written"):
        with tempfile.NamedTemporaryFile(prefix=".", suffix=_TEMPORARY, dir=path.parent, delete=False) as file:
            temporary = Path(file.name)
            try:
                file.write(content)
                file.flush()
                os.fchmod(file.fileno(), _FILE_MODE)
                os.fsync(file.fileno())
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        _make_durable(path.parent)


def replace_files(directory: Path, contents: Mapping[str, bytes]) -> None:
    """Replace several files of a directory together.

    After a crash, `recover` must run before they are read. The files must be UTF-8.

    Raises:
        ConfigError: they cannot be written.
    """
    journal = directory / JOURNAL
    text = json.dumps({name: content.decode("utf-8") for name, content in contents.items()})
    replace_file(journal, text.encode("utf-8"))
    _apply(journal, contents)


def remove_leftovers(directory: Path) -> None:
    """Remove what a crash left over of files that were being replaced one by one. Nobody may be doing so now.

    Raises:
        ConfigError: the directory cannot be read or written.
    """
    with _mapped(directory, "cleaned up"):
        for path in directory.iterdir():
            if path.name.startswith(".") and path.name.endswith(_TEMPORARY):
                path.unlink()


def recover(directory: Path) -> None:
    """Finish what a crash interrupted, and remove what it left over.

    Raises:
        ConfigError: the directory cannot be read or written, or the journal is not one.
    """
    remove_leftovers(directory)
    journal = directory / JOURNAL
    try:
        content = read_file(journal, _MAX_JOURNAL_BYTES)
        if content is None:
            return
        entries = json.loads(content)
        if not isinstance(entries, dict):
            raise MalformedError("it is not a JSON object")
        contents = {Path(name).name: text.encode("utf-8") for name, text in entries.items()}
    except (ValueError, AttributeError, MalformedError) as error:
        raise ConfigError(
            f"{journal} is damaged: {error}", remedy="compare the files beside it with yours, then remove it"
        ) from error
    _apply(journal, contents)


def _apply(journal: Path, contents: Mapping[str, bytes]) -> None:
    for name, content in contents.items():
        replace_file(journal.parent / name, content)
    with _mapped(journal, "removed"):
        journal.unlink()
        _make_durable(journal.parent)


def _make_durable(directory: Path) -> None:
    """Make the names in a directory survive a loss of power."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _mapped(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be {what}: {error.strerror}",
            remedy="see that the disk has room and that verdictd may write there",
        ) from error
