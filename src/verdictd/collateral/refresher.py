"""Refreshes collateral ahead of its expiry, in the background: no peer waits for it, or notices a PCCS that is down."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Final

from verdictd.collateral.service import CollateralService

_LOGGER: Final = logging.getLogger(__name__)


class Refresher:
    """A thread that has what is due asked for. What is due, when, and how failures are borne, is for `Attempts`."""

    def __init__(
        self,
        service: Callable[[], CollateralService | None],
        clock: Callable[[], datetime],
        *,
        interval_s: float = 5.0,
    ) -> None:
        """Make a refresher; nothing runs until `start`.

        Args:
            service: what to refresh, asked anew each time.
            clock: tells the time (aware).
            interval_s: how often to look.
        """
        self._service = service
        self._clock = clock
        self._interval_s = interval_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="refresher", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; what is being fetched is left to itself."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            service = self._service()
            if service is None:
                continue
            try:
                service.refresh_due(self._clock())
            except Exception:  # the boundary of this thread: a fault in one round must not end all refreshing
                _LOGGER.exception("collateral cannot be refreshed, this is a fault in the program")
