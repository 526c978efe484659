"""How many refusals are written down one by one: nobody shall fill the disk by being turned away."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

_WINDOW: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Refusals that were not written down: how many, and when the first and the last was (aware)."""

    count: int
    first_at: datetime
    last_at: datetime


class RefusalLimit:
    """Counts refusals by the minute. For one thread; takes the time as an argument."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._began_at: datetime | None = None
        self._admitted = 0
        self._skipped: Skipped | None = None

    @property
    def is_skipping(self) -> bool:
        """Whether one has been skipped since `take_skipped` returned any."""
        return self._skipped is not None

    def admits(self, at: datetime) -> bool:
        """Whether a refusal is to be written down; counts it either way. A clock that goes back begins a new minute."""
        if self._began_at is None or not timedelta(0) <= at - self._began_at < _WINDOW:
            self._began_at, self._admitted = at, 0
        if self._admitted < self._per_minute:
            self._admitted += 1
            return True
        known = self._skipped
        self._skipped = Skipped(
            count=1 if known is None else known.count + 1, first_at=at if known is None else known.first_at, last_at=at
        )
        return False

    def take_skipped(self) -> Skipped | None:
        """Return, once, what was skipped."""
        skipped, self._skipped = self._skipped, None
        return skipped
