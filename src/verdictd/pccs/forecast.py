"""Which platforms change TCB status once the early TCB info is the standard one, and by which component.

Pure. What is compared is what a quote of the platform carries: the PCK certificate for its TCB, against the SGX levels.
The status of a TDX quote depends on the TDX module as well, of which a certificate says nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from verdictd.pccs.model import PCKCertificate, PCKSet, RawTCB
from verdictd.pccs.selection import select_certificate
from verdictd.tees.dcap.acceptance import TCBStatus
from verdictd.tees.dcap.pck import PlatformIdentity
from verdictd.tees.dcap.tcb_info import TCBInfo, TCBLevel
from verdictd.tees.dcap.tcb_level import find_level


class Shortfall(NamedTuple):
    """A component that keeps a platform from the status it had.

    Attributes:
        component: its number from 1 to 16, or 0 for PCESVN.
        name: its type, where TCB info says it.
        found, required: SVNs.
    """

    component: int
    name: str
    found: int
    required: int

    def __str__(self) -> str:
        """The same for a person."""
        what = f"component {self.component}{f' ({self.name})' if self.name else ''}" if self.component else "PCESVN"
        return f"{what} has SVN {self.found}, required {self.required}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What the early TCB info makes of a platform at one TCB.

    Attributes:
        tcb: of the PCK certificate that a quote carries.
        before, after: the status under the standard and under the early TCB info; ``None`` below all levels.
        advisories: those that the early one names for it and the standard one does not.
        shortfalls: what keeps it from its status under the early one; empty where that does not change.
    """

    tcb: RawTCB
    before: TCBStatus | None
    after: TCBStatus | None
    advisories: tuple[str, ...]
    shortfalls: tuple[Shortfall, ...]

    @property
    def is_change(self) -> bool:
        """Whether the status differs."""
        return self.before is not self.after


def forecast_platform(pck_set: PCKSet, raw_tcbs: Sequence[RawTCB], standard: TCBInfo, early: TCBInfo) -> list[Change]:
    """Tell what becomes of a platform.

    Args:
        pck_set: its certificates.
        raw_tcbs: the TCBs it asked with. The vendor has certificates for newer ones too, which say nothing of it.
        standard: SGX TCB info of its family.
        early: the same, as published early.
    Returns:
        One for each certificate that a quote of it may carry; none where no certificate fits a TCB it asked with.
    """
    chosen = {certificate.tcb: certificate for certificate in _choose_all(pck_set, raw_tcbs, standard)}
    return [_forecast(certificate, standard, early) for _, certificate in sorted(chosen.items())]


def _choose_all(pck_set: PCKSet, raw_tcbs: Sequence[RawTCB], info: TCBInfo) -> list[PCKCertificate]:
    chosen = [select_certificate(pck_set.certificates, raw_tcb, info) for raw_tcb in raw_tcbs]
    return [certificate for certificate in chosen if certificate is not None]


def _identity(certificate: PCKCertificate) -> PlatformIdentity:
    """Return a certificate's TCB as levels are compared with it; what they are not compared with is left empty."""
    return PlatformIdentity(
        ppid=b"",
        cpu_svn=certificate.tcb.cpu_svn,
        components=certificate.components,
        pce_svn=certificate.tcb.pce_svn,
        pce_id=b"",
        fmspc=b"",
        sgx_type="",
        platform_instance_id=None,
        configuration=(),
    )


def _forecast(certificate: PCKCertificate, standard: TCBInfo, early: TCBInfo) -> Change:
    platform = _identity(certificate)
    before, after = find_level(standard, platform), find_level(early, platform)
    status_before, status_after = _status(before), _status(after)
    known = set(before.advisory_ids if before else ())
    gained = [advisory for advisory in (after.advisory_ids if after else ()) if advisory not in known]
    shortfalls: tuple[Shortfall, ...] = ()
    if status_before is not status_after:
        shortfalls = _nearest_shortfalls(platform, status_before, early)
    return Change(
        tcb=certificate.tcb,
        before=status_before,
        after=status_after,
        advisories=tuple(gained),
        shortfalls=shortfalls,
    )


def _status(level: TCBLevel | None) -> TCBStatus | None:
    return None if level is None else level.status


def _nearest_shortfalls(platform: PlatformIdentity, status: TCBStatus | None, early: TCBInfo) -> tuple[Shortfall, ...]:
    """Say what is missing for the level of a status that is nearest; for the newest level where none has the status.

    Empty where nothing is missing: then Intel judges the very same level otherwise than before.
    """
    levels = [level for level in early.levels if level.status is status] or [early.levels[0]]
    return min((_shortfalls(platform, level, early) for level in levels), key=len)


def _shortfalls(platform: PlatformIdentity, level: TCBLevel, info: TCBInfo) -> tuple[Shortfall, ...]:
    components = [
        Shortfall(number, name, found, required)
        for number, (found, required, name) in enumerate(
            zip(platform.components, level.components, info.component_names, strict=True), start=1
        )
        if found < required
    ]
    if platform.pce_svn < level.pce_svn:
        components.append(Shortfall(0, "", platform.pce_svn, level.pce_svn))
    return tuple(components)
