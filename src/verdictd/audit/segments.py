"""The files of an audit log: the present one, `audit.jsonl`, and older ones named by their first record's number.

Whoever reads may do so while others write: a snapshot says how far each file reached at one moment.
"""

import errno
import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from verdictd.audit.lines import MAX_LINE_BYTES
from verdictd.core.errors import ConfigError

PRESENT = "audit.jsonl"
LOCK = "lock"
_OLDER = re.compile(r"audit-([0-9]{16})\.jsonl")
_FIRST_PAUSE_S = 0.00005
_LONGEST_PAUSE_S = 0.005


class AuditLogError(ConfigError):
    """The audit log cannot be read or written, or is not what it was. What had to be recorded must not be done."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A file of the log, and how many of its bytes belong to a snapshot."""

    path: Path
    size: int


def name_segment(first_seq: int) -> str:
    """Return the name of a segment that is full."""
    return f"audit-{first_seq:016d}.jsonl"


def list_older(directory: Path) -> list[Path]:
    """Return the segments that are full, in the order of their records.

    Raises:
        AuditLogError: the directory cannot be read.
    """
    with explained(directory, "read"):
        return sorted(path for path in directory.iterdir() if _OLDER.fullmatch(path.name))


def snapshot(directory: Path, *, lock_timeout_s: float = 10.0) -> tuple[Segment, ...]:
    """Return the files of a log in order, as they are while nobody writes.

    Raises:
        AuditLogError: the directory cannot be read, or a writer is stuck.
    """
    with explained(directory, "read"):
        try:
            descriptor = os.open(directory / LOCK, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # a copy, to which nobody writes
            return _measure(directory)
        try:
            lock(descriptor, fcntl.LOCK_SH, lock_timeout_s)
            return _measure(directory)
        finally:
            os.close(descriptor)


def snapshot_files(paths: Sequence[Path]) -> tuple[Segment, ...]:
    """Return files that somebody names, in the order named.

    Raises:
        AuditLogError: one cannot be read.
    """
    segments = []
    for path in paths:
        with explained(path, "read"):
            segments.append(Segment(path, path.stat().st_size))
    return tuple(segments)


def read_lines(segment: Segment) -> Iterator[bytes]:
    """Read the lines of a segment with their line feeds, none longer than `MAX_LINE_BYTES` and one byte.

    A longer line comes in pieces; each is for `parse_line` to refuse.

    Raises:
        AuditLogError: it cannot be read.
    """
    left = segment.size
    with explained(segment.path, "read"), segment.path.open("rb") as file:
        while left > 0:
            line = file.readline(min(left, MAX_LINE_BYTES + 1))
            if not line:
                return
            left -= len(line)
            yield line


def lock(descriptor: int, kind: int, timeout_s: float, sleep: Callable[[float], None] = time.sleep) -> None:
    """Take an advisory lock, which whoever dies gives back, without waiting for longer than that.

    Raises:
        AuditLogError: somebody else kept it for all the time.
    """
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        pass
    else:
        return
    deadline, pause = time.monotonic() + timeout_s, _FIRST_PAUSE_S
    while time.monotonic() < deadline:
        sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_S)
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return
    raise AuditLogError(
        f"the audit log is locked, and was not free within {timeout_s:g} s",
        remedy="see which process holds its lock file (fuser), and whether its disk still answers",
    )


@contextmanager
def explained(path: Path, what: str) -> Iterator[None]:
    """Turn what the operating system refuses into a sentence."""
    try:
        yield
    except OSError as error:
        raise explain(path, what, error) from error


def explain(path: Path, what: str, error: OSError) -> AuditLogError:
    """Make a sentence of what the operating system refuses."""
    is_full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
    remedy = "make room on its disk" if is_full else "see that it is there and that verdictd may use it"
    return AuditLogError(f"the audit log {path} cannot be {what}: {error.strerror}", remedy=remedy)


def _measure(directory: Path) -> tuple[Segment, ...]:
    paths = list_older(directory)
    present = directory / PRESENT
    if present.exists():
        paths.append(present)
    return tuple(Segment(path, path.stat().st_size) for path in paths)
