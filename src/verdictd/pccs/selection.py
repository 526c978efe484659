"""Which PCK certificate fits a platform's raw TCB. Pure.

Spec: Intel's PCK certificate selection library, for TCB type 0, where the bytes of CPUSVN are the components. The order
is its own, so that a platform gets from this cache the certificate that it gets from Intel's.
"""

from collections.abc import Sequence
from operator import ge

from verdictd.pccs.model import PCKCertificate, RawTCB
from verdictd.tees.dcap.tcb_info import TCBInfo


def select_certificate(certificates: Sequence[PCKCertificate], raw_tcb: RawTCB, info: TCBInfo) -> PCKCertificate | None:
    """Select the certificate of the newest TCB level whose certificate a platform reaches.

    Certificates are grouped by the newest level of TCB info that each reaches itself; a last group is for those that
    reach none. Within a group a higher TCB comes first. The first that the raw TCB reaches is it.

    Args:
        certificates: of one platform.
        raw_tcb: what the platform says its TCB is.
        info: TCB info of its family.
    Returns:
        ``None`` where the raw TCB is below every certificate's.
    """
    groups: list[list[PCKCertificate]] = [[] for _ in range(len(info.levels) + 1)]
    for certificate in certificates:
        _insert(groups[_find_level(certificate, info)], certificate)
    reached = (certificate for group in groups for certificate in group if is_reached(certificate, raw_tcb))
    return next(reached, None)


def is_reached(certificate: PCKCertificate, raw_tcb: RawTCB) -> bool:
    """Whether a platform at a raw TCB may use a certificate."""
    return _is_at_least(raw_tcb.cpu_svn, raw_tcb.pce_svn, certificate.components, certificate.tcb.pce_svn)


def _find_level(certificate: PCKCertificate, info: TCBInfo) -> int:
    levels = (
        index
        for index, level in enumerate(info.levels)
        if _is_at_least(certificate.components, certificate.tcb.pce_svn, level.components, level.pce_svn)
    )
    return next(levels, len(info.levels))


def _insert(group: list[PCKCertificate], new: PCKCertificate) -> None:
    """Insert a certificate before the first whose TCB it reaches: TCBs are not all comparable, so this is no sort."""
    for index, there in enumerate(group):
        if _is_at_least(new.components, new.tcb.pce_svn, there.components, there.tcb.pce_svn):
            group.insert(index, new)
            return
    group.append(new)


def _is_at_least(components: bytes, pce_svn: int, least: bytes, least_pce_svn: int) -> bool:
    return pce_svn >= least_pce_svn and all(map(ge, components, least))
