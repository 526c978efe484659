"""Hands out PCK certificates and takes registrations, over a database that several processes share."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, Protocol

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
)
from verdictd.pccs.pck_fetching import PCKFetcher
from verdictd.pccs.ports import Storage
from verdictd.pccs.selection import select_certificate
from verdictd.tees.dcap.collateral import RevocationList, SignedDocument
from verdictd.tees.dcap.endorsements import verify_pck_crl, verify_tcb_info
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.tcb_info import TCBInfo
from verdictd.tees.dcap.trust_roots import TrustRoots

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
        chosen = self._answered(key, raw_tcb, at) or self._choose_held(key, raw_tcb, at)
        if chosen is None and not self._was_asked_lately(key, at):
            pck_set = self._fetcher.fetch(self._platform_to_ask_for(key, enc_ppid), raw_tcb, at)
            chosen = self._answered(key, raw_tcb, at) or self._choose(pck_set, raw_tcb, at)
        if chosen is None:
            self._require_available(self._storage.platforms.get(key))
            raise UnavailableError(
                f"no PCK certificate of the platform is for a TCB as low as {raw_tcb}",
                status=NO_CACHE_DATA,
                problem="no-cache-data",
                remedy="update the platform's microcode and firmware: the vendor has ended its oldest TCB levels",
            )
        self._require_not_revoked(*chosen, at)
        return chosen

    def register(self, registration: Registration, at: datetime, *, updates: Sequence[str] = ("standard",)) -> None:
        """See `PCKCache.register`."""
        platform, raw_tcb = registration.platform, registration.raw_tcb
        if self._mode is Mode.OFFLINE:
            self._storage.registrations.add(registration)
            return
        pck_set = self._storage.platforms.get(platform.key)
        is_held = pck_set is not None and pck_set.is_complete and pck_set.platform.manifest == platform.manifest
        if pck_set is None or not is_held or not any(at < each.expires_at for each in pck_set.certificates):
            pck_set = self._fetcher.fetch(platform, raw_tcb, at)
        self._fetch_family(pck_set.platform, at, updates)
        if raw_tcb is not None and self._choose(pck_set, raw_tcb, at) is None:
            self._require_available(pck_set)

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
                for raw_tcb in raw_tcbs:
                    self._choose(pck_set, raw_tcb, at)
                outcomes.setdefault(family, "")
            except VerdictdError as error:
                outcomes[f"{family}: platform {platform.key.qe_id:.32}"] = str(error)
        return tuple(outcomes.items())

    def _answered(self, key: PlatformKey, raw_tcb: RawTCB, at: datetime) -> tuple[PCKCertificate, PCKSet] | None:
        found = self._storage.platforms.answer(key, raw_tcb)
        return found if found is not None and at < found[0].expires_at else None

    def _choose_held(self, key: PlatformKey, raw_tcb: RawTCB, at: datetime) -> tuple[PCKCertificate, PCKSet] | None:
        """Choose among what is held, where that is all there is, or more is not to be had."""
        pck_set = self._storage.platforms.get(key)
        if pck_set is None or not (pck_set.is_complete or self._mode is not Mode.LAZY):
            return None
        return self._choose(pck_set, raw_tcb, at)

    def _choose(self, pck_set: PCKSet, raw_tcb: RawTCB, at: datetime) -> tuple[PCKCertificate, PCKSet] | None:
        """Choose among the certificates of a platform, and remember the choice; ``None`` where none fits."""
        in_time = [certificate for certificate in pck_set.certificates if at < certificate.expires_at]
        info = self._tcb_info(pck_set.platform.fmspc, at)
        chosen = select_certificate(in_time, raw_tcb, info)
        if chosen is None:
            return None
        if pck_set.is_complete and not pck_set.unavailable:  # else a better one may come
            self._storage.platforms.keep_answer(pck_set.platform.key, raw_tcb, chosen.tcb)
        return chosen, pck_set

    def _was_asked_lately(self, key: PlatformKey, at: datetime) -> bool:
        """Whether upstream gave all certificates of a platform so lately that it has no others now."""
        pck_set = self._storage.platforms.get(key)
        return pck_set is not None and pck_set.is_complete and abs(at - pck_set.fetched_at) < _ASKED_LATELY

    def _require_available(self, pck_set: PCKSet | None) -> None:
        if pck_set is not None and pck_set.is_complete and pck_set.unavailable:
            raise UnavailableError(
                "the vendor has no PCK certificate yet for a TCB level that the platform reaches",
                status=CERTIFICATES_UNAVAILABLE,
                problem="certificates-unavailable",
                remedy="ask again later: the vendor issues them after a platform has registered",
            )

    def _tcb_info(self, fmspc: bytes, at: datetime) -> TCBInfo:
        """Return TCB info of a family: the early one where it is held, as Intel's service does."""
        name = ItemName(ItemKind.TCB_INFO, tee="SGX", fmspc=fmspc)
        item = self._collateral.held(EARLY, name, at) or self._collateral.find(STANDARD, name, at)
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
        platform = replace(known or Platform(key=key), enc_ppid=enc_ppid or (known.enc_ppid if known else b""))
        if platform.manifest:
            return platform
        if not platform.enc_ppid:
            raise UnavailableError(
                f"the platform {key.qe_id:.32} is not known here, and its encrypted PPID, by which upstream knows it,"
                " is not given",
                status=PLATFORM_UNKNOWN,
                problem="platform-unknown",
                remedy="give encrypted_ppid, or register the platform",
            )
        return platform

    def _fetch_family(self, platform: Platform, at: datetime, updates: Sequence[str]) -> None:
        """Have everything cached that is needed to appraise a family's evidence."""
        assert platform.ca is not None
        crls = (ItemName(ItemKind.PCK_CRL, pck_ca=platform.ca), ItemName(ItemKind.ROOT_CA_CRL))
        names = (
            ItemName(ItemKind.TCB_INFO, tee="SGX", fmspc=platform.fmspc),
            ItemName(ItemKind.QE_IDENTITY, tee="SGX"),
            ItemName(ItemKind.QVE_IDENTITY),
        )
        wanted = {"standard": (STANDARD,), "early": (EARLY,), "all": (STANDARD, EARLY)}
        for edition in dict.fromkeys(each for update in updates for each in wanted[update]):
            for name in names:
                self._collateral.fetch(edition, name, at)
            self._fetch_tdx(edition, platform.fmspc, at)
        for name in crls:
            self._collateral.fetch(STANDARD, name, at)

    def _fetch_tdx(self, edition: Edition, fmspc: bytes, at: datetime) -> None:
        """Have what TDX needs cached, where the vendor has it for the family: not every one is capable of TDX."""
        try:
            self._collateral.fetch(edition, ItemName(ItemKind.TCB_INFO, tee="TDX", fmspc=fmspc), at)
        except UnavailableError as error:
            if error.status != NO_CACHE_DATA:
                raise
        else:
            self._collateral.fetch(edition, ItemName(ItemKind.QE_IDENTITY, tee="TDX"), at)

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
