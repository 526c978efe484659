"""Has all of a platform cached that its evidence is appraised with, when it registers."""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Final, get_args

from verdictd.collateral.items import ItemKind, ItemName
from verdictd.pccs.errors import UnavailableError
from verdictd.pccs.model import STANDARD, Edition, Mode, PCKSet, Platform, Registration, RegistrationState
from verdictd.pccs.pck_choosing import EARLY, FamilyCollateral, PCKChooser, explain_misfit
from verdictd.pccs.pck_fetching import PCKFetcher
from verdictd.pccs.ports import Storage
from verdictd.tees.dcap.pck import PCKCAType

_LOGGER: Final = logging.getLogger(__name__)
_EDITIONS: Final = {"standard": (STANDARD,), "early": (EARLY,), "all": (STANDARD, EARLY)}


class PCKRegistrar:
    """Takes registrations. Safe to share between threads."""

    def __init__(
        self, storage: Storage, collateral: FamilyCollateral, fetcher: PCKFetcher, chooser: PCKChooser, mode: Mode
    ) -> None:
        """Make one.

        Args:
            storage: shared with other processes.
            collateral: TCB info, identities and CRLs.
            fetcher: asks upstream.
            chooser: knows which certificate fits.
            mode: when upstream is asked.
        """
        self._storage = storage
        self._collateral = collateral
        self._fetcher = fetcher
        self._chooser = chooser
        self._mode = mode

    def register(self, registration: Registration, at: datetime, *, updates: Sequence[str] = ("standard",)) -> None:
        """See `verdictd.pccs.ports.PCKCache.register`."""
        platform, raw_tcb = registration.platform, registration.raw_tcb
        pck_set = self._storage.platforms.get(platform.key)
        if self._mode is Mode.OFFLINE:
            if pck_set is None:
                self._storage.registrations.add(registration)
            return
        is_held = pck_set is not None and pck_set.is_complete and pck_set.platform.manifest == platform.manifest
        if pck_set is None or not is_held or not pck_set.has_any_in_time(at):
            anew_since = None if pck_set is None else at
            pck_set = self._fetcher.fetch(platform, raw_tcb, at, anew_since=anew_since, may_displace=True)
        self._note_unavailable(pck_set)
        self._fetch_family(pck_set.platform, at, updates)
        if raw_tcb is not None:
            info = self._chooser.family_tcb_info(pck_set.platform.fmspc, at)
            if self._chooser.choose(pck_set, raw_tcb, at, info) is None and pck_set.unavailable:
                raise explain_misfit(pck_set, raw_tcb)

    def _note_unavailable(self, pck_set: PCKSet) -> None:
        """Have the TCBs without a certificate listed for whoever fetches them, as Intel's service does."""
        if self._mode is Mode.REQ:
            for tcb in pck_set.unavailable:
                self._storage.registrations.add(
                    Registration(platform=pck_set.platform, raw_tcb=tcb, state=RegistrationState.NOT_AVAILABLE)
                )

    def _fetch_family(self, platform: Platform, at: datetime, updates: Sequence[str]) -> None:
        """Have everything cached that is needed to appraise a family's evidence."""
        assert platform.ca is not None
        names = (
            ItemName(ItemKind.TCB_INFO, tee="SGX", fmspc=platform.fmspc),
            ItemName(ItemKind.QE_IDENTITY, tee="SGX"),
            ItemName(ItemKind.QVE_IDENTITY),
        )
        for edition in dict.fromkeys(each for update in updates for each in _EDITIONS[update]):
            for name in names:
                self._collateral.fetch(edition, name, at)
            for name in (
                ItemName(ItemKind.TCB_INFO, tee="TDX", fmspc=platform.fmspc),
                ItemName(ItemKind.QE_IDENTITY, tee="TDX"),
            ):
                self._fetch_if_there_is(edition, name, at)
        self._collateral.fetch(STANDARD, ItemName(ItemKind.PCK_CRL, pck_ca=platform.ca), at)
        self._collateral.fetch(STANDARD, ItemName(ItemKind.ROOT_CA_CRL), at)
        for ca in get_args(PCKCAType):
            self._fetch_if_there_is(STANDARD, ItemName(ItemKind.PCK_CRL, pck_ca=ca), at)

    def _fetch_if_there_is(self, edition: Edition, name: ItemName, at: datetime) -> None:
        """Fetch what not every platform needs: TDX exists on few, and the other CA's CRL is for other platforms."""
        try:
            self._collateral.fetch(edition, name, at)
        except UnavailableError as error:
            _LOGGER.info("%s is not fetched: %s", name, error.message)
