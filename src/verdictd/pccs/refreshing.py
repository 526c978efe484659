"""What a server does by itself: follow the other processes on its database, and refresh what it holds ahead of time."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Final, Protocol, Self

from verdictd.core.errors import VerdictdError

_LOGGER: Final = logging.getLogger(__name__)
_SHORTEST_SHARE: Final = 0.8
FOLLOW_S: Final = 1.0
"""How often the database is looked at for what others have stored: for so long what was held before is handed out."""


def shorten(period: timedelta, random: Callable[[], float]) -> timedelta:
    """Take up to a fifth off a period, so that caches that started together do not ask together.

    Args:
        period: any.
        random: gives numbers from 0 to 1.
    """
    return period * (_SHORTEST_SHARE + (1 - _SHORTEST_SHARE) * random())


class Refreshed(Protocol):
    """What is to be kept up to date."""

    def follow(self, at: datetime) -> None:
        """Take in what other processes have stored."""

    def refresh_due(self, at: datetime) -> None:
        """Have what is due asked for."""


class BackgroundRefresh:
    """A thread that keeps caches up to date while it is entered."""

    def __init__(self, caches: Refreshed, clock: Callable[[], datetime], *, interval_s: float = FOLLOW_S) -> None:
        """Make it; nothing runs until it is entered.

        Args:
            caches: what to keep up to date.
            clock: tells the time (aware).
            interval_s: how often to look.
        """
        self._caches = caches
        self._clock = clock
        self._interval_s = interval_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="refresh", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            try:
                self._caches.follow(self._clock())
                self._caches.refresh_due(self._clock())
            except VerdictdError as error:
                _LOGGER.warning("the cache cannot be kept up to date: %s", error)
            except Exception:  # the boundary of this thread: a fault in one round must not end all refreshing
                _LOGGER.exception("the cache cannot be kept up to date, this is a fault in the program")
