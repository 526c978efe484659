"""Which TCB level a platform is at, what that means together with its quoting enclave's, and what it lacks.

Spec: Intel PCS API v4, "Get TCB Info" (comparison algorithm for tcbType 0); Intel SGX/TDX DCAP Quote Verification
Library, TCB level check and convergence with the QE's status.
"""

from operator import ge

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


def find_level(info: TCBInfo, platform: PlatformIdentity) -> TCBLevel | None:
    """Return the first level whose 16 components and PCESVN are all at most the platform's, if there is one."""
    for level in info.levels:
        if platform.pce_svn >= level.pce_svn and all(map(ge, platform.components, level.components)):
            return level
    return None


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
    parts = [
        f"component {number}{f' ({name})' if name else ''} has SVN {found}, required {required}"
        for number, (found, required, name) in enumerate(
            zip(platform.components, newest.components, info.component_names, strict=True), start=1
        )
        if found < required
    ]
    if platform.pce_svn < newest.pce_svn:
        parts.append(f"PCESVN is {platform.pce_svn}, required {newest.pce_svn}")
    if not parts:
        return ""
    return f"behind the level of {newest.date.date()}: {'; '.join(parts)}"
