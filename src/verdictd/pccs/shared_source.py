"""An upstream that several processes share: whichever comes first asks, the others read the answer in the database."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

from verdictd.collateral.deadline import Deadline
from verdictd.collateral.items import CollateralItem, ItemKey, ItemName, VerifiedItem, verify_item
from verdictd.collateral.sources import CollateralSource
from verdictd.core.errors import MalformedError, VerdictdError
from verdictd.pccs.asking import LONG_AGO, Asking, is_not_there
from verdictd.pccs.errors import StorageError
from verdictd.pccs.leasing import leased, name_holder
from verdictd.pccs.model import Edition, StoredItem
from verdictd.pccs.ports import Storage
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.trust_roots import TrustRoots
from verdictd.tees.timed_checklist import format_instant

_MAX_FAILURES: Final = 1024
_RECENT_SHARE: Final = 4
"""What share of the time that an item had left when it was checked it counts as recent: it is due after two fifths."""


class SharedSource:
    """A `CollateralSource`: an upstream for one edition, asked by one process at a time for each item.

    What upstream gives is verified and stored before it is handed on. Its failures, and until when it wishes to be left
    alone, are known to all processes. Safe to share between threads.
    """

    def __init__(
        self,
        upstream: CollateralSource,
        edition: Edition,
        storage: Storage,
        *,
        roots: TrustRoots,
        memory: FactMemory,
        holder: str,
        clock: Callable[[], datetime],
        recent: timedelta,
        asking: Asking,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Make a source; nothing is asked yet.

        Args:
            upstream: whom to ask.
            edition: what it hands out.
            storage: shared with the other processes.
            roots: under which what it gives has to verify.
            memory: facts about signatures.
            holder: names this process among others.
            clock: tells the time (aware).
            recent: what another process had checked within this time is taken from the database.
            asking: minds when upstream may be asked, for all processes.
            sleep: waits for so many seconds.
        """
        self._upstream = upstream
        self._edition = edition
        self._storage = storage
        self._roots = roots
        self._memory = memory
        self._holder = holder
        self._clock = clock
        self._recent = recent
        self._asking = asking
        self._sleep = sleep
        self._lock = Lock()
        self._wanted_since = LONG_AGO
        self._failures: OrderedDict[ItemName, VerdictdError] = OrderedDict()

    @property
    def name(self) -> str:
        """What to call it, for the operator."""
        return self._upstream.name

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the operator should be told about it at start."""
        return self._upstream.warnings

    @property
    def at_hand(self) -> tuple[CollateralItem, ...]:
        """Nothing: it has to be asked."""
        return ()

    def want_anew(self, at: datetime) -> None:
        """Take nothing for recent that was checked, or failed, before an instant: the operator wants it anew."""
        with self._lock:
            self._wanted_since = max(self._wanted_since, at)

    def last_failure(self, name: ItemName) -> VerdictdError | None:
        """Return why an item could not be had the last time; ``None`` where it could."""
        with self._lock:
            return self._failures.get(name)

    def fetch(self, name: ItemName, deadline: Deadline) -> tuple[CollateralItem, ...]:
        """Return the item, as another process has just had it, or from upstream.

        Raises:
            CollateralUnavailableError: it cannot be had now.
            MalformedError, AuthenticityError, UnsupportedError, LimitExceededError: what came does not verify, or is
                something else.
        """
        try:
            found = self._fetch(name, deadline)
        except VerdictdError as error:
            with self._lock:
                self._failures[name] = error
                while len(self._failures) > _MAX_FAILURES:
                    self._failures.popitem(last=False)
            raise
        with self._lock:
            self._failures.pop(name, None)
        return found

    def _fetch(self, name: ItemName, deadline: Deadline) -> tuple[CollateralItem, ...]:
        label = name_attempt(self._edition, name, self.name)
        holder = name_holder(self._holder)
        began = self._clock()

        def is_done() -> bool:
            if self._find_recent(name, began):
                return True
            self._asking.require_rest_is_over(self.name, wanted_since=self._wanted_since)
            return False

        with leased(
            *(self._storage.leases, label, holder, deadline), clock=self._clock, sleep=self._sleep, is_done=is_done
        ):  # the holder before may have had it meanwhile
            return self._find_recent(name, began) or self._ask(name, label, deadline)

    def _ask(self, name: ItemName, label: str, deadline: Deadline) -> tuple[CollateralItem, ...]:
        if not self._stored(name):
            self._asking.spend()
        began = time.monotonic()
        try:
            items = self._upstream.fetch(name, deadline)
            newest = tuple(self._keep_newest(verified) for verified in self._verify(items, name))
        except StorageError:
            raise  # that is no failure of upstream
        except VerdictdError as error:
            self._asking.refused(self.name, name.kind, error, time.monotonic() - began)
            if not is_not_there(error):
                self._asking.failed(label, str(error))
            raise
        self._asking.succeeded(label)
        self._asking.answered(self.name, name.kind, time.monotonic() - began)
        return newest

    def _keep_newest(self, verified: VerifiedItem) -> CollateralItem:
        """Store an item, and return the newest: another process may have had a newer one than upstream gives now."""
        self._storage.items.keep(self._edition, verified, self._clock())
        stored = self._storage.items.get(self._edition, verified.key)
        is_newer = stored is not None and stored.item.replaces(verified)
        return stored.item.item if stored is not None and is_newer else verified.item

    def _verify(self, items: Iterable[CollateralItem], name: ItemName) -> list[VerifiedItem]:
        verified = [verify_item(item, self._roots, self._memory) for item in items]
        for each in verified:
            if each.key.name != name:
                raise MalformedError(f"it gave the {each.key.name} instead of the {name}")
            require_begun(each, self._clock())
        return verified

    def _stored(self, name: ItemName) -> list[StoredItem]:
        keys = [ItemKey(root.fingerprint, name) for root in self._roots.roots]
        found = (self._storage.items.get(self._edition, key) for key in keys)
        return [stored for stored in found if stored is not None]

    def _find_recent(self, name: ItemName, began: datetime) -> tuple[CollateralItem, ...]:
        return tuple(stored.item.item for stored in self._stored(name) if self._is_recent(stored, began))

    def _is_recent(self, stored: StoredItem, began: datetime) -> bool:
        """Whether another process has had it checked so lately that upstream need not be asked."""
        left = stored.item.expires_at - stored.checked_at
        recent = min(self._recent, left / _RECENT_SHARE)
        is_recent = abs(began - stored.checked_at) <= recent  # also where a clock was set back
        return is_recent and stored.checked_at > self._wanted_since and stored.item.is_in_time(began)


def require_begun(item: VerifiedItem, at: datetime) -> None:
    """Require that an item is not of the future: it would displace, for all processes, what is valid now.

    Raises:
        MalformedError: it was issued later than now.
    """
    if at < item.issue_date:
        raise MalformedError(
            f"the {item.key.name} is valid only from {format_instant(item.issue_date)}", remedy="compare the clocks"
        )


def name_attempt(edition: Edition, name: ItemName, upstream: str) -> str:
    """Name what is asked of an upstream, for all processes to know it by."""
    which = f"{name}, {edition}" if name.tee is not None or name.kind == "qve_identity" else str(name)
    return f"{which}, from {upstream}"
