"""Which TCB level a TD reaches, and its status together with that of the TDX module.

Spec: Intel SGX/TDX DCAP Quote Verification Library: TcbLevelCheck, TdxModuleCheck, TDRelaunchCheck; Intel PCS API v4,
"Get TCB Info", for TDX.
"""

from operator import ge
from typing import Final

from verdictd.tees.dcap.acceptance import TCBStatus
from verdictd.tees.dcap.pck import PlatformIdentity
from verdictd.tees.dcap.tcb_info import TCBInfo, TCBLevel, TDXModule, TDXModuleLevel
from verdictd.tees.dcap.tcb_level import ReachedTCB, converge, describe_components, describe_shortfall, reaches
from verdictd.tees.tdx_ecdsa.td_report import TDReport

_GOOD_WITH_RELAUNCH: Final = frozenset(
    {
        TCBStatus.UP_TO_DATE,
        TCBStatus.SW_HARDENING_NEEDED,
        TCBStatus.CONFIGURATION_NEEDED,
        TCBStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED,
    }
)
_CONFIGURATION_NEEDED: Final = frozenset(
    {
        TCBStatus.CONFIGURATION_NEEDED,
        TCBStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
        TCBStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED,
    }
)


def find_module(info: TCBInfo, tee_tcb_svn: bytes) -> TDXModule | None:
    """Return the endorsed module of the version that a TCB SVN names; ``None`` where there is none."""
    return info.tdx_modules.get(tee_tcb_svn[1])


def find_module_level(module: TDXModule, isv_svn: int) -> TDXModuleLevel | None:
    """Return the first level whose ISVSVN is at most the module's, if there is one."""
    for level in module.levels:
        if isv_svn >= level.isv_svn:
            return level
    return None


class TDXTCBRule:
    """Implements `TCBRule` for one TD."""

    def __init__(self, report: TDReport) -> None:
        self._report = report
        self._svn = report.tee_tcb_svn
        self._module_level: TDXModuleLevel | None = None
        self._sgx_level: TCBLevel | None = None
        self._info: TCBInfo | None = None

    def find(self, info: TCBInfo, platform: PlatformIdentity) -> ReachedTCB | None:
        """Return the first level that both the platform and the TD reach, where the TD's module has one too.

        Components 0 and 1 of the TD's TCB are the module's own. From version 1 on, its identity has levels for them.
        """
        module = find_module(info, self._svn)
        module_level = None if module is None else find_module_level(module, self._svn[0])
        if module is None or (module_level is None and self._svn[1] > 0):
            return None
        first = 2 if self._svn[1] > 0 else 0
        sgx_level = None
        for level in info.levels:
            if reaches(platform, level):
                sgx_level = sgx_level or level
                if all(map(ge, self._svn[first:], level.tdx_components[first:])):
                    self._info, self._sgx_level, self._module_level = info, sgx_level, module_level
                    return self._describe(level, module_level)
        return None

    def _describe(self, level: TCBLevel, module_level: TDXModuleLevel | None) -> ReachedTCB:
        if module_level is None:
            return ReachedTCB(level)
        details = ""
        if module_level.status is not TCBStatus.UP_TO_DATE:
            details = f"TDX module {self._svn[1]} is {module_level.status} since {module_level.date.date()}"
        return ReachedTCB(level, module_level.advisory_ids, details)

    def converge(self, reached: ReachedTCB, quoting_enclave: TCBStatus) -> TCBStatus | None:
        """See `TCBRule.converge`."""
        status: TCBStatus | None = reached.level.status
        if self._module_level is not None:
            status = converge(reached.level.status, self._module_level.status)
        if status is None or status is TCBStatus.REVOKED:
            return status
        if quoting_enclave is TCBStatus.UP_TO_DATE:
            status = self._relaunch(status)
        return None if status is None else converge(status, quoting_enclave)

    def _relaunch(self, status: TCBStatus) -> TCBStatus | None:
        """Tell a TD that is only older than the module that runs now from one whose module is out of date.

        Returns:
            ``None`` where no module of the version that runs now is endorsed.
        """
        svn2, info, sgx, module = self._report.tee_tcb_svn2, self._info, self._sgx_level, self._module_level
        if svn2 is None or info is None or sgx is None or module is None:
            return status
        is_candidate = (
            sgx.status in _GOOD_WITH_RELAUNCH
            and status in {TCBStatus.OUT_OF_DATE, TCBStatus.OUT_OF_DATE_CONFIGURATION_NEEDED}
            and module.status is TCBStatus.OUT_OF_DATE
        )
        if not is_candidate:
            return status
        module_now = info.tdx_modules.get(svn2[1])
        if module_now is None:
            return None
        if not _is_newest(module_now, svn2, info.levels[0].tdx_components):
            return status
        if {sgx.status, status} & _CONFIGURATION_NEEDED:
            return TCBStatus.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED
        return TCBStatus.TD_RELAUNCH_ADVISED

    def describe_shortfall(self, info: TCBInfo, platform: PlatformIdentity) -> str:
        """See `TCBRule.describe_shortfall`."""
        parts = [describe_shortfall(info, platform)]
        first = 2 if self._svn[1] > 0 else 0
        required = bytes(first) + info.levels[0].tdx_components[first:]
        parts += describe_components(self._svn, required, info.tdx_component_names, "TDX component")
        module = find_module(info, self._svn)
        if module is None:
            parts.append(f"no TDX module of version {self._svn[1]} is endorsed")
        elif module.levels and self._svn[0] < module.levels[0].isv_svn:
            newest = module.levels[0].isv_svn
            parts.append(f"the TDX module {self._svn[1]} has ISVSVN {self._svn[0]}, required {newest}")
        return "; ".join(part for part in parts if part)


def _is_newest(module: TDXModule, svn: bytes, newest: bytes) -> bool:
    """Whether a module is at its newest level, and what it loaded at TDX's newest."""
    required = module.levels[0].isv_svn if module.levels else newest[0]
    return svn[0] >= required and svn[2] >= newest[2]
