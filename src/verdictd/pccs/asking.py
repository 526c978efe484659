"""What has to be minded before an upstream is asked, and noted once it was: for all processes on a database."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Final, Protocol

from verdictd.collateral.attempts import LONGEST_RETRY_AFTER_S
from verdictd.collateral.deadline import MonotonicClock
from verdictd.core.errors import CollateralUnavailableError, VerdictdError
from verdictd.pccs.model import Attempt
from verdictd.pccs.ports import Attempts

LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
NOT_THERE: Final = frozenset({400, 404, 410, 461, 462})
"""What an upstream answers where it has nothing, and never will have without somebody's doing."""
DEFAULT_UNKNOWN_PER_SECOND: Final = 20
_BURST_S: Final = 10
"""So many seconds' worth may be asked for at once: a rack that is switched on asks for all its machines."""


class OnUpstream(Protocol):
    """Told of each request to an upstream."""

    def __call__(self, upstream: str, what: str, error: VerdictdError | None, seconds: float) -> None:
        """Take it up; called from any thread.

        Args:
            upstream: whom, as the operator knows it.
            what: kind of what was asked for; one of few.
            error: why it was not had; ``None`` where it was.
            seconds: how long it took.
        """


def ignore_upstream(upstream: str, what: str, error: VerdictdError | None, seconds: float) -> None:
    """Take nothing up."""


def is_not_there(error: VerdictdError) -> bool:
    """Whether an upstream said that it has no such thing: no outage, and anybody can ask for what there is not."""
    return isinstance(error, CollateralUnavailableError) and error.status in NOT_THERE


class UnknownBudget:
    """How often this process asks upstream for what it does not hold. Safe to share between threads.

    Anybody may name families and platforms that there are not, and upstream counts each question. What is held is
    renewed whatever becomes of this.
    """

    def __init__(self, per_second: int = DEFAULT_UNKNOWN_PER_SECOND, *, ticks: MonotonicClock = time.monotonic) -> None:
        """Start with a full budget.

        Args:
            per_second: how many things in the long run; ten times as many at once.
            ticks: monotonic seconds.
        """
        self._per_second = per_second
        self._ticks = ticks
        self._lock = Lock()
        self._left = float(per_second * _BURST_S)
        self._at = ticks()

    def spend(self) -> None:
        """Ask for one thing.

        Raises:
            CollateralUnavailableError: too many are being asked for; it says when to come back.
        """
        with self._lock:
            now = self._ticks()
            self._left = min(self._left + (now - self._at) * self._per_second, self._per_second * _BURST_S)
            self._at = now
            if self._left < 1:
                raise CollateralUnavailableError(
                    f"upstream is asked for no more than {self._per_second} things a second that are not held here",
                    remedy="wait, or raise limits.unknown_per_second where so many new platforms are expected",
                    retry_after_s=(1 - self._left) / self._per_second,
                )
            self._left -= 1


class Asking:
    """Minds when upstreams wish to be left alone, and notes what came of asking. Safe to share between threads.

    What one process is told, all mind: outcomes are in the database, by what was asked for, and by upstream where that
    asked for a rest.
    """

    def __init__(
        self,
        attempts: Attempts,
        clock: Callable[[], datetime],
        *,
        on_upstream: OnUpstream = ignore_upstream,
        budget: UnknownBudget | None = None,
    ) -> None:
        """Start.

        Args:
            attempts: shared with other processes.
            clock: tells the time (aware).
            on_upstream: told of each request.
            budget: for what is not held; a full one of its own where none is given.
        """
        self._attempts = attempts
        self._clock = clock
        self._on_upstream = on_upstream
        self._budget = budget or UnknownBudget()

    def spend(self) -> None:
        """Mind that something is asked for which is not held; see `UnknownBudget.spend`."""
        self._budget.spend()

    def require_rest_is_over(self, *names: str, wanted_since: datetime = LONG_AGO) -> None:
        """Leave upstream alone where it asked any of the processes for that.

        Args:
            names: of what is asked for, and of whom.
            wanted_since: what it wished before does not count: the operator wants it anew since then.
        Raises:
            CollateralUnavailableError: it is too early; says until when.
        """
        for name in names:
            attempt = self._attempts.get(name)
            if attempt is None or attempt.not_before is None or attempt.at <= wanted_since:
                continue
            left = (attempt.not_before - self._clock()).total_seconds()
            if 0 < left <= LONGEST_RETRY_AFTER_S:  # beyond it, the clock was set back
                raise CollateralUnavailableError(
                    f"{attempt.failure}; it is asked again in {left:.0f} s at the earliest", retry_after_s=left
                )

    def answered(self, upstream: str, what: str, seconds: float) -> None:
        """Note that an upstream gave what it was asked for: a rest that it asked for is over."""
        if self._attempts.get(upstream) is not None:
            self._attempts.succeeded(upstream, self._clock())
        self._on_upstream(upstream, what, None, seconds)

    def refused(self, upstream: str, what: str, error: VerdictdError, seconds: float) -> None:
        """Note that an upstream gave nothing, or nothing that is good, and whether it asked for a rest."""
        rest = error.retry_after_s if isinstance(error, CollateralUnavailableError) else None
        if rest is not None:
            now = self._clock()
            self._attempts.failed(upstream, now, str(error), now + _limited(rest))
        self._on_upstream(upstream, what, error, seconds)

    def succeeded(self, name: str) -> None:
        """Note that something was had."""
        self._attempts.succeeded(name, self._clock())

    def failed(self, name: str, reason: str) -> Attempt | None:
        """Note that something was not had, from whomever; return what is known of it by now."""
        self._attempts.failed(name, self._clock(), reason, None)
        return self._attempts.get(name)

    def last(self, name: str) -> Attempt | None:
        """Return what came of asking for something the last time."""
        return self._attempts.get(name)


def _limited(seconds: float) -> timedelta:
    return timedelta(seconds=min(seconds, LONGEST_RETRY_AFTER_S))
