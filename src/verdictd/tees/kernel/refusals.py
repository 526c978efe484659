"""What it means where the kernel refuses a report, by the number of its error, and what to do about it."""

import errno
from collections.abc import Mapping
from typing import Final, NamedTuple

from verdictd.core.errors import ConfigError


class Refusal(NamedTuple):
    """One error of the kernel in words."""

    meaning: str
    remedy: str


_NEEDS_ROOT: Final = Refusal(
    "this user may not make reports", "run as root, or give this user the directory or the device"
)
_DISTURBED: Final = Refusal(
    "something else kept the interface busy, or kept writing to the same entry",
    "see what else makes reports on this machine, and try again",
)
_COMMON: Final = {errno.EACCES: _NEEDS_ROOT, errno.EPERM: _NEEDS_ROOT}

TDX_DEVICE_REFUSALS: Final[Mapping[int, Refusal]] = {
    **_COMMON,
    errno.ENOENT: Refusal(
        "this is no trust domain (TD), or the kernel has no driver for it",
        "run in a TD, with Linux 6.2 or later and the module tdx_guest loaded",
    ),
    errno.EIO: Refusal("the TDX module refused to make a report", "see the kernel's log"),
}

TDX_REFUSALS: Final[Mapping[int, Refusal]] = {
    **_COMMON,
    errno.ENOENT: Refusal(
        "the kernel has no such interface",
        "run in a TD, with Linux 6.7 or later, the module tdx_guest loaded and configfs mounted at /sys/kernel/config",
    ),
    errno.ENXIO: Refusal("no module of the kernel makes reports here", "load tdx_guest; this has to be a TD"),
    errno.EBUSY: Refusal(
        "the host has not answered an earlier request for a quote, or something else writes to the same entry",
        "see that the host's quote generation service answers, and what else makes quotes on this machine",
    ),
    errno.EAGAIN: _DISTURBED,
    errno.ETIMEDOUT: Refusal(
        "the host did not make a quote in time",
        "see that the host's quote generation service (QGS) runs, and that it reaches its PCCS",
    ),
    errno.EIO: Refusal(
        "the host refused to make a quote",
        "have the host run a quote generation service (QGS) and its hypervisor connect this TD to it",
    ),
    errno.EINVAL: Refusal("the kernel did not take the report data", "see the kernel's log"),
}

SNP_REFUSALS: Final[Mapping[int, Refusal]] = {
    **_COMMON,
    errno.ENOENT: Refusal(
        "the kernel has no such interface",
        "run in an SEV-SNP guest with the module sev-guest loaded; configfs has reports since Linux 6.7, where it is"
        " mounted at /sys/kernel/config",
    ),
    errno.ENXIO: Refusal(
        "no module of the kernel makes reports here, or the secure processor refused",
        "load sev-guest; this has to be an SEV-SNP guest",
    ),
    errno.EBUSY: _DISTURBED,
    errno.EAGAIN: Refusal("the host lets reports through only so often", "try again later, or ask for fewer reports"),
    errno.ETIMEDOUT: Refusal(
        "the host let the request wait for too long", "see what else makes reports on this host, and try again"
    ),
    errno.ENOTTY: Refusal(
        "the kernel has given up its key for messages to the secure processor, or has no such request",
        "see the kernel's log for why; a key that was given up is there again after the guest was started anew",
    ),
    errno.EIO: Refusal("the host or the secure processor refused the request", "see the kernel's log"),
    errno.EINVAL: Refusal(
        "the kernel did not take the report data or the privilege level",
        "ask for the guest's own privilege level (VMPL) or one with fewer rights, at most 3",
    ),
}


def explain_refusal(label: str, error: OSError, refusals: Mapping[int, Refusal]) -> ConfigError:
    """Put an error of the kernel into words.

    Args:
        label: the interface that refused, for a person.
        error: what it raised.
        refusals: what its errors mean.
    """
    said = error.strerror or str(error)
    known = refusals.get(error.errno or 0)
    if known is None:
        return ConfigError(f"{label} gave no report: {said}", remedy="see the kernel's log")
    return ConfigError(f"{label} gave no report: {said}: {known.meaning}", remedy=known.remedy)
