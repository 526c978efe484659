"""Hands out PCK certificates and takes registrations, over a database that several processes share."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, Protocol, get_args

from cryptography import x509

from verdictd.collateral.items import ItemKind, ItemName, VerifiedItem
from verdictd.core.errors import VerdictdError
from verdictd.pccs.errors import CERTIFICATES_UNAVAILABLE, NO_CACHE_DATA, NOT_NOW, PLATFORM_UNKNOWN, UnavailableError
from verdictd.pccs.model import (
    STANDARD,
    Edition,
    Mode,
    PCKCertificate,
    PCKSet,
    Platform,
    PlatformKey,
    RawTCB,
    Registration,
    RegistrationState,
)
from verdictd.pccs.pck_fetching import PCKFetcher
from verdictd.pccs.ports import Storage
from verdictd.pccs.selection import select_certificate
from verdictd.tees.dcap.collateral import RevocationList, SignedDocument
from verdictd.tees.dcap.endorsements import verify_pck_crl, verify_tcb_info
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.pck import PCKCAType
from verdictd.tees.dcap.tcb_info import TCBInfo
from verdictd.tees.dcap.trust_roots import TrustRoots

_LOGGER: Final = logging.getLogger(__name__)
EARLY: Final = Edition(update="early")
_ASKED_LATELY: Final = timedelta(hours=1)
"""For so long upstream is not asked again for certificates none of which fits, however often a platform asks."""


class FamilyCollateral(Protocol):
    """What is needed beside certificates to choose among them; see `StoredCollateralCache`."""

    def held(self, edition: Edition, name: ItemName, at: datetime) -> VerifiedItem | None:
        """Return what is in memory and in time."""

    def find(self, edition: Edition, name: ItemName, at: datetime) -> VerifiedItem:
        """Return what is held, or from upstream where the mode lets it be asked. Raises UnavailableError."""

    def fetch(self, edition: Edition, name: ItemName, at: datetime) -> VerifiedItem:
        """The same for a platform that registers. Raises UnavailableError."""


class StoredPCKCache:
    """Implements `verdictd.pccs.ports.PCKCache`. Safe to share between threads.

    Trust: a certificate is stored, and handed out, only if its chain holds up to a trusted root and no CRL that is held
    revokes it. That it belongs to the quoting enclave that asks cannot be verified: no certificate names it.
    """

    def __init__(
        self,
        storage: Storage,
        collateral: FamilyCollateral,
        fetcher: PCKFetcher,
        *,
        roots: TrustRoots,
        mode: Mode,
    ) -> None:
        """Make a cache; nothing is asked yet.

        Args:
            storage: shared with other processes.
            collateral: TCB info and CRLs.
            fetcher: asks upstream.
            roots: what is trusted.
            mode: when upstream is asked.
        """
        self._storage = storage
        self._collateral = collateral
        self._fetcher = fetcher
        self._roots = roots
        self._mode = mode
        self._memory = FactMemory()

    def certificate(
        self, key: PlatformKey, raw_tcb: RawTCB, enc_ppid: bytes, at: datetime
    ) -> tuple[PCKCertificate, PCKSet]:
        """See `PCKCache.certificate`."""
        chosen = self.held(key, raw_tcb, at)
        if chosen is None:
            chosen = self._look_further(key, raw_tcb, enc_ppid, at)
            self._require_not_revoked(*chosen, at)
        return chosen

    def _look_further(
        self, key: PlatformKey, raw_tcb: RawTCB, enc_ppid: bytes, at: datetime
    ) -> tuple[PCKCertificate, PCKSet]:
        """Look for what it takes to choose: TCB info first, then other certificates."""
        held = self._held_set(key, at)
        if held is not None:
            chosen = self._choose(held, raw_tcb, at, self._tcb_info(held.platform.fmspc, at))
            if chosen is not None:
                return chosen
            if not self._may_bring_more(held, at):
                raise _explain_misfit(held, raw_tcb)
        pck_set = self._fetcher.fetch(self._platform_to_ask_for(key, enc_ppid), raw_tcb, at)
        info = self._tcb_info(pck_set.platform.fmspc, at)
        chosen = self._answered(key, raw_tcb, at) or self._choose(pck_set, raw_tcb, at, info)
        if chosen is None:
            raise _explain_misfit(pck_set, raw_tcb)
        return chosen

    def held(self, key: PlatformKey, raw_tcb: RawTCB, at: datetime) -> tuple[PCKCertificate, PCKSet] | None:
        """See `PCKCache.held`."""
        chosen = self._answered(key, raw_tcb, at)
        if chosen is None:
            pck_set = self._held_set(key, at)
            info = None if pck_set is None else self._held_tcb_info(pck_set.platform.fmspc, at)
            if pck_set is None or info is None:
                return None
            chosen = self._choose(pck_set, raw_tcb, at, info)
            if chosen is None and self._may_bring_more(pck_set, at):
                return None
            if chosen is None:
                raise _explain_misfit(pck_set, raw_tcb)
        self._require_not_revoked(*chosen, at)
        return chosen

    def register(self, registration: Registration, at: datetime, *, updates: Sequence[str] = ("standard",)) -> None:
        """See `PCKCache.register`."""
        platform, raw_tcb = registration.platform, registration.raw_tcb
        if self._mode is Mode.OFFLINE:
            if self._storage.platforms.get(platform.key) is None:
                self._storage.registrations.add(registration)
            return
        pck_set = self._storage.platforms.get(platform.key)
        is_held = pck_set is not None and pck_set.is_complete and pck_set.platform.manifest == platform.manifest
        if pck_set is None or not is_held or not _has_any_in_time(pck_set, at):
            pck_set = self._fetcher.fetch(platform, raw_tcb, at, anew=pck_set is not None, may_displace=True)
        self._note_unavailable(pck_set)
        self._fetch_family(pck_set.platform, at, updates)
        if raw_tcb is not None:
            chosen = self._choose(pck_set, raw_tcb, at, self._family_tcb_info(pck_set, at))
            if chosen is None and pck_set.unavailable:
                raise _explain_misfit(pck_set, raw_tcb)

    def offer(self, pck_set: PCKSet, at: datetime) -> None:
        """See `PCKCache.offer`. A set is made by `verify_pck_set` alone; the storage verifies it again in any case."""
        del at
        self._storage.platforms.keep(pck_set)

    def refresh(self, at: datetime, *, fmspc: bytes = b"") -> Sequence[tuple[str, str]]:
        """See `PCKCache.refresh`. Failures are named platform by platform; what went well, by the family."""
        if self._mode is Mode.OFFLINE:
            raise UnavailableError(
                "nothing is refreshed here: upstream is never asked",
                status=NOT_NOW,
                problem="offline",
                remedy="import newer certificates: pccs import FILE",
            )
        outcomes: dict[str, str] = {}
        for platform, raw_tcbs in self._storage.platforms.platforms([fmspc] if fmspc else ()):
            family = f"PCK certificates of the family {platform.fmspc.hex().upper()}"
            try:
                pck_set = self._fetcher.fetch(platform, raw_tcbs[0] if raw_tcbs else None, at, anew=True)
                for raw_tcb in raw_tcbs[1:]:
                    if not pck_set.is_complete:  # a cache gives one at a time
                        self._fetcher.fetch(platform, raw_tcb, at, anew=True)
                for raw_tcb in raw_tcbs if pck_set.is_complete else ():
                    self._choose(pck_set, raw_tcb, at, self._family_tcb_info(pck_set, at))
                outcomes.setdefault(family, "")
            except VerdictdError as error:
                outcomes[f"{family}: platform {platform.key.qe_id:.32}"] = str(error)
        return tuple(outcomes.items())

    def _answered(self, key: PlatformKey, raw_tcb: RawTCB, at: datetime) -> tuple[PCKCertificate, PCKSet] | None:
        found = self._storage.platforms.answer(key, raw_tcb)
        return found if found is not None and at < found[0].expires_at else None

    def _held_set(self, key: PlatformKey, at: datetime) -> PCKSet | None:
        """Return what is held of a platform, where that is all there is, or more is not to be had."""
        pck_set = self._storage.platforms.get(key)
        if pck_set is None or self._mode is not Mode.LAZY:
            return pck_set
        return pck_set if pck_set.is_complete and _has_any_in_time(pck_set, at) else None

    def _may_bring_more(self, pck_set: PCKSet, at: datetime) -> bool:
        """Whether upstream may have other certificates by now, so that it is worth asking."""
        return self._mode is Mode.LAZY and abs(at - pck_set.fetched_at) >= _ASKED_LATELY

    def _choose(
        self, pck_set: PCKSet, raw_tcb: RawTCB, at: datetime, info: TCBInfo
    ) -> tuple[PCKCertificate, PCKSet] | None:
        """Choose among the certificates of a platform, and remember the choice; ``None`` where none fits."""
        in_time = [certificate for certificate in pck_set.certificates if at < certificate.expires_at]
        chosen = select_certificate(in_time, raw_tcb, info)
        if chosen is None:
            return None
        if pck_set.is_complete and not pck_set.unavailable:  # else a better one may come
            self._storage.platforms.keep_answer(pck_set.platform.key, raw_tcb, chosen.tcb)
        return chosen, pck_set

    def _held_tcb_info(self, fmspc: bytes, at: datetime) -> TCBInfo | None:
        """Return TCB info of a family that is in memory: the early one where it is held, as Intel's service does."""
        name = ItemName(ItemKind.TCB_INFO, tee="SGX", fmspc=fmspc)
        item = self._collateral.held(EARLY, name, at) or self._collateral.held(STANDARD, name, at)
        return None if item is None else self._parse(item)

    def _tcb_info(self, fmspc: bytes, at: datetime) -> TCBInfo:
        name = ItemName(ItemKind.TCB_INFO, tee="SGX", fmspc=fmspc)
        return self._held_tcb_info(fmspc, at) or self._parse(self._collateral.find(STANDARD, name, at))

    def _family_tcb_info(self, pck_set: PCKSet, at: datetime) -> TCBInfo:
        """Return TCB info for a platform that registers or is refreshed: the mode req asks upstream then."""
        fmspc = pck_set.platform.fmspc
        name = ItemName(ItemKind.TCB_INFO, tee="SGX", fmspc=fmspc)
        return self._held_tcb_info(fmspc, at) or self._parse(self._collateral.fetch(STANDARD, name, at))

    def _parse(self, item: VerifiedItem) -> TCBInfo:
        raw = item.item.raw
        assert isinstance(raw, SignedDocument)
        return verify_tcb_info(raw, self._roots, self._memory).info

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
        wanted = {"standard": (STANDARD,), "early": (EARLY,), "all": (STANDARD, EARLY)}
        for edition in dict.fromkeys(each for update in updates for each in wanted[update]):
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

    def _require_not_revoked(self, certificate: PCKCertificate, pck_set: PCKSet, at: datetime) -> None:
        """Refuse what a CRL that is held revokes. Clients judge by their own CRL: this only spares them."""
        ca = pck_set.platform.ca
        held = None if ca is None else self._collateral.held(STANDARD, ItemName(ItemKind.PCK_CRL, pck_ca=ca), at)
        if held is None:
            return
        raw = held.item.raw
        assert isinstance(raw, RevocationList)
        crl = verify_pck_crl(raw, self._roots, self._memory)
        serial_number = x509.load_pem_x509_certificate(certificate.pem).serial_number
        if crl.revocation_date(serial_number) is not None:
            raise UnavailableError(
                f"the PCK certificate of the platform for the TCB {certificate.tcb} is revoked",
                status=NO_CACHE_DATA,
                problem="revoked",
                remedy="the vendor no longer vouches for this platform: replace it",
            )


def _has_any_in_time(pck_set: PCKSet, at: datetime) -> bool:
    return any(at < each.expires_at for each in pck_set.certificates)


def _explain_misfit(pck_set: PCKSet, raw_tcb: RawTCB) -> UnavailableError:
    """Say why no certificate of a platform fits."""
    if pck_set.is_complete and pck_set.unavailable:
        return UnavailableError(
            "the vendor has no PCK certificate yet for a TCB level that the platform reaches",
            status=CERTIFICATES_UNAVAILABLE,
            problem="certificates-unavailable",
            remedy="ask again later: the vendor issues them after a platform has registered",
        )
    return UnavailableError(
        f"no PCK certificate of the platform is for a TCB as low as {raw_tcb}",
        status=NO_CACHE_DATA,
        problem="no-cache-data",
        remedy="update the platform's microcode and firmware: the vendor has ended its oldest TCB levels",
    )
