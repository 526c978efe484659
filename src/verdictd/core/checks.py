"""Single checks of an appraisal, and the log that collects them.

Every check that exists for a kind of evidence appears in the result exactly once: passed, failed, or not made. A check
that was not made counts as a refusal unless it was declared optional, so that nothing can be allowed by omission.
"""

from enum import StrEnum
from typing import NamedTuple


class CheckResult(StrEnum):
    """What became of a check."""

    PASS = "pass"  # noqa: S105 - the outcome of a check, not a password
    FAIL = "fail"
    NOT_MADE = "not_made"


_PASS, _FAIL, _NOT_MADE = CheckResult.PASS, CheckResult.FAIL, CheckResult.NOT_MADE
"""Looking a member up in its class costs several times as much, and dozens of checks make an appraisal."""


class Check(NamedTuple):
    """One check: what was required, what was found, and what to do about a failure.

    Attributes:
        name: stable, dotted, lower case, e.g. ``tcb.status``.
        result: passed, failed or not made.
        expected: what the check requires, for a person.
        found: what the evidence or collateral held, for a person; for a check not made, why it was not.
        remedy: what the operator can do about a failure, with the exact flag where there is one; else empty.
        mandatory: whether "not made" refuses. A failed check always refuses.
    """

    name: str
    result: CheckResult
    expected: str
    found: str
    remedy: str = ""
    mandatory: bool = True

    @property
    def refuses(self) -> bool:
        """Whether this check alone turns the verdict into a refusal: all but a pass, or an optional "not made"."""
        return self.result is not _PASS and (self.mandatory or self.result is not _NOT_MADE)

    @property
    def sentence(self) -> str:
        """The check as one sentence: name, found, expected, remedy."""
        verb = {CheckResult.PASS: "passed", CheckResult.FAIL: "failed", CheckResult.NOT_MADE: "was not made"}
        text = f"check {self.name} {verb[self.result]}: found {self.found}, expected {self.expected}"
        return f"{text}; {self.remedy}" if self.remedy else text


class CheckLog:
    """Collects checks in the order in which they are made. Not shared between threads."""

    __slots__ = ("_checks",)

    def __init__(self) -> None:
        self._checks: list[Check] = []

    def passed(self, name: str, expected: str, found: str) -> None:
        """Record a check that holds."""
        self._checks.append(Check(name, _PASS, expected, found))

    def failed(self, name: str, expected: str, found: str, remedy: str = "") -> None:
        """Record a check that does not hold."""
        self._checks.append(Check(name, _FAIL, expected, found, remedy))

    def not_made(self, name: str, expected: str, why: str, *, mandatory: bool = True) -> None:
        """Record a check that could not be made, and why."""
        self._checks.append(Check(name, _NOT_MADE, expected, why, "", mandatory))

    def require(self, holds: object, name: str, expected: str, found: str, remedy: str = "") -> bool:
        """Record a check that passed if `holds` is exactly ``True`` and failed otherwise; return that.

        The strictness is deliberate: a truthy value that is not a `bool` is a programming error that must refuse.
        """
        if holds is True:
            self._checks.append(Check(name, _PASS, expected, found))
            return True
        self._checks.append(Check(name, _FAIL, expected, found, remedy))
        return False

    def extend(self, checks: tuple[Check, ...]) -> None:
        """Append checks made elsewhere."""
        self._checks.extend(checks)

    def finish(self) -> tuple[Check, ...]:
        """Return the checks made so far."""
        return tuple(self._checks)
