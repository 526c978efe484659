"""Reads one item from a file of a directory that the operator named."""

from pathlib import Path

from verdictd.core.errors import CollateralUnavailableError, LimitExceededError


def read_item_file(path: Path, max_bytes: int) -> bytes:
    """Read a file whole.

    Raises:
        CollateralUnavailableError: it cannot be read.
        LimitExceededError: it is longer than such an item may be.
    """
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise CollateralUnavailableError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > max_bytes:
        raise LimitExceededError(f"{path} is longer than {max_bytes} bytes")
    return content
