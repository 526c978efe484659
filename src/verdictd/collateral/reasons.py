"""Why there is no collateral, or none in time, in sentences for the operator."""

from datetime import datetime

from verdictd.collateral.items import ItemKey, VerifiedItem
from verdictd.collateral.store import OfferOutcome, OfferStatus
from verdictd.tees.dcap.context import format_instant


def describe_chosen(chosen: VerifiedItem | None, at: datetime) -> str:
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
