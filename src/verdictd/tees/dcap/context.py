"""What the steps of one appraisal share: the settings, the instant, and the log of checks."""

from collections.abc import Mapping
from datetime import datetime

from verdictd.core.checks import CheckLog
from verdictd.tees.dcap.acceptance import Acceptance
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.trust_roots import TrustRoots


class AppraisalContext:
    """One appraisal under way. `requirements` names every check there is and what it requires; nothing else is logged."""

    __slots__ = ("acceptance", "at", "expiries", "log", "memory", "requirements", "roots")

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
        self.log = CheckLog()
        self.expiries: list[datetime] = []

    def require(self, holds: object, name: str, found: str, remedy: str = "") -> bool:
        """Record whether a check holds, with what it requires taken from `requirements`."""
        return self.log.require(holds, name, self.requirements[name], found, remedy)

    def fail(self, name: str, found: str, remedy: str = "") -> None:
        """Record a check that does not hold."""
        self.log.failed(name, self.requirements[name], found, remedy)

    def skip(self, why: str, *names: str) -> None:
        """Record checks that cannot be made, and why. They refuse like failed ones."""
        for name in names:
            self.log.not_made(name, self.requirements[name], why)

    def require_in_time(self, name: str, not_before: datetime, not_after: datetime, remedy: str) -> bool:
        """Record whether the instant lies in [`not_before`, `not_after`), both aware.

        What is not yet valid is never accepted; what has expired only where the operator accepts expired collateral.
        """
        self.expiries.append(not_after)
        if self.at < not_before:
            return self.require(False, name, f"valid only from {not_before:%Y-%m-%dT%H:%M:%SZ}", remedy)  # noqa: FBT003
        if self.at < not_after:
            return self.require(True, name, f"until {not_after:%Y-%m-%dT%H:%M:%SZ}")  # noqa: FBT003
        expired = f"expired at {not_after:%Y-%m-%dT%H:%M:%SZ}"
        if self.acceptance.allow_expired_collateral:
            return self.require(True, name, f"{expired}, accepted by --allow-expired-collateral")  # noqa: FBT003
        return self.require(False, name, expired, remedy)  # noqa: FBT003
