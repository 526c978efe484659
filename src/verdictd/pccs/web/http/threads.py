"""The threads in which blocking work is done, so that what is at hand is answered meanwhile."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, ParamSpec, TypeVar

from verdictd.pccs.errors import NOT_NOW, UnavailableError

_P = ParamSpec("_P")
_T = TypeVar("_T")
THREADS: Final = 32
MAX_WAITING: Final = 512
"""Requests that wait for a thread or are on one. Each holds a connection anyway."""
_RETRY_AFTER_S: Final = 1.0


class Threads:
    """A bounded pool with a bounded queue. Used in one event loop."""

    def __init__(self, *, threads: int = THREADS, max_waiting: int = MAX_WAITING) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="pccs")
        self._max_waiting = max_waiting
        self._waiting = 0

    async def run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run a function in a thread.

        Raises:
            UnavailableError: 503, too many wait already.
        """
        if self._waiting >= self._max_waiting:
            raise UnavailableError(
                f"{self._waiting} requests wait for the database or for upstream already",
                status=NOT_NOW,
                problem="busy",
                remedy="try again in a moment",
                retry_after_s=_RETRY_AFTER_S,
            )
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, partial(function, *args, **kwargs))
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Drop what waits; what runs comes to its end."""
        self._executor.shutdown(wait=False, cancel_futures=True)
