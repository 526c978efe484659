"""What the steps of one appraisal share: the settings, the instant, and the log of checks."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TypeVar

from verdictd.core.checks import Check, CheckResult
from verdictd.core.errors import VerdictdError
from verdictd.tees.dcap.acceptance import Acceptance
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.requirements import REMEDIES
from verdictd.tees.dcap.trust_roots import TrustRoots

T = TypeVar("T")
_PASS, _FAIL, _NOT_MADE = CheckResult.PASS, CheckResult.FAIL, CheckResult.NOT_MADE
"""Looking a member up in its class costs several times as much, and dozens of checks make an appraisal."""
_new = tuple.__new__
"""Makes a `Check` of all its fields; its own constructor, which takes twice as long, does nothing else."""


class AppraisalContext:
    """One appraisal under way. `requirements` names every check there is and what it requires."""

    __slots__ = ("_checks", "acceptance", "at", "expiries", "memory", "requirements", "roots")

    def __init__(
        self,
        *,
        roots: TrustRoots,
        acceptance: Acceptance,
        at: datetime,
        memory: FactMemory,
        requirements: Mapping[str, str],
    ) -> None:
        if at.tzinfo is None:
            raise ValueError("the instant of an appraisal must be an aware datetime")
        self.roots = roots
        self.acceptance = acceptance
        self.at = at
        self.memory = memory
        self.requirements = requirements
        self.expiries: list[datetime] = []
        self._checks: list[Check] = []

    def passed(self, name: str, found: str) -> None:
        """Record a check that holds."""
        self._checks.append(_new(Check, (name, _PASS, self.requirements[name], found, "", True)))

    def failed(self, name: str, found: str, remedy: str = "") -> None:
        """Record a check that does not hold, with the usual remedy for it where none is given."""
        self._checks.append(Check(name, _FAIL, self.requirements[name], found, remedy or REMEDIES.get(name, "")))

    def require(self, holds: object, name: str, found: str, remedy: str = "") -> bool:
        """Record a check that passed if `holds` is exactly ``True`` and failed otherwise; return that.

        As in `CheckLog.require`, what is merely truthy is a programming error that must refuse.
        """
        if holds is True:
            self.passed(name, found)
            return True
        self.failed(name, found, remedy)
        return False

    def skip(self, why: str, *names: str) -> None:
        """Record checks that cannot be made, and why. They refuse like failed ones."""
        for name in names:
            self._checks.append(Check(name, _NOT_MADE, self.requirements[name], why))

    def attempt(self, name: str, verify: Callable[[], T]) -> T | None:
        """Run a verification; where it refuses with an error of ours, log a failed check and return ``None``."""
        try:
            return verify()
        except VerdictdError as error:
            self.failed(name, error.message, error.remedy)
            return None

    def finish(self) -> tuple[Check, ...]:
        """Return the checks, having seen that every one there is was logged, once, in order.

        Raises:
            RuntimeError: one was left out: a fault in the program, which must not let anything pass.
        """
        if [check.name for check in self._checks] != list(self.requirements):
            raise RuntimeError("an appraisal did not make exactly the checks that there are")
        return tuple(self._checks)

    def require_in_time(self, name: str, not_before: datetime, not_after: datetime, remedy: str) -> None:
        """Record whether the instant lies in [`not_before`, `not_after`), both aware.

        What is not yet valid is never accepted; what has expired only where the operator accepts expired collateral.
        """
        self.expiries.append(not_after)
        if self.at < not_before:
            self.failed(name, f"valid only from {format_instant(not_before)}", "compare the clocks of both machines")
        elif self.at < not_after:
            self.passed(name, f"until {format_instant(not_after)}")
        elif self.acceptance.allow_expired_collateral:
            self.passed(name, f"expired at {format_instant(not_after)}, accepted by --allow-expired-collateral")
        else:
            self.failed(name, f"expired at {format_instant(not_after)}", remedy)


def format_instant(instant: datetime) -> str:
    """Write an instant as 2026-01-31T00:00:00Z, in UTC."""
    if instant.tzinfo is not UTC:
        instant = instant.astimezone(UTC)
    return f"{instant.date().isoformat()}T{instant.time().isoformat('seconds')}Z"
