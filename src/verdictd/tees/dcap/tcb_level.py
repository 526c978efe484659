"""Which TCB level a platform is at, what that means together with its quoting enclave's, and what it lacks.

Spec: Intel PCS API v4, "Get TCB Info" (comparison algorithm for tcbType 0); Intel SGX/TDX DCAP Quote Verification
Library, TCB level check and convergence with the QE's status.
"""

from operator import ge
from typing import NamedTuple, Protocol

from verdictd.tees.dcap.acceptance import TCBStatus
from verdictd.tees.dcap.pck import PlatformIdentity
from verdictd.tees.dcap.qe_identity import QEIdentity, QETCBLevel
from verdictd.tees.dcap.tcb_info import TCBInfo, TCBLevel

_OUT_OF_DATE_WITH_QE = {
    TCBStatus.UP_TO_DATE: TCBStatus.OUT_OF_DATE,
    TCBStatus.SW_HARDENING_NEEDED: TCBStatus.OUT_OF_DATE,
    TCBStatus.CONFIGURATION_NEEDED: TCBStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
    TCBStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED: TCBStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
}


class ReachedTCB(NamedTuple):
    """What a platform reaches, its quoting enclave left aside.

    Attributes:
        level: the TCB level.
        advisory_ids: what applies besides, of parts that have levels of their own.
        details: about such parts, for a person; empty where there are none.
    """

    level: TCBLevel
    advisory_ids: tuple[str, ...] = ()
    details: str = ""


class TCBRule(Protocol):
    """How the TCB of one kind of TEE is compared with Intel's levels."""

    def find(self, info: TCBInfo, platform: PlatformIdentity) -> ReachedTCB | None:
        """Return what a platform reaches, if anything."""

    def converge(self, reached: ReachedTCB, quoting_enclave: TCBStatus) -> TCBStatus | None:
        """Combine all statuses; ``None`` where Intel defines no meaning for them together."""

    def describe_shortfall(self, info: TCBInfo, platform: PlatformIdentity) -> str:
        """Say what keeps the platform from the newest level; empty where nothing does."""


class SGXTCBRule:
    """The rule for SGX: the platform's components, and nothing else."""

    def find(self, info: TCBInfo, platform: PlatformIdentity) -> ReachedTCB | None:
        """See `TCBRule.find`."""
        level = find_level(info, platform)
        return None if level is None else ReachedTCB(level)

    def converge(self, reached: ReachedTCB, quoting_enclave: TCBStatus) -> TCBStatus | None:
        """See `TCBRule.converge`."""
        return converge(reached.level.status, quoting_enclave)

    def describe_shortfall(self, info: TCBInfo, platform: PlatformIdentity) -> str:
        """See `TCBRule.describe_shortfall`."""
        return describe_shortfall(info, platform)


def find_level(info: TCBInfo, platform: PlatformIdentity) -> TCBLevel | None:
    """Return the first level whose 16 components and PCESVN are all at most the platform's, if there is one."""
    for level in info.levels:
        if reaches(platform, level):
            return level
    return None


def reaches(platform: PlatformIdentity, level: TCBLevel) -> bool:
    """Whether a platform is at a level, or above."""
    return platform.pce_svn >= level.pce_svn and all(map(ge, platform.components, level.components))


def find_qe_level(identity: QEIdentity, isv_svn: int) -> QETCBLevel | None:
    """Return the first level whose ISVSVN is at most the enclave's, if there is one."""
    for level in identity.levels:
        if isv_svn >= level.isv_svn:
            return level
    return None


def converge(platform: TCBStatus, quoting_enclave: TCBStatus) -> TCBStatus | None:
    """Combine the platform's status with its quoting enclave's.

    Returns:
        The status of both together; ``None`` where Intel defines no meaning for the quoting enclave's status.
    """
    if platform is TCBStatus.REVOKED or quoting_enclave is TCBStatus.REVOKED:
        return TCBStatus.REVOKED
    if quoting_enclave is TCBStatus.OUT_OF_DATE:
        return _OUT_OF_DATE_WITH_QE.get(platform, platform)
    return platform if quoting_enclave is TCBStatus.UP_TO_DATE else None


def describe_shortfall(info: TCBInfo, platform: PlatformIdentity) -> str:
    """Say which components keep the platform from the newest level: found and required SVN, and since when.

    Returns:
        A sentence part; empty where the platform is at the newest level.
    """
    newest = info.levels[0]
    parts = describe_components(platform.components, newest.components, info.component_names)
    if platform.pce_svn < newest.pce_svn:
        parts.append(f"PCESVN is {platform.pce_svn}, required {newest.pce_svn}")
    if not parts:
        return ""
    return f"behind the level of {newest.date.date()}: {'; '.join(parts)}"


def describe_components(found: bytes, required: bytes, names: tuple[str, ...], what: str = "component") -> list[str]:
    """Name the components whose SVN is less than required."""
    return [
        f"{what} {number}{f' ({name})' if name else ''} has SVN {one}, required {other}"
        for number, (one, other, name) in enumerate(zip(found, required, names, strict=True), start=1)
        if one < other
    ]
