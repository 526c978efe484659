"""What the vendor says of TDX on the simulated platform: TCB info with the TD's components and the TDX modules."""

from dataclasses import replace
from datetime import datetime, timedelta

from verdictd.simulator.documents import QELevelSpec, TCBInfoSpec, TDXModuleSpec
from verdictd.tees.dcap.acceptance import TCBStatus

_TDX_COMPONENTS = bytes((5, 0, 3)) + bytes(13)
_ADVISORIES = ("INTEL-SA-01036", "INTEL-SA-01099")


def tdx_tcb_info_spec(sgx: TCBInfoSpec, *, created_at: datetime) -> TCBInfoSpec:
    """TCB info of TDX with the levels of SGX's, of which each but the oldest asks for the same TDX components.

    Args:
        sgx: TCB info of version 3.
        created_at: when the platform came to be; dates lie before it.
    """
    *reached, oldest = sgx.levels
    return replace(
        sgx,
        tee_id="TDX",
        levels=(
            *(replace(level, tdx_components=_TDX_COMPONENTS) for level in reached),
            replace(oldest, tdx_components=bytes(16)),
        ),
        tdx_module=TDXModuleSpec(),
        tdx_module_identities=(
            TDXModuleSpec(module_id="TDX_03", levels=(_level(3, created_at, 90),)),
            TDXModuleSpec(
                module_id="TDX_01",
                levels=(_level(6, created_at, 90), _level(4, created_at, 400, TCBStatus.OUT_OF_DATE)),
            ),
        ),
    )


def _level(isv_svn: int, created_at: datetime, days: int, status: TCBStatus = TCBStatus.UP_TO_DATE) -> QELevelSpec:
    date = (created_at - timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)
    advisory_ids = () if status is TCBStatus.UP_TO_DATE else _ADVISORIES
    return QELevelSpec(isv_svn=isv_svn, date=date, status=status, advisory_ids=advisory_ids)
