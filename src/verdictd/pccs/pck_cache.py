"""Hands out PCK certificates and takes registrations, over a database that several processes share."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from verdictd.collateral.deadline import MonotonicClock
from verdictd.pccs.errors import NO_CACHE_DATA, PLATFORM_UNKNOWN, UnavailableError
from verdictd.pccs.model import Mode, PCKCertificate, PCKSet, Platform, PlatformKey, RawTCB, Registration
from verdictd.pccs.pck_choosing import FamilyCollateral, PCKChooser, explain_misfit
from verdictd.pccs.pck_fetching import PCKFetcher
from verdictd.pccs.pck_refreshing import PCKRefresh
from verdictd.pccs.pck_registering import PCKRegistrar
from verdictd.pccs.ports import Storage
from verdictd.tees.dcap.trust_roots import TrustRoots

_ASKED_LATELY: Final = timedelta(hours=1)
"""For so long upstream is not asked again for certificates none of which fits, however often a platform asks."""


class StoredPCKCache:
    """Implements `verdictd.pccs.ports.PCKCache`. Safe to share between threads.

    Trust: a certificate is stored, and handed out, only if its chain holds up to a trusted root and no CRL that is held
    revokes it. That it belongs to the quoting enclave that asks cannot be verified: no certificate names it.
    """

    def __init__(
        self,
        storage: Storage,
        fetcher: PCKFetcher,
        chooser: PCKChooser,
        registrar: PCKRegistrar,
        refresher: PCKRefresh,
        *,
        mode: Mode,
    ) -> None:
        """Make a cache of its parts; nothing is asked yet.

        Args:
            storage: shared with other processes.
            fetcher: asks upstream.
            chooser: knows which certificate fits.
            registrar: takes registrations.
            refresher: has what is held asked for again.
            mode: when upstream is asked.
        """
        self._storage = storage
        self._fetcher = fetcher
        self._chooser = chooser
        self._registrar = registrar
        self._refresher = refresher
        self._mode = mode

    def certificate(
        self, key: PlatformKey, raw_tcb: RawTCB, enc_ppid: bytes, at: datetime
    ) -> tuple[PCKCertificate, PCKSet]:
        """See `PCKCache.certificate`."""
        chosen = self.held(key, raw_tcb, at)
        if chosen is None:
            chosen = self._look_further(key, raw_tcb, enc_ppid, at)
            self._chooser.require_not_revoked(*chosen, at)
        return chosen

    def _look_further(
        self, key: PlatformKey, raw_tcb: RawTCB, enc_ppid: bytes, at: datetime
    ) -> tuple[PCKCertificate, PCKSet]:
        """Look for what it takes to choose: TCB info first, then other certificates."""
        held = self._held_set(key, at)
        if held is not None:
            chosen = self._chooser.choose(held, raw_tcb, at, self._chooser.tcb_info(held.platform.fmspc, at))
            if chosen is not None:
                return chosen
            if not self._may_bring_more(held, at):
                raise explain_misfit(held, raw_tcb)
        pck_set = self._fetcher.fetch(self._platform_to_ask_for(key, enc_ppid), raw_tcb, at)
        info = self._chooser.tcb_info(pck_set.platform.fmspc, at)
        chosen = self._chooser.answered(key, raw_tcb, at) or self._chooser.choose(pck_set, raw_tcb, at, info)
        if chosen is None:
            raise explain_misfit(pck_set, raw_tcb)
        return chosen

    def held(self, key: PlatformKey, raw_tcb: RawTCB, at: datetime) -> tuple[PCKCertificate, PCKSet] | None:
        """See `PCKCache.held`."""
        chosen = self._chooser.answered(key, raw_tcb, at)
        if chosen is None:
            pck_set = self._held_set(key, at)
            info = None if pck_set is None else self._chooser.held_tcb_info(pck_set.platform.fmspc, at)
            if pck_set is None or info is None:
                return None
            chosen = self._chooser.choose(pck_set, raw_tcb, at, info)
            if chosen is None and self._may_bring_more(pck_set, at):
                return None
            if chosen is None:
                raise explain_misfit(pck_set, raw_tcb)
        self._chooser.require_not_revoked(*chosen, at)
        return chosen

    def register(self, registration: Registration, at: datetime, *, updates: Sequence[str] = ("standard",)) -> None:
        """See `PCKCache.register`."""
        self._registrar.register(registration, at, updates=updates)

    def offer(self, pck_set: PCKSet, at: datetime) -> None:
        """See `PCKCache.offer`. A set is made by `verify_pck_set` alone; the storage verifies it again in any case."""
        del at
        self._storage.platforms.keep(pck_set)

    def refresh(self, at: datetime, *, fmspc: bytes = b"") -> Sequence[tuple[str, str]]:
        """See `PCKCache.refresh`."""
        return self._refresher.refresh(at, fmspc=fmspc)

    def follow(self, at: datetime) -> None:
        """Take in what other processes have stored: it is found in the database when it is asked for."""

    def refresh_due(self, at: datetime) -> None:
        """Have what is due asked for, in the background."""
        self._refresher.refresh_due(at)

    def _held_set(self, key: PlatformKey, at: datetime) -> PCKSet | None:
        """Return what is held of a platform, where that is all there is, or more is not to be had."""
        pck_set = self._storage.platforms.get(key)
        if pck_set is None or self._mode is not Mode.LAZY:
            return pck_set
        return pck_set if pck_set.is_complete and pck_set.has_any_in_time(at) else None

    def _may_bring_more(self, pck_set: PCKSet, at: datetime) -> bool:
        """Whether upstream may have other certificates by now, so that it is worth asking."""
        return self._mode is Mode.LAZY and abs(at - pck_set.fetched_at) >= _ASKED_LATELY

    def _platform_to_ask_for(self, key: PlatformKey, enc_ppid: bytes) -> Platform:
        """Return what upstream can be asked with.

        Raises:
            UnavailableError: nothing is known that upstream knows the platform by, or it is not to be asked.
        """
        known = self._storage.platforms.platform(key)
        if self._mode is not Mode.LAZY:
            status, problem = (PLATFORM_UNKNOWN, "platform-unknown") if known is None else (NO_CACHE_DATA, "offline")
            raise UnavailableError(
                f"the platform {key.qe_id:.32} {'is not known here' if known is None else 'has no certificate here'},"
                f" and in the mode {self._mode} upstream is not asked for it now",
                status=status,
                problem=problem,
                remedy="register it (PCKIDRetrievalTool, or pccs register), or import its certificates",
            )
        if known is not None and (known.manifest or known.enc_ppid):
            return known  # whatever PPID a client names: the platform said its own before
        platform = replace(known or Platform(key=key), enc_ppid=enc_ppid)
        if not platform.enc_ppid:
            raise UnavailableError(
                f"the platform {key.qe_id:.32} is not known here, and its encrypted PPID, by which upstream knows it,"
                " is not given",
                status=PLATFORM_UNKNOWN,
                problem="platform-unknown",
                remedy="give encrypted_ppid, or register the platform",
            )
        return platform


def build_pck_cache(
    storage: Storage,
    collateral: FamilyCollateral,
    fetcher: PCKFetcher,
    *,
    roots: TrustRoots,
    mode: Mode,
    holder: str,
    refresh_period: timedelta = timedelta(hours=24),
    ticks: MonotonicClock = time.monotonic,
) -> StoredPCKCache:
    """Put a cache together; nothing is asked yet.

    Args:
        storage: shared with other processes.
        collateral: TCB info, identities and CRLs.
        fetcher: asks upstream.
        roots: what is trusted.
        mode: when upstream is asked.
        holder: names this process among others.
        refresh_period: after which certificates are asked for again.
        ticks: monotonic seconds.
    """
    chooser = PCKChooser(storage.platforms, collateral, roots)
    refresher = PCKRefresh(
        storage, fetcher, chooser, mode=mode, holder=holder, refresh_period=refresh_period, ticks=ticks
    )
    registrar = PCKRegistrar(storage, collateral, fetcher, chooser, mode)
    return StoredPCKCache(storage, fetcher, chooser, registrar, refresher, mode=mode)
