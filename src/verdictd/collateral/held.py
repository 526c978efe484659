"""What is held, as an operator sees it."""

from dataclasses import dataclass
from datetime import datetime

from verdictd.collateral.items import ItemKind, VerifiedItem
from verdictd.tees.dcap.trust_roots import TrustRoot


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldItem:
    """An item that is held, for the operator to see.

    Attributes:
        kind, name: what it is about; `name` is for a person.
        source: where it came from; ``peer`` where only a peer brought it.
        root: the root that vouches for it.
        issue_date, next_update: its own dates.
        expires_at: the earliest of `next_update` and the expiry of its chain.
        sequence: (evaluation data number or CRL number, issue date).
        in_time: whether it is valid at the instant asked for.
    """

    kind: ItemKind
    name: str
    source: str
    root: TrustRoot
    issue_date: datetime
    next_update: datetime
    expires_at: datetime
    sequence: tuple[int, datetime]
    in_time: bool

    @classmethod
    def of(cls, item: VerifiedItem, at: datetime) -> "HeldItem":
        """Describe an item as it is at an instant (aware)."""
        return cls(
            kind=item.item.kind,
            name=str(item.key.name),
            source=item.item.source,
            root=item.root,
            issue_date=item.issue_date,
            next_update=item.next_update,
            expires_at=item.expires_at,
            sequence=item.sequence,
            in_time=item.is_in_time(at),
        )
