"""Archives off the handshake path: a bounded queue and one thread, which writes many entries at a time.

Whoever submits never waits. What does not fit into the queue, or cannot be written, is dropped, counted, and warned
about; it stays in the audit log, which is the record that refuses to go on without.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from verdictd.archive.builder import JudgedPeer, build_entry
from verdictd.archive.database import ArchiveError
from verdictd.archive.store import ArchiveBounds, ArchiveStore

MAX_QUEUED = 1024
MAX_QUEUED_BYTES = 64 * 1024 * 1024
"""Of certificates, in which peers have a part."""
_BATCH = 64
_PRUNE_INTERVAL_S = 600.0
_WARN_INTERVAL_S = 10.0
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveCounts:
    """What became of the attestations that were to be archived by this process.

    Attributes:
        archived: written.
        dropped: not written, as the queue was full.
        failed: not written, as the archive could not be written.
        queued: waiting.
    """

    archived: int
    dropped: int
    failed: int
    queued: int


class ArchiveWriter:
    """One process's way into the archive. `submit` may be called from any thread."""

    def __init__(
        self,
        directory: Path,
        *,
        bounds: ArchiveBounds,
        max_queued: int = MAX_QUEUED,
        max_queued_bytes: int = MAX_QUEUED_BYTES,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Open the archive and start the thread.

        Args:
            directory: ``<data-dir>/archive``.
            bounds: how much is kept.
            max_queued: how many may wait to be written.
            max_queued_bytes: how large their certificates may be together.
            clock: tells the time (aware), from which the age of entries counts.
        Raises:
            ArchiveError: it cannot be used.
        """
        self._store = ArchiveStore(directory, bounds)
        self._clock = clock
        self._max_queued = max_queued
        self._max_queued_bytes = max_queued_bytes
        self._changed = threading.Condition()
        self._queue: deque[JudgedPeer] = deque()
        self._queued_bytes = 0
        self._in_hand = 0
        self._archived = self._dropped = self._failed = 0
        self._closing = False
        self._next_warning = float("-inf")
        self._thread = threading.Thread(target=self._run, name="archive", daemon=True)
        self._thread.start()

    @property
    def counts(self) -> ArchiveCounts:
        """What became of what was submitted."""
        with self._changed:
            return ArchiveCounts(
                archived=self._archived,
                dropped=self._dropped,
                failed=self._failed,
                queued=len(self._queue) + self._in_hand,
            )

    def submit(self, judged: JudgedPeer) -> bool:
        """Have a peer's judgement archived soon; ``False`` where it is dropped, which is counted and warned about."""
        size = len(judged.certificate)
        with self._changed:
            is_full = len(self._queue) >= self._max_queued or self._queued_bytes + size > self._max_queued_bytes
            if not is_full and not self._closing:
                self._queue.append(judged)
                self._queued_bytes += size
                self._changed.notify_all()
                return True
            self._dropped += 1
            self._warn("the archive does not keep up: attestations are not archived", dropped=self._dropped)
        return False

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was submitted is written or counted as failed; ``False`` where time runs out."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._queue and not self._in_hand, timeout_s)

    def close(self, timeout_s: float = 10.0) -> None:
        """Write what waits, for no longer than that, and end."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            _LOGGER.warning("the archive did not write everything before the stop", extra={"left": self.counts.queued})

    def _run(self) -> None:
        try:
            while (batch := self._take()) is not None:
                self._write(batch)
        finally:
            self._store.close()

    def _take(self) -> list[JudgedPeer] | None:
        """Wait for work: a batch, an empty one when it is time to prune, or ``None`` at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing, _PRUNE_INTERVAL_S)
            if not self._queue and self._closing:
                return None
            batch = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
            self._queued_bytes -= sum(len(judged.certificate) for judged in batch)
            self._in_hand = len(batch)
            return batch

    def _write(self, batch: list[JudgedPeer]) -> None:
        archived, failure = 0, ""
        try:
            self._store.add([build_entry(judged) for judged in batch], self._clock())
            archived = len(batch)
        except ArchiveError as error:
            failure = str(error)
        except Exception:
            failure = "a fault in the program"
            _LOGGER.exception("attestations could not be archived; this is a fault in the program")
        with self._changed:
            self._in_hand = 0
            self._archived += archived
            self._failed += len(batch) - archived
            if failure:
                self._warn("attestations are not archived", failed=self._failed, why=failure)
            self._changed.notify_all()

    def _warn(self, message: str, **extra: object) -> None:
        """Warn, but not for each of the many that a full disk or a flood makes."""
        if time.monotonic() >= self._next_warning:
            self._next_warning = time.monotonic() + _WARN_INTERVAL_S
            _LOGGER.warning(message, extra=extra)
