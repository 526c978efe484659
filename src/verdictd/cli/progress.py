"""A bar on a terminal, for what takes more than a moment. Nothing is shown where nobody watches."""

import time
from types import TracebackType
from typing import Final, Self, TextIO

_WIDTH: Final = 30
_AFTER_S: Final = 0.5
_EVERY_S: Final = 0.1
_NAME_WIDTH: Final = 40


class ProgressBar:
    """Shows one job after the other, from half a second on. A context manager: it leaves the line empty."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_watched = stream.isatty()
        self._next_at = time.monotonic() + _AFTER_S
        self._has_shown = False

    def show(self, name: str, done: int, total: int) -> None:
        """Say how far a job is, in any unit. To be called often; most calls do nothing."""
        if not self._is_watched or time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + _EVERY_S
        self._has_shown = True
        part = min(done / total, 1.0) if total > 0 else 0.0
        bar = "#" * round(part * _WIDTH)
        self._stream.write(f"\r\033[K{name[-_NAME_WIDTH:]} [{bar:<{_WIDTH}}] {part:4.0%}")
        self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._has_shown:
            self._stream.write("\r\033[K")
            self._stream.flush()
