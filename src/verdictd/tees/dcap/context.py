"""What the steps of one appraisal share: the settings, the instant, and the log of checks."""

from collections.abc import Mapping
from datetime import datetime

from verdictd.tees.dcap.acceptance import Acceptance
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.requirements import REMEDIES
from verdictd.tees.dcap.trust_roots import TrustRoots
from verdictd.tees.timed_checklist import TimedChecklist


class AppraisalContext(TimedChecklist):
    """One appraisal under way. `requirements` names every check there is and what it requires."""

    __slots__ = ("acceptance", "memory", "roots")

    def __init__(
        self,
        *,
        roots: TrustRoots,
        acceptance: Acceptance,
        at: datetime,
        memory: FactMemory,
        requirements: Mapping[str, str],
    ) -> None:
        super().__init__(requirements, REMEDIES, at=at, allow_expired_collateral=acceptance.allow_expired_collateral)
        self.roots = roots
        self.acceptance = acceptance
        self.memory = memory
