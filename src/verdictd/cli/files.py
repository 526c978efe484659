"""Files that the operator names on a command line, read with a limit and with errors that say what to do."""

import os
import sys
import tempfile
from pathlib import Path

from verdictd.core.errors import ConfigError, LimitExceededError
from verdictd.core.limits import MAX_CERTIFICATE_BYTES


def read_bounded(path: str, max_bytes: int) -> bytes:
    """Read a file, or standard input where `path` is ``-``.

    Raises:
        ConfigError: it cannot be read.
        LimitExceededError: it is larger than `max_bytes`.
    """
    try:
        if path == "-":
            data = sys.stdin.buffer.read(max_bytes + 1)
        else:
            with Path(path).open("rb") as file:
                data = file.read(max_bytes + 1)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > max_bytes:
        raise LimitExceededError(f"{path} is longer than {max_bytes} bytes")
    return data


def read_evidence(path: str) -> bytes:
    """Read a file of evidence: a quote or a certificate."""
    return read_bounded(path, MAX_CERTIFICATE_BYTES)


def read_text(path: str, max_bytes: int) -> str:
    """Read a file of UTF-8 text.

    Raises:
        ConfigError: it cannot be read, or is not UTF-8.
        LimitExceededError: it is larger than `max_bytes`.
    """
    try:
        return read_bounded(path, max_bytes).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text: {error}") from error


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is either whole or as it was before.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            temporary.chmod(0o644)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
