"""What the steps of one appraisal share: the settings, the instant, and the log of checks."""

from datetime import datetime

from verdictd.tees.amd.roots import AMDRoots
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.sev_snp.acceptance import SNPAcceptance
from verdictd.tees.sev_snp.requirements import REMEDIES, REQUIREMENTS
from verdictd.tees.timed_checklist import TimedChecklist


class SNPContext(TimedChecklist):
    """One appraisal under way."""

    __slots__ = ("acceptance", "memory", "roots")

    def __init__(self, *, roots: AMDRoots, acceptance: SNPAcceptance, at: datetime, memory: FactMemory) -> None:
        super().__init__(REQUIREMENTS, REMEDIES, at=at, allow_expired_collateral=acceptance.allow_expired_collateral)
        self.roots = roots
        self.acceptance = acceptance
        self.memory = memory

    def require_or_accept(
        self,
        holds: object,
        name: str,
        found: str,
        *,
        accepted: bool,
        flag: str,
        remedy: str,
    ) -> None:
        """Record a check that a setting of the operator's can make pass, and say so where it did."""
        if holds is not True and accepted:
            self.passed(name, f"{found}, accepted by {flag}")
        else:
            self.require(holds, name, found, f"{remedy}, or accept it with {flag}")
