"""What was found for a platform."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from verdictd.collateral.items import ItemKind
from verdictd.tees.dcap.collateral import Collateral


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCollateral:
    """Collateral for a platform.

    Attributes:
        collateral: raw, for the appraisal to verify and judge; each item names its source.
        reasons: for each kind of item that is missing or not in time, a sentence that says why.
    """

    collateral: Collateral
    reasons: Mapping[ItemKind, str] = field(default_factory=dict)

    @property
    def notes(self) -> tuple[str, ...]:
        """The reasons alone."""
        return tuple(self.reasons.values())
