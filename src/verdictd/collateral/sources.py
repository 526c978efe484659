"""What a source of collateral is, to the service that asks it; and the source that files make."""

from dataclasses import dataclass
from typing import Protocol

from verdictd.collateral.deadline import Deadline
from verdictd.collateral.items import CollateralItem, ItemName


class CollateralSource(Protocol):
    """Somewhere collateral comes from. Used from several threads at once. What it gives is untrusted."""

    @property
    def name(self) -> str:
        """What to call it, for the operator; no credentials."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the operator should be told about it at start."""

    @property
    def at_hand(self) -> tuple[CollateralItem, ...]:
        """The items it has without asking anybody."""

    def fetch(self, name: ItemName, deadline: Deadline) -> tuple[CollateralItem, ...]:
        """Return items that may be the one named; empty where it has none.

        Raises:
            CollateralUnavailableError: it cannot be had now.
            MalformedError, UnsupportedError, LimitExceededError: what came is not what was asked for.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedSource:
    """Items that were loaded before, from files for instance."""

    name: str
    at_hand: tuple[CollateralItem, ...]
    warnings: tuple[str, ...] = ()

    def fetch(self, name: ItemName, deadline: Deadline) -> tuple[CollateralItem, ...]:  # noqa: ARG002 - nothing to wait for
        """Return the items of that kind: an item that was not yet valid when first offered may be so now."""
        return tuple(item for item in self.at_hand if item.kind is name.kind)
