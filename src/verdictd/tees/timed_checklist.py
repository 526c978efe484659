"""The book-keeping of an appraisal for an instant, as everything needs it whose certificates expire."""

from collections.abc import Mapping
from datetime import UTC, datetime

from verdictd.tees.checklist import Checklist


class TimedChecklist(Checklist):
    """Collects the checks of one appraisal, and when what it relies on expires.

    Attributes:
        at: the instant that is appraised for (aware).
        expiries: when each thing that was asked for its time expires (aware).
    """

    __slots__ = ("_allow_expired_collateral", "at", "expiries")

    def __init__(
        self,
        requirements: Mapping[str, str],
        remedies: Mapping[str, str],
        *,
        at: datetime,
        allow_expired_collateral: bool,
    ) -> None:
        super().__init__(requirements, remedies)
        if at.tzinfo is None:
            raise ValueError("the instant of an appraisal must be an aware datetime")
        self.at = at
        self.expiries: list[datetime] = []
        self._allow_expired_collateral = allow_expired_collateral

    def require_in_time(self, name: str, not_before: datetime, not_after: datetime, remedy: str) -> None:
        """Record whether the instant lies in [`not_before`, `not_after`), both aware.

        What is not yet valid is never accepted; what has expired only where the operator accepts expired collateral.
        """
        self.expiries.append(not_after)
        if self.at < not_before:
            self.failed(name, f"valid only from {format_instant(not_before)}", "compare the clocks of both machines")
        elif self.at < not_after:
            self.passed(name, f"until {format_instant(not_after)}")
        elif self._allow_expired_collateral:
            self.passed(name, f"expired at {format_instant(not_after)}, accepted by --allow-expired-collateral")
        else:
            self.failed(name, f"expired at {format_instant(not_after)}", remedy)


def format_instant(instant: datetime) -> str:
    """Write an instant as 2026-01-31T00:00:00Z, in UTC."""
    if instant.tzinfo is not UTC:
        instant = instant.astimezone(UTC)
    return f"{instant.date().isoformat()}T{instant.time().isoformat('seconds')}Z"
