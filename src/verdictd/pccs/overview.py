"""What is held, how fresh it is and what failed, gathered for whoever looks after it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Final

from verdictd.pccs.importing import describe_amd
from verdictd.pccs.model import MOST_FAILURES, Attempt, RegistrationState
from verdictd.pccs.ports import Storage

SOON: Final = timedelta(days=7)
"""How long before its expiry an item is pointed out: Intel's last 30 days, and are renewed long before."""


class Urgency(IntEnum):
    """What needs attention first."""

    EXPIRED = 0
    EXPIRES_SOON = 1
    FINE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldItem:
    """Something that is held.

    Attributes:
        name: for a person.
        edition: of Intel's collateral; empty for AMD's.
        expires_at: the earliest expiry in it and its chain (aware).
        fetched_at: since when its content is held.
        checked_at: when its source last confirmed it.
        sequence: evaluation data number or CRL number.
        source: where it came from; empty where that is not kept.
    """

    name: str
    edition: str
    expires_at: datetime
    fetched_at: datetime
    checked_at: datetime
    sequence: int
    source: str

    def urgency(self, at: datetime) -> Urgency:
        """How urgent it is at an instant (aware)."""
        if self.expires_at <= at:
            return Urgency.EXPIRED
        return Urgency.EXPIRES_SOON if self.expires_at - at <= SOON else Urgency.FINE


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What there is.

    Attributes:
        items: the most urgent first, then by expiry.
        failures: what was asked for in vain the last time, the longest-standing failure first; of very many
            the first thousand.
        families: FMSPCs, and how many platforms of each.
        platforms: how many there are.
        waiting: registrations that nobody has taken yet.
        not_available: registrations for which the vendor had no certificates.
    """

    items: tuple[HeldItem, ...]
    failures: tuple[Attempt, ...]
    families: tuple[tuple[bytes, int], ...]
    platforms: int
    waiting: int
    not_available: int

    @property
    def down_since(self) -> datetime | None:
        """Since when something has been asked for in vain, each time; ``None`` where nothing is."""
        return min((attempt.down_since for attempt in self.failures if attempt.down_since), default=None)

    def needs_attention(self, at: datetime) -> bool:
        """Whether something is expired or will be soon, or failed last."""
        return bool(self.failures) or any(item.urgency(at) is not Urgency.FINE for item in self.items)


def take_overview(storage: Storage, at: datetime) -> Overview:
    """Gather what there is at an instant (aware).

    Raises:
        StorageError: the database fails.
    """
    return Overview(
        items=tuple(sorted(_items(storage), key=lambda item: (item.urgency(at), item.expires_at, item.name))),
        failures=tuple(storage.attempts.failures(MOST_FAILURES)),
        families=tuple(sorted(storage.platforms.families())),
        platforms=storage.platforms.count(),
        waiting=storage.registrations.count(RegistrationState.NEW),
        not_available=storage.registrations.count(RegistrationState.NOT_AVAILABLE),
    )


def _items(storage: Storage) -> Iterator[HeldItem]:
    for stored in storage.items.changed_since(0):
        item = stored.item
        yield HeldItem(
            name=str(item.key.name),
            edition=str(stored.edition),
            expires_at=item.expires_at,
            fetched_at=stored.fetched_at,
            checked_at=stored.checked_at,
            sequence=item.sequence[0],
            source=item.item.source,
        )
    for amd in storage.amd.items():
        yield HeldItem(
            name=describe_amd(amd.name),
            edition="",
            expires_at=amd.expires_at,
            fetched_at=amd.fetched_at,
            checked_at=amd.fetched_at,
            sequence=amd.sequence,
            source="",
        )
