"""Appends to an audit log, from any number of processes and threads at once.

Each append is one exclusive lock around "find the head, build the lines, write them". A process remembers where the log
ended and reads its last line again only where somebody else has written since. When an append returns, the record is in
the file and outlives every process; `AuditLog.sync` makes it outlive a loss of power as well.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from verdictd.audit.lines import BEGINNING, MAX_LINE_BYTES, Head, build_line, encode_content, parse_line
from verdictd.audit.segments import LOCK, PRESENT, AuditLogError, explain, explained, list_older, lock, name_segment
from verdictd.core.errors import VerdictdError
from verdictd.core.result import JSONValue

MAX_SEGMENT_BYTES = 64 * 1024 * 1024
_LOGGER = logging.getLogger(__name__)
_FILE_MODE = 0o640
_DIRECTORY_MODE = 0o750
_UNKNOWN = (-1, -1)
_LOOK_AT_IT = "see what verdict audit verify says; to begin a new log, move the directory away as it is"


class AuditLog:
    """One process's way to a log. Its methods may be called from any thread; not to be used across a fork.

    Trust: whoever may write the directory may do anything to the log; what can be proved of it is in docs/audit.md.
    """

    def __init__(
        self,
        directory: Path,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        max_segment_bytes: int = MAX_SEGMENT_BYTES,
        sync_always: bool = False,
        lock_timeout_s: float = 5.0,
    ) -> None:
        """Use `open`."""
        self._directory = directory
        self._present = directory / PRESENT
        self._clock = clock
        self._max_segment_bytes = max_segment_bytes
        self._sync_always = sync_always
        self._lock_timeout_s = lock_timeout_s
        self._mutex = threading.Lock()
        self._process = os.getpid()
        self._lock = -1
        self._file = -1
        self._inode = _UNKNOWN
        self._size = 0
        self._head = BEGINNING
        self._left_behind: list[int] = []  # older segments that we wrote to since the last sync
        self._is_synced = False

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        max_segment_bytes: int = MAX_SEGMENT_BYTES,
        sync_always: bool = False,
        lock_timeout_s: float = 5.0,
    ) -> Self:
        """Open a log, or begin one, and set right what a writer left that was killed in the middle of a line.

        Args:
            directory: ``<data-dir>/audit``; made where it is missing.
            clock: tells the time (aware).
            max_segment_bytes: a segment that has reached this size is followed by a new one.
            sync_always: whether each append waits for the disk; else `sync` is called from time to time.
            lock_timeout_s: how long an append may wait for other writers.
        Raises:
            AuditLogError: the directory cannot be used, or what is in it does not end like an audit log.
        """
        log = cls(
            directory,
            clock=clock,
            max_segment_bytes=max_segment_bytes,
            sync_always=sync_always,
            lock_timeout_s=lock_timeout_s,
        )
        with explained(directory, "opened"):
            directory.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
            log._lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
        try:
            log.read_head()
            log.sync()
        except BaseException:
            log.close()
            raise
        return log

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def append(self, record: Mapping[str, JSONValue]) -> int:
        """Record something, and return the number of its record.

        Raises:
            AuditLogError: it is not recorded: the disk is full, the log is locked, or is not what it was.
            LimitExceededError: it does not fit into a line.
        """
        return self.append_all((record,))[0]

    def append_all(self, records: Sequence[Mapping[str, JSONValue]]) -> range:
        """Record several things, all or none unless killed meanwhile, and return the numbers of their records.

        Raises:
            AuditLogError, LimitExceededError: as `append`; then none is recorded.
        """
        contents = [encode_content(record) for record in records]
        self._take()
        try:
            self._catch_up()
            if self._size >= self._max_segment_bytes:
                self._begin_segment()
            first = self._head.seq + 1
            self._write(contents)
        finally:
            self._give_back()
        if self._sync_always:
            self.sync()
        return range(first, first + len(contents))

    def read_head(self) -> Head:
        """Return the head of the log, as all its writers have left it.

        Raises:
            AuditLogError: as `append`.
        """
        self._take()
        try:
            self._catch_up()
            return self._head
        finally:
            self._give_back()

    def sync(self) -> None:
        """Have everything that was appended here written to the disk itself. Others may append meanwhile.

        Raises:
            AuditLogError: the disk failed; records since the last sync may not outlive a loss of power.
        """
        with self._mutex:
            if self._is_synced or self._file < 0:
                return
            descriptors, self._left_behind = [*self._left_behind, os.dup(self._file)], []
            self._is_synced = True
        try:
            with explained(self._directory, "written to the disk"):
                for descriptor in descriptors:
                    os.fdatasync(descriptor)
                _sync_names(self._directory)
        except AuditLogError:
            self._is_synced = False
            raise
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def close(self) -> None:
        """Close the files. What was appended stays appended."""
        with self._mutex:
            for descriptor in (*self._left_behind, self._file, self._lock):
                if descriptor >= 0:
                    os.close(descriptor)
            self._file = self._lock = -1
            self._left_behind = []

    def _take(self) -> None:
        if os.getpid() != self._process:
            raise RuntimeError("an audit log was taken across a fork; each process opens its own")
        if not self._mutex.acquire(timeout=self._lock_timeout_s):
            raise AuditLogError(
                f"another thread has been writing the audit log for {self._lock_timeout_s:g} s",
                remedy="see whether its disk still answers",
            )
        try:
            if self._lock < 0:
                raise AuditLogError("the audit log is closed", remedy="verdictd is stopping; try again when it is back")
            lock(self._lock, fcntl.LOCK_EX, self._lock_timeout_s)
        except BaseException:
            self._mutex.release()
            raise

    def _give_back(self) -> None:
        fcntl.flock(self._lock, fcntl.LOCK_UN)
        self._mutex.release()

    def _catch_up(self) -> None:
        """Find the head where others wrote since, or began a new segment."""
        with explained(self._present, "read"):
            try:
                status = os.stat(self._present)  # noqa: PTH116 - half the cost, for each handshake
            except FileNotFoundError:
                status = None
            if status is not None:
                if status.st_size == self._size and (status.st_dev, status.st_ino) == self._inode:
                    return
                if (status.st_dev, status.st_ino) == self._inode:
                    self._read_end()
                    return
            self._open_present()
            self._read_end()

    def _open_present(self) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self._present, flags, _FILE_MODE)
        if self._file >= 0:
            self._left_behind.append(self._file)
        status = os.fstat(descriptor)
        self._file, self._inode, self._size = descriptor, (status.st_dev, status.st_ino), 0
        self._is_synced = False

    def _read_end(self) -> None:
        """Find the head in the present segment, or in the one before; move away the torn line that may follow it."""
        whole, torn, last = _read_last_line(self._file, self._present)
        if last is None:
            older = list_older(self._directory)
            head = BEGINNING if not older else _read_older(older[-1])
        else:
            head = _parse_last(last, self._present)
        if head.seq < self._head.seq or (head.seq == self._head.seq and head != self._head):
            raise AuditLogError(
                f"the audit log was changed while verdictd runs: it ends with record {head}, and had {self._head}",
                remedy=_LOOK_AT_IT,
            )
        self._head, self._size = head, whole
        if torn:
            self._move_away(torn)

    def _move_away(self, torn: bytes) -> None:
        """Keep what a killed writer left of a line in a file of its own, and record that."""
        path = self._keep(torn)
        os.ftruncate(self._file, self._size)
        _LOGGER.warning(
            "the audit log ended within a line, which nobody was told to be recorded; it was moved away",
            extra={"bytes": len(torn), "kept_in": str(path)},
        )
        recovered: dict[str, JSONValue] = {
            "kind": "recovered",
            "torn_bytes": len(torn),
            "torn_sha256": hashlib.sha256(torn).hexdigest(),
            "kept_in": path.name,
        }
        self._write([encode_content(recovered)])

    def _keep(self, torn: bytes) -> Path:
        number = 0
        while True:
            number += 1
            path = self._directory / f"audit-{self._head.seq + 1:016d}-{number}.torn"
            with contextlib.suppress(FileExistsError), path.open("xb") as file:
                file.write(torn)
                file.flush()
                os.fsync(file.fileno())
                return path

    def _begin_segment(self) -> None:
        with explained(self._present, "renamed"):
            first_line = os.pread(self._file, MAX_LINE_BYTES, 0).partition(b"\n")[0] + b"\n"
            older = self._directory / name_segment(_parse_last(first_line, self._present).seq)
            if older.exists():
                raise AuditLogError(f"{older} is in the way of the segment that is full", remedy=_LOOK_AT_IT)
            self._present.rename(older)
            self._open_present()

    def _write(self, contents: Sequence[bytes]) -> None:
        now, head, lines = self._clock(), self._head, []
        for content in contents:
            line, head = build_line(content, now, head)
            lines.append(line)
        data = b"".join(lines)
        self._is_synced = False
        try:
            written = os.write(self._file, data)
            while written < len(data):  # the disk is full, which the next write says
                written += os.write(self._file, data[written:])
        except OSError as error:
            with contextlib.suppress(OSError):  # else the next append finds what is left of it, and moves it away
                os.ftruncate(self._file, self._size)
            raise explain(self._present, "written", error) from error
        self._size += len(data)
        self._head = head


def _read_last_line(descriptor: int, path: Path) -> tuple[int, bytes, bytes | None]:
    """Return the size of all whole lines, what follows them, and the last whole line, if there is one."""
    size = os.fstat(descriptor).st_size
    start = max(0, size - 2 * MAX_LINE_BYTES - 1)
    tail = os.pread(descriptor, size - start, start)
    end = tail.rfind(b"\n") + 1
    torn = tail[end:]
    if len(torn) > MAX_LINE_BYTES:
        raise AuditLogError(f"{path} does not end with a record: there is no line in its end", remedy=_LOOK_AT_IT)
    begin = tail.rfind(b"\n", 0, end - 1) + 1 if end else 0
    return size - len(torn), torn, tail[begin:end] if end else None


def _read_older(path: Path) -> Head:
    """Return the head that a full segment ends with. It was whole when it was renamed."""
    with explained(path, "read"):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _, torn, last = _read_last_line(descriptor, path)
        finally:
            os.close(descriptor)
    if torn or last is None:
        raise AuditLogError(f"{path} does not end with a whole record", remedy=_LOOK_AT_IT)
    return _parse_last(last, path)


def _parse_last(line: bytes, path: Path) -> Head:
    try:
        return parse_line(line).head
    except VerdictdError as error:
        raise AuditLogError(f"{path} does not end with a record: {error.message}", remedy=_LOOK_AT_IT) from error


def _sync_names(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
