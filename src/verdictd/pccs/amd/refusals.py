"""Why there is nothing of AMD's, as a client is told."""

from datetime import datetime
from http import HTTPStatus
from typing import Final

from verdictd.collateral.amd_names import AMDCertificateName
from verdictd.core.errors import CollateralUnavailableError, VerdictdError
from verdictd.pccs.errors import INTEGRITY, NO_CACHE_DATA, NOT_NOW, UPSTREAM_FAILED, StorageError, UnavailableError
from verdictd.pccs.model import Attempt
from verdictd.tees.timed_checklist import format_instant

_NOT_THERE: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.GONE,
    }
)
"""No repetition brings what the service answers so for; a VLEK's certificate it gives to its cloud provider alone."""


def describe(name: AMDCertificateName) -> str:
    """Name an item in a sentence; a chip, which tells machines apart, by the beginning of its id."""
    owner = f"{name.product} {name.key_type.upper()}"
    match name.what:
        case "cert_chain":
            return f"the chain above a {owner}"
        case "crl":
            return f"the CRL for a {owner}"
        case "leaf":
            chip = f" of the chip {name.chip_id.hex()[:16]}…" if name.chip_id else ""
            return f"the certificate of the {owner}{chip} at the TCB {name.tcb.hex()}"


def explain_failure(name: AMDCertificateName, error: VerdictdError, attempt: Attempt | None) -> VerdictdError:
    """Choose what a client is told of a failure to have something."""
    if isinstance(error, UnavailableError | StorageError):
        return error
    message = f"{describe(name)} cannot be had: {error.message}{_since(attempt)}"
    if not isinstance(error, CollateralUnavailableError):
        return UnavailableError(
            message,
            status=INTEGRITY,
            problem="integrity",
            remedy="see whether the upstream is the right one, and which roots are trusted (--amd-root)",
        )
    if is_not_there(error):
        return UnavailableError(
            message,
            status=NO_CACHE_DATA,
            problem="no-cache-data",
            remedy="check the product, the chip id and the TCB: the service has nothing under them",
        )
    if error.retry_after_s is not None:
        return rate_limited(message, error.retry_after_s)
    return UnavailableError(
        message,
        status=UPSTREAM_FAILED,
        problem="upstream-down",
        remedy="see pccs status; what is held is handed out meanwhile, and pccs import takes in a bundle",
    )


def is_not_there(error: VerdictdError) -> bool:
    """Whether the service said that it has no such thing, or not for this cache."""
    return isinstance(error, CollateralUnavailableError) and error.status in _NOT_THERE


def rate_limited(message: str, seconds: float) -> UnavailableError:
    """Refuse to ask now what does not wish to be asked."""
    return UnavailableError(
        message,
        status=NOT_NOW,
        problem="rate-limited",
        remedy="wait: the service limits how often it is asked",
        retry_after_s=seconds,
    )


def offline(name: AMDCertificateName) -> UnavailableError:
    """Refuse what is not held where nobody is asked."""
    return UnavailableError(
        f"{describe(name)} is not held, and in the mode OFFLINE nobody is asked for it",
        status=NO_CACHE_DATA,
        problem="offline",
        remedy="bring it in a bundle: pccs export on a machine that is connected, pccs import here",
    )


def revoked(name: AMDCertificateName) -> UnavailableError:
    """Refuse what stands under a revoked ASK or ASVK."""
    return UnavailableError(
        f"{describe(name)}: a CRL of the root revokes what issued it",
        status=NO_CACHE_DATA,
        problem="revoked",
        remedy="do not trust it; once the service has a new chain, pccs takes that",
    )


def require_unmasked(name: AMDCertificateName) -> None:
    """Refuse to ask for a chip of no id.

    Raises:
        UnavailableError: the id is zeros, as it stands in the reports of a machine that does not tell its own.
    """
    if name.what == "leaf" and name.key_type == "vcek" and not any(name.chip_id):
        raise UnavailableError(
            "the chip id is all zeros: the machine masks its own",
            status=NO_CACHE_DATA,
            problem="platform-unknown",
            remedy="take the VCEK from the machine's owner, or a VLEK, or have MaskChipId (SNP_CONFIG) cleared there",
        )


def busy() -> UnavailableError:
    """Refuse what would be one request to upstream too many."""
    return UnavailableError(
        "too much of AMD's is being asked for at once",
        status=NOT_NOW,
        problem="busy",
        remedy="try again in a moment",
        retry_after_s=1,
    )


def not_in_time(name: AMDCertificateName, not_before: datetime, expires_at: datetime) -> UnavailableError:
    """Refuse what upstream gave before or after its time."""
    return UnavailableError(
        f"{describe(name)} that upstream gave is good from {format_instant(not_before)} to"
        f" {format_instant(expires_at)}, not now",
        status=NO_CACHE_DATA,
        problem="expired",
        remedy="check this machine's clock, and whether the upstream is the right one",
    )


def _since(attempt: Attempt | None) -> str:
    down = None if attempt is None else attempt.down_since
    return f"; it could not be had since {format_instant(down)}" if down is not None else ""
