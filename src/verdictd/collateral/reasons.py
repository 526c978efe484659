"""Why there is no collateral, or none in time, in sentences for the operator."""

from collections.abc import Iterable
from datetime import datetime

from verdictd.collateral.items import ItemKey, VerifiedItem
from verdictd.collateral.store import OfferOutcome, OfferStatus, describe_sequence
from verdictd.tees.timed_checklist import format_instant


def explain_missing(
    key: ItemKey, chosen: VerifiedItem | None, outcome: OfferOutcome | None, *, at: datetime, why: Iterable[str]
) -> str:
    """Say why there is no item, or none in time.

    Args:
        key: which item was wanted.
        chosen: the newest known; ``None`` where none is.
        outcome: what became of the peer's own; ``None`` where it brought none.
        at: for when it was wanted (aware).
        why: what is known of the sources.
    """
    reasons = [f"{key.name}: {_describe_chosen(chosen, at)}", *why]
    if outcome is not None and outcome.status is OfferStatus.REFUSED:
        reasons.append(f"the peer's own is refused: {outcome.reason}")
    offered = None if outcome is None else outcome.offered
    if offered is not None and chosen is not None and offered.sequence < chosen.sequence:
        reasons.append(f"the peer's own is older than that ({describe_sequence(offered)})")
    return "; ".join(reasons)


def _describe_chosen(chosen: VerifiedItem | None, at: datetime) -> str:
    """Say what was chosen at an instant (aware), as far as there is anything."""
    if chosen is None:
        return "none"
    if chosen.is_in_time(at):
        return f"the newest known, from {chosen.item.source}, was issued at {format_instant(chosen.issue_date)}"
    return f"the newest known, from {chosen.item.source}, expired at {format_instant(chosen.expires_at)}"


def explain_unusable(key: ItemKey, outcomes: list[OfferOutcome]) -> str:
    """Say why none of what a source gave is the item that was wanted, in time."""
    for outcome in outcomes:
        if outcome.offered is not None and outcome.offered.key == key:
            return outcome.reason or f"what it has expired at {format_instant(outcome.offered.expires_at)}"
    refused = [outcome for outcome in outcomes if outcome.status is OfferStatus.REFUSED]
    if refused:
        return f"what it has from {refused[0].item.source} is refused: {refused[0].reason}"
    if len(outcomes) == 1 and outcomes[0].offered is not None:
        other = outcomes[0].offered
        return f"it gave the {other.key.name} under {other.root.label} instead"
    return "it has none"
