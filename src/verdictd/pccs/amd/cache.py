"""Hands out AMD's certificates and CRLs, over a database that several processes share."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from random import SystemRandom
from typing import Final, get_args

from verdictd.collateral.amd_names import AMDCertificateName
from verdictd.core.errors import VerdictdError
from verdictd.pccs.amd.fetching import AMDFetcher
from verdictd.pccs.amd.held import HeldAMD
from verdictd.pccs.amd.refusals import describe, offline
from verdictd.pccs.amd.verification import AMDVerifier
from verdictd.pccs.errors import UnavailableError
from verdictd.pccs.model import AMDItem, AMDKeyType, AMDProduct, Mode
from verdictd.pccs.ports import AMDStorage
from verdictd.pccs.refreshing import shorten
from verdictd.pccs.unavailable import require_refreshing

_CRLS: Final = tuple(
    AMDCertificateName(key_type, product, "crl")
    for product in get_args(AMDProduct)
    for key_type in get_args(AMDKeyType)
)
_PAUSE_AFTER_FAILURE: Final = timedelta(minutes=10)
_RANDOM: Final = SystemRandom()


class StoredAMDCache:
    """Implements `verdictd.pccs.ports.AMDCache`. Safe to share between threads.

    Trust: an item is stored, and handed out, only if it is what its name says, holds up to a trusted root of its
    product, is in time, and no CRL that is held revokes what issued it. AMD's chips do not register: in the mode `REQ`
    upstream is asked as in `LAZY`.
    """

    def __init__(
        self,
        storage: AMDStorage,
        held: HeldAMD,
        fetcher: AMDFetcher,
        verifier: AMDVerifier,
        *,
        mode: Mode,
        refresh_period: timedelta = timedelta(hours=24),
        random: Callable[[], float] = _RANDOM.random,
    ) -> None:
        """Make a cache; nothing is asked yet.

        Args:
            storage: shared with other processes.
            held: over the same storage.
            fetcher: asks upstream.
            verifier: knows the roots.
            mode: when upstream is asked.
            refresh_period: after which a CRL is asked for again, a random part less.
            random: gives numbers from 0 to 1.
        """
        self._storage = storage
        self._held = held
        self._fetcher = fetcher
        self._verifier = verifier
        self._mode = mode
        self._refresh_period = shorten(refresh_period, random)

    def held(self, name: AMDCertificateName, at: datetime) -> AMDItem | None:
        """See `AMDCache.held`."""
        return self._held.in_memory(name, at)

    def find(self, name: AMDCertificateName, at: datetime) -> AMDItem:
        """See `AMDCache.find`."""
        try:
            item = self._held.in_memory(name, at) or self._held.stored(name, at)
        except UnavailableError:  # revoked: there may be a new one
            if self._mode is Mode.OFFLINE:
                raise
            item = None
        if item is not None:
            return item
        if self._mode is Mode.OFFLINE:
            raise offline(name)
        return self._fetcher.fetch(name)

    def offer(self, name: AMDCertificateName, content: bytes, at: datetime) -> AMDItem:
        """See `AMDCache.offer`. One that ends sooner than what is held does not displace it."""
        found = self._verifier.verify(name, content)
        self._held.require_not_revoked(name, found)
        item = AMDItem(name=name, content=content, expires_at=found.expires_at, sequence=found.sequence, fetched_at=at)
        there = self._storage.get(name)
        if there is None or (there.sequence, there.expires_at) <= (item.sequence, item.expires_at):
            self._held.keep(item)
        return item

    def refresh(self, at: datetime) -> Sequence[tuple[str, str]]:
        """See `AMDCache.refresh`."""
        require_refreshing(self._mode)
        del at
        return [self._refresh(name) for name in _CRLS if self._storage.get(name) is not None]

    def follow(self, at: datetime) -> None:
        """Take in what other processes have stored: it is found in the database when it is asked for."""

    def refresh_due(self, at: datetime) -> None:
        """Ask for the CRLs that were last had a period ago, and not in vain just now."""
        if self._mode is Mode.OFFLINE:
            return
        for name in _CRLS:
            item = self._storage.get(name)
            if item is None or at < item.fetched_at + self._refresh_period:
                continue
            asked_at = self._fetcher.last_attempt_at(name)
            if asked_at is None or at >= asked_at + min(_PAUSE_AFTER_FAILURE, self._refresh_period):
                self._refresh(name)

    def _refresh(self, name: AMDCertificateName) -> tuple[str, str]:
        try:
            self._fetcher.fetch(name, anew=True)
        except VerdictdError as error:
            return describe(name), str(error)
        return describe(name), ""
