"""Why there is no item, as a client is told: with the status that Intel's clients know how to take."""

from collections.abc import Sequence

from verdictd.collateral.attempts import LONGEST_RETRY_AFTER_S
from verdictd.core.errors import CollateralUnavailableError, VerdictdError
from verdictd.pccs.asking import is_not_there
from verdictd.pccs.errors import INTEGRITY, NO_CACHE_DATA, NOT_NOW, UPSTREAM_FAILED, UnavailableError
from verdictd.pccs.model import Attempt, Mode
from verdictd.tees.timed_checklist import format_instant


def explain_unavailable(
    error: VerdictdError, failures: Sequence[VerdictdError], attempts: Sequence[Attempt | None]
) -> UnavailableError:
    """Choose the status by what upstreams answered: what none of them has, no repetition brings.

    Args:
        error: what the client is told.
        failures: what each upstream that was asked failed with.
        attempts: what all processes know of asking those upstreams for it.
    """
    since = _down_since(attempts)
    message = f"{error.message}{since}"
    unavailable = [each for each in failures if isinstance(each, CollateralUnavailableError)]
    if failures and all(is_not_there(each) for each in failures):
        return UnavailableError(
            message,
            status=NO_CACHE_DATA,
            problem="no-cache-data",
            remedy="check the family (FMSPC) or number that was asked for: upstream has nothing under it",
        )
    pauses = [each.retry_after_s for each in unavailable if each.retry_after_s is not None]
    if pauses:
        return UnavailableError(
            message,
            status=NOT_NOW,
            problem="rate-limited",
            remedy="wait: upstream limits how often it is asked",
            retry_after_s=min(*pauses, LONGEST_RETRY_AFTER_S),
        )
    if failures and not unavailable:
        return UnavailableError(
            message,
            status=INTEGRITY,
            problem="integrity",
            remedy="see whether the upstream is the right one, and which roots are trusted (--trust-root)",
        )
    return UnavailableError(
        message,
        status=UPSTREAM_FAILED,
        problem="upstream-down",
        remedy="see pccs status; what is held is handed out meanwhile, and pccs import takes in files",
    )


def require_refreshing(mode: Mode) -> None:
    """Refuse to have anything asked for anew where upstream is never asked.

    Raises:
        UnavailableError: it is not.
    """
    if mode is Mode.OFFLINE:
        raise UnavailableError(
            "nothing is refreshed here: upstream is never asked",
            status=NOT_NOW,
            problem="offline",
            remedy="bring what is newer: pccs import FILE, or PUT platformcollateral",
        )


def _down_since(attempts: Sequence[Attempt | None]) -> str:
    since = [each.down_since for each in attempts if each is not None and each.down_since is not None]
    return f"; it could not be had since {format_instant(min(since))}" if since else ""
