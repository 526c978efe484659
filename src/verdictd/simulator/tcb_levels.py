"""Which TCB levels a vendor would publish so that a given platform is at a given status.

The platform's SVNs stay as they are, as on real hardware: what changes is what the vendor says of them. A recovery
raises the microcode SVNs (components 1 and 2); a setting of the BIOS, e.g. hyper-threading, shows in component 7.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from verdictd.simulator.documents import QELevelSpec, TCBLevelSpec
from verdictd.tees.dcap.acceptance import TCBStatus

_MICROCODE = (0, 1)
_SETTINGS = (6,)
_HARDENING_ADVISORIES = ("INTEL-SA-00334", "INTEL-SA-00615")
_SETTINGS_ADVISORIES = ("INTEL-SA-00219", "INTEL-SA-00289")
_RECOVERY_ADVISORIES = ("INTEL-SA-00828",)


@dataclass(frozen=True, slots=True)
class _Rung:
    """A level relative to the platform: which components are raised, and what the vendor says of it."""

    raised: tuple[int, ...]
    status: TCBStatus
    advisory_ids: tuple[str, ...] = ()
    is_recovered: bool = False
    """Whether the level came with the last recovery, after the platform's was the newest."""


_LADDERS = {
    TCBStatus.UP_TO_DATE: (_Rung((), TCBStatus.UP_TO_DATE),),
    TCBStatus.SW_HARDENING_NEEDED: (_Rung((), TCBStatus.SW_HARDENING_NEEDED, _HARDENING_ADVISORIES),),
    TCBStatus.CONFIGURATION_NEEDED: (
        _Rung(_SETTINGS, TCBStatus.UP_TO_DATE),
        _Rung((), TCBStatus.CONFIGURATION_NEEDED, _SETTINGS_ADVISORIES),
    ),
    TCBStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED: (
        _Rung(_SETTINGS, TCBStatus.SW_HARDENING_NEEDED, _HARDENING_ADVISORIES),
        _Rung(
            (), TCBStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED, (*_SETTINGS_ADVISORIES, *_HARDENING_ADVISORIES)
        ),
    ),
    TCBStatus.OUT_OF_DATE: (
        _Rung(_MICROCODE, TCBStatus.UP_TO_DATE, is_recovered=True),
        _Rung((), TCBStatus.OUT_OF_DATE, _RECOVERY_ADVISORIES),
    ),
    TCBStatus.OUT_OF_DATE_CONFIGURATION_NEEDED: (
        _Rung((*_MICROCODE, *_SETTINGS), TCBStatus.UP_TO_DATE, is_recovered=True),
        _Rung(_MICROCODE, TCBStatus.CONFIGURATION_NEEDED, _SETTINGS_ADVISORIES, is_recovered=True),
        _Rung(_SETTINGS, TCBStatus.OUT_OF_DATE, _RECOVERY_ADVISORIES),
        _Rung(
            (), TCBStatus.OUT_OF_DATE_CONFIGURATION_NEEDED, (*_SETTINGS_ADVISORIES, *_RECOVERY_ADVISORIES)
        ),
    ),
    TCBStatus.REVOKED: (
        _Rung(_MICROCODE, TCBStatus.UP_TO_DATE, is_recovered=True),
        _Rung((), TCBStatus.REVOKED, _RECOVERY_ADVISORIES),
    ),
}  # fmt: skip


def tcb_levels(status: TCBStatus, *, components: bytes, pce_svn: int, created_at: datetime) -> tuple[TCBLevelSpec, ...]:
    """Levels, the newest first, of which a platform with these SVNs reaches the one with `status` first.

    Args:
        status: what the platform is to be at.
        components: the platform's 16 component SVNs; 1, 2 and 7 below 255, as a newer level raises them.
        pce_svn: the platform's PCESVN.
        created_at: when the platform came to be; the levels' dates lie before it.
    """
    recovered, current, outdated = (_days_before(created_at, days) for days in (30, 90, 400))
    ladder = _LADDERS[status]
    is_behind = ladder[0].is_recovered
    reached = tuple(
        TCBLevelSpec(
            components=_raise(components, rung.raised),
            pce_svn=pce_svn,
            date=recovered if rung.is_recovered else outdated if is_behind else current,
            status=rung.status,
            advisory_ids=rung.advisory_ids,
        )
        for rung in ladder
    )
    oldest = TCBLevelSpec(
        components=bytes(16),
        pce_svn=max(pce_svn - 3, 0),
        date=_days_before(created_at, 1200),
        status=TCBStatus.REVOKED if status is TCBStatus.REVOKED else TCBStatus.OUT_OF_DATE,
        advisory_ids=(*_SETTINGS_ADVISORIES, *_HARDENING_ADVISORIES, *_RECOVERY_ADVISORIES),
    )
    return (*reached, oldest)


def qe_levels(isv_svn: int, *, created_at: datetime) -> tuple[QELevelSpec, ...]:
    """Levels of a quoting enclave, the newest first; one with `isv_svn` reaches the first, which is up to date."""
    return (
        QELevelSpec(isv_svn=isv_svn, date=_days_before(created_at, 90), status=TCBStatus.UP_TO_DATE),
        QELevelSpec(
            isv_svn=isv_svn - 2,
            date=_days_before(created_at, 400),
            status=TCBStatus.OUT_OF_DATE,
            advisory_ids=("INTEL-SA-00615",),
        ),
    )


def _raise(components: bytes, raised: tuple[int, ...]) -> bytes:
    return bytes(svn + (index in raised) for index, svn in enumerate(components))


def _days_before(instant: datetime, days: int) -> datetime:
    return (instant - timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)
