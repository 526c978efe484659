"""What is stored, as operators watch it: how much of each kind, how old, and when it expires."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from threading import Lock
from typing import Final, NamedTuple

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from verdictd.collateral.items import ItemKey, ItemKind, ItemName
from verdictd.pccs.model import MOST_FAILURES, STANDARD, Edition, RegistrationState, StoredItem
from verdictd.pccs.ports import Storage
from verdictd.pccs.shared_source import name_attempt

PREFIX: Final = "pccs_"
_FROM: Final = ", from "
_WANTED_BY_ALL: Final = frozenset(
    name_attempt(STANDARD, name, "")
    for name in (ItemName(ItemKind.QE_IDENTITY, tee="SGX"), ItemName(ItemKind.ROOT_CA_CRL))
)


class HeldRow(NamedTuple):
    """What is shown of a stored item. The item itself is large, and not kept here.

    Attributes:
        kind: of the item.
        name: for a person, with its edition.
        attempted_as: how the names of attempts to have it renewed begin.
        issue_date, expires_at, checked_at: as the stored item has them (aware).
    """

    kind: str
    name: str
    attempted_as: str
    issue_date: datetime
    expires_at: datetime
    checked_at: datetime


class HeldItems(Collector):
    """Follows the database: asks at each look what has changed since the last one. May be used from any thread."""

    def __init__(self, storage: Storage, clock: Callable[[], datetime]) -> None:
        self._storage = storage
        self._clock = clock
        self._changing = Lock()
        self._rows: dict[tuple[Edition, ItemKey], HeldRow] = {}
        self._revision = 0

    def look(self) -> tuple[HeldRow, ...]:
        """Return what is stored of collateral.

        Raises:
            StorageError: the database fails.
        """
        with self._changing:
            for stored in self._storage.items.changed_since(self._revision):
                self._rows[stored.edition, stored.item.key] = _describe(stored)
                self._revision = max(self._revision, stored.revision)
            return tuple(self._rows.values())

    def missing(self) -> list[str]:
        """Say in sentences what is held and has expired or cannot be renewed, and what all need and is not to be had.

        What a client alone has asked for is not among it: it may have made up the family or the platform, and whoever
        reads this need not have a token.

        Raises:
            StorageError: the database fails.
        """
        now = self._clock()
        rows = self.look()
        expired = [
            f"{row.name} has expired at {row.expires_at.isoformat()}"
            if row.issue_date <= now
            else f"{row.name} is not valid before {row.issue_date.isoformat()}"
            for row in rows
            if not row.issue_date <= now < row.expires_at
        ]
        wanted = _wanted(rows)
        failing = [
            f"{attempt.name} cannot be had from upstream since {attempt.down_since.isoformat()}: {attempt.failure}"
            for attempt in self._storage.attempts.failures(MOST_FAILURES)
            if attempt.down_since is not None and _is_one_of(attempt.name, wanted)
        ]
        return expired + failing

    def describe(self) -> list[Metric]:
        """Nothing: else registering would ask the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Give every metric."""
        now = self._clock()
        yield from self._collect_items(now)
        yield from self._collect_upstream(now)
        storage = self._storage
        yield _gauge("platforms", "Platforms whose certificates are stored.", storage.platforms.count())
        families = GaugeMetricFamily(f"{PREFIX}family_platforms", "Platforms of each family.", labels=["fmspc"])
        for fmspc, count in storage.platforms.families():
            families.add_metric([fmspc.hex().upper()], count)
        yield families
        waiting = GaugeMetricFamily(
            f"{PREFIX}registrations", "Platforms that wait for somebody to fetch their collateral.", labels=["state"]
        )
        for state in RegistrationState:
            waiting.add_metric([state.value], storage.registrations.count(state))
        yield waiting

    def _collect_items(self, now: datetime) -> Iterator[Metric]:
        rows: dict[str, list[HeldRow]] = {}
        for row in self.look():
            rows.setdefault(row.kind, []).append(row)
        kinds = {
            kind: (len(each), min(row.checked_at for row in each), min(row.expires_at for row in each))
            for kind, each in rows.items()
        }
        for amd in self._storage.amd.summaries():
            kinds[f"{amd.key_type}_{amd.what}"] = (amd.number, amd.oldest_fetched_at, amd.next_expiry_at)
        held = GaugeMetricFamily(f"{PREFIX}items", "Items that are stored, by kind.", labels=["kind"])
        oldest = GaugeMetricFamily(
            f"{PREFIX}item_age_seconds", "Since its source confirmed the one that was confirmed first.", labels=["kind"]
        )
        next_expiry = GaugeMetricFamily(
            f"{PREFIX}item_expires_seconds", "Until the first one expires; negative once it has.", labels=["kind"]
        )
        for kind, (count, confirmed_at, expires_at) in sorted(kinds.items()):
            held.add_metric([kind], count)
            oldest.add_metric([kind], (now - confirmed_at).total_seconds())
            next_expiry.add_metric([kind], (expires_at - now).total_seconds())
        yield from (held, oldest, next_expiry)

    def _collect_upstream(self, now: datetime) -> Iterator[Metric]:
        attempts = self._storage.attempts
        yield _gauge("upstream_failing", "What was asked for in vain the last time.", attempts.count_failures())
        wanted = _wanted(self.look())
        since = [
            now - attempt.down_since
            for attempt in attempts.failures(MOST_FAILURES)
            if attempt.down_since is not None and _is_one_of(attempt.name, wanted)
        ]
        longest = max(since).total_seconds() if since else 0.0
        yield _gauge("upstream_failing_seconds", "Since the item that fails longest could not be had.", longest)


def _wanted(rows: Iterable[HeldRow]) -> frozenset[str]:
    return _WANTED_BY_ALL | {row.attempted_as for row in rows}


def _is_one_of(attempt: str, wanted: frozenset[str]) -> bool:
    """Tell whether an attempt was for one of these, whomever it asked."""
    name, mark, _ = attempt.partition(_FROM)
    return f"{name}{mark}" in wanted


def _describe(stored: StoredItem) -> HeldRow:
    item = stored.item
    name = item.key.name
    return HeldRow(
        kind=name.kind.value,
        name=f"{name} ({stored.edition})",
        attempted_as=name_attempt(stored.edition, name, ""),
        issue_date=item.issue_date,
        expires_at=item.expires_at,
        checked_at=stored.checked_at,
    )


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}{name}", help_text, value=value)
