"""The book-keeping of one appraisal: every check that there is, made once, in order, whatever becomes of it."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from verdictd.core.checks import Check, CheckResult
from verdictd.core.errors import VerdictdError

T = TypeVar("T")
_PASS, _FAIL, _NOT_MADE = CheckResult.PASS, CheckResult.FAIL, CheckResult.NOT_MADE
"""Looking a member up in its class costs several times as much, and dozens of checks make an appraisal."""
_new = tuple.__new__
"""Makes a `Check` of all its fields; its own constructor, which takes twice as long, does nothing else."""


class Checklist:
    """Collects the checks of one appraisal.

    Attributes:
        requirements: every check there is, in the order in which they are made, and what each requires.
        remedies: what to do about a failed check where the place that finds the failure knows nothing better.
    """

    __slots__ = ("_checks", "remedies", "requirements")

    def __init__(self, requirements: Mapping[str, str], remedies: Mapping[str, str]) -> None:
        self.requirements = requirements
        self.remedies = remedies
        self._checks: list[Check] = []

    def passed(self, name: str, found: str) -> None:
        """Record a check that holds."""
        self._checks.append(_new(Check, (name, _PASS, self.requirements[name], found, "", True)))

    def failed(self, name: str, found: str, remedy: str = "") -> None:
        """Record a check that does not hold, with the usual remedy for it where none is given."""
        self._checks.append(Check(name, _FAIL, self.requirements[name], found, remedy or self.remedies.get(name, "")))

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

    def leave_open(self, name: str, why: str) -> None:
        """Record a check that is not made and does not refuse, so that the result says what nobody vouches for."""
        self._checks.append(Check(name, _NOT_MADE, self.requirements[name], why, mandatory=False))

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
