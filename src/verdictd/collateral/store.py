"""What is known of the vendor's collateral: per name and root the newest item, and never an older one after it."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from threading import Lock

from verdictd.collateral.items import CollateralItem, ItemKey, VerifiedItem, verify_item
from verdictd.core.errors import VerdictdError
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.trust_roots import TrustRoots
from verdictd.tees.timed_checklist import format_instant


class OfferStatus(StrEnum):
    """What became of an item that was offered."""

    KEPT = "kept"
    ALREADY_HELD = "already held"
    OLDER = "older than held"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferOutcome:
    """What became of an item that was offered, and why.

    Attributes:
        status: see `OfferStatus`.
        item: what was offered.
        reason: a sentence for the operator; empty where it was kept or already held.
        offered: the item verified; ``None`` where it was refused.
        held: what is held under its name now; ``None`` where it was refused.
    """

    status: OfferStatus
    item: CollateralItem
    reason: str = ""
    offered: VerifiedItem | None = None
    held: VerifiedItem | None = None


class CollateralStore:
    """Holds the newest known item of each name under each root. Safe to share between threads.

    An item that has expired stays, so that an older set that is still in time cannot take its place; whoever uses an
    item asks it whether it is in time. Bounded by number and bytes; beyond that the least recently used are forgotten.

    Trust: only what `verify_item` verified is kept.
    """

    def __init__(
        self, roots: TrustRoots, memory: FactMemory, *, max_items: int = 4096, max_bytes: int = 128 * 1024 * 1024
    ) -> None:
        self._roots = roots
        self._memory = memory
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._items: OrderedDict[ItemKey, VerifiedItem] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def offer(self, item: CollateralItem, at: datetime, *, only: ItemKey | None = None) -> OfferOutcome:
        """Verify an item and keep it if it is newer than what is held.

        Args:
            item: untrusted.
            at: the instant (aware); an item issued after it is refused, since it would displace those that are valid.
            only: where given, the one name and root under which an item may be kept.
        """
        try:
            offered = self.verify(item)
        except VerdictdError as error:
            return OfferOutcome(status=OfferStatus.REFUSED, item=item, reason=str(error))
        if at < offered.issue_date:
            reason = f"it is valid only from {format_instant(offered.issue_date)}; compare the clocks"
            return OfferOutcome(status=OfferStatus.REFUSED, item=item, reason=reason)
        if only is not None and offered.key != only:
            reason = f"it is the {offered.key.name} under {offered.root.label}, which was not asked for"
            return OfferOutcome(status=OfferStatus.REFUSED, item=item, reason=reason)
        return self._keep_newest(offered)

    def verify(self, item: CollateralItem) -> VerifiedItem:
        """Verify an item under the roots, and keep nothing; see `verify_item` for what it raises."""
        return verify_item(item, self._roots, self._memory)

    def _keep_newest(self, offered: VerifiedItem) -> OfferOutcome:
        with self._lock:
            held = self._items.get(offered.key)
            if held is None or offered.replaces(held):
                self._put(offered, held)
                return OfferOutcome(status=OfferStatus.KEPT, item=offered.item, offered=offered, held=offered)
        if offered.sequence < held.sequence:
            return OfferOutcome(
                status=OfferStatus.OLDER,
                item=offered.item,
                reason=f"it is older ({describe_sequence(offered)}) than the one known from {held.item.source}"
                f" ({describe_sequence(held)})",
                offered=offered,
                held=held,
            )
        return OfferOutcome(status=OfferStatus.ALREADY_HELD, item=offered.item, offered=offered, held=held)

    def _put(self, offered: VerifiedItem, held: VerifiedItem | None) -> None:
        self._bytes += offered.item.size - (0 if held is None else held.item.size)
        self._items[offered.key] = offered
        self._items.move_to_end(offered.key)
        while len(self._items) > self._max_items or self._bytes > self._max_bytes:
            _, forgotten = self._items.popitem(last=False)
            self._bytes -= forgotten.item.size

    def get(self, key: ItemKey) -> VerifiedItem | None:
        """Return the newest known item of a name, in time or not."""
        with self._lock:
            held = self._items.get(key)
            if held is not None:
                self._items.move_to_end(key)
            return held

    def items(self) -> tuple[VerifiedItem, ...]:
        """Return everything held, ordered by name."""
        with self._lock:
            held = tuple(self._items.values())
        return tuple(sorted(held, key=lambda item: (item.key.root, str(item.key.name))))


def describe_sequence(item: VerifiedItem) -> str:
    """Write what orders an item among its like."""
    number, issued = item.sequence
    return f"number {number}, issued {format_instant(issued)}"
