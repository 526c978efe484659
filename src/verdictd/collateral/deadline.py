"""Deadlines: one instant by which a piece of work ends, whatever its steps take."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

MonotonicClock: TypeAlias = Callable[[], float]
"""Seconds that only ever grow; their origin has no meaning."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """An instant of a monotonic clock."""

    at: float
    clock: MonotonicClock

    @classmethod
    def after(cls, seconds: float, clock: MonotonicClock) -> "Deadline":
        """Return the deadline `seconds` from now."""
        return cls(clock() + seconds, clock)

    def share(self, among: int) -> "Deadline":
        """Return the deadline by which the first of so many, who all have to be done by this one, has to be done."""
        return Deadline.after(self.remaining / among, self.clock)

    @property
    def remaining(self) -> float:
        """Seconds left; 0 where it has passed."""
        return max(0.0, self.at - self.clock())
