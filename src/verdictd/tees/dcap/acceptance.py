"""What an operator is willing to accept of a platform that is genuine. The defaults accept the least."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final


class TCBStatus(StrEnum):
    """Status of a platform, spelled as Intel spells it. Order has no meaning.

    Spec: Intel PCS API v4, "Get TCB Info", `tcbStatus`, for all but the last two; these come of comparing a TD's TCB
    with that of the module that runs now (Intel TDX DCAP Quoting Library API, TD relaunch).
    """

    UP_TO_DATE = "UpToDate"
    SW_HARDENING_NEEDED = "SWHardeningNeeded"
    CONFIGURATION_NEEDED = "ConfigurationNeeded"
    CONFIGURATION_AND_SW_HARDENING_NEEDED = "ConfigurationAndSWHardeningNeeded"
    OUT_OF_DATE = "OutOfDate"
    OUT_OF_DATE_CONFIGURATION_NEEDED = "OutOfDateConfigurationNeeded"
    REVOKED = "Revoked"
    TD_RELAUNCH_ADVISED = "TDRelaunchAdvised"
    TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED = "TDRelaunchAdvisedConfigurationNeeded"


LEVEL_STATUSES: Final = tuple(
    status
    for status in TCBStatus
    if status not in {TCBStatus.TD_RELAUNCH_ADVISED, TCBStatus.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED}
)
"""What a TCB level may have in Intel's documents."""
ANY_STATUS_BUT_REVOKED = frozenset(TCBStatus) - {TCBStatus.REVOKED}
"""What ``any`` stands for on a command line: a revoked TCB has to be accepted by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """The operator's settings for the appraisal of a genuine platform.

    Attributes:
        tcb_statuses: converged TCB statuses that are acceptable.
        allow_debug: whether an enclave whose memory its host can read is acceptable.
        allow_expired_collateral: whether collateral and certificates past their time are acceptable.
        denied_advisories: advisory ids, any of which refuses the platform.
        min_evaluation_data_number: lowest acceptable tcbEvaluationDataNumber of TCB info and QE identity.
        max_collateral_age: how old the issue date of any collateral item may be; ``None`` for no limit but its expiry.
    """

    tcb_statuses: frozenset[TCBStatus] = frozenset({TCBStatus.UP_TO_DATE})
    allow_debug: bool = False
    allow_expired_collateral: bool = False
    denied_advisories: frozenset[str] = frozenset()
    min_evaluation_data_number: int = 0
    max_collateral_age: timedelta | None = None
