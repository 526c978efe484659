"""What others bring goes in here: each piece is verified, offered to the cache, and reported on, whatever the file."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from verdictd.collateral.amd_names import AMDCertificateName
from verdictd.collateral.items import CollateralItem, VerifiedItem, verify_item
from verdictd.core.errors import VerdictdError
from verdictd.pccs.bundle_entries import BundledAMD, BundledCollateral, BundleEntry
from verdictd.pccs.model import Edition, PCKSet
from verdictd.pccs.parts import Cache
from verdictd.pccs.pck_offers import OfferedPCKSet, earliest_expiry, verify_pck_set
from verdictd.tees.dcap.memory import FactMemory

_MAX_RAW_TCBS: Final = 64
"""Of one platform: it has had as many updates. The rest is left until the platform itself asks."""


class ImportStatus(StrEnum):
    """What became of something that was brought."""

    KEPT = "kept"
    ALREADY_HELD = "already held"
    OLDER = "older than what is held"
    REFUSED = "refused"
    UNFIT = "no certificate"
    """There is none for a TCB that a platform is said to have asked with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOutcome:
    """What became of one thing.

    Attributes:
        name: what it is, for a person.
        status: see `ImportStatus`.
        expires_at: when the first part of it expires (aware); ``None`` where it is a problem.
        reason: what the problem is.
        is_platform: whether it is the certificates of a platform, of which there may be very many.
    """

    name: str
    status: ImportStatus
    expires_at: datetime | None = None
    reason: str = ""
    is_platform: bool = False

    @property
    def is_problem(self) -> bool:
        """Whether it was not kept although it should have been."""
        return self.status in {ImportStatus.REFUSED, ImportStatus.UNFIT}

    def is_expired(self, at: datetime) -> bool:
        """Whether it is past its time at an instant (aware), so that nobody will be given it."""
        return self.expires_at is not None and self.expires_at <= at

    def needs_attention(self, at: datetime) -> bool:
        """Whether an operator should know of it at an instant (aware)."""
        return self.is_problem or self.is_expired(at)


class Importer:
    """Takes in entries, whatever file they come from."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._memory = FactMemory()

    def take_all(self, entries: Iterable[BundleEntry], at: datetime) -> Iterator[ImportOutcome]:
        """Take in entries, one after the other; what is wrong with one keeps none of the others out.

        Args:
            entries: nothing about them is trusted.
            at: the instant (aware).
        """
        for entry in entries:
            match entry:
                case BundledCollateral(edition=edition, item=item):
                    yield self._take_collateral(edition, item, at)
                case OfferedPCKSet():
                    outcome = self._take_pck(entry, at)
                    yield outcome
                    if outcome.status in {ImportStatus.KEPT, ImportStatus.ALREADY_HELD}:
                        yield from self._choose_certificates(entry, at)
                case BundledAMD():
                    yield self._take_amd(entry, at)

    def _take_collateral(self, edition: Edition, item: CollateralItem, at: datetime) -> ImportOutcome:
        try:
            verified = verify_item(item, self._cache.roots, self._memory)
            held = self._cache.storage.items.get(edition, verified.key)
            self._cache.collateral.offer(edition, item, at)
        except VerdictdError as error:
            return _refused(f"{item.kind.value} ({edition})", error)
        status = _compare(verified, None if held is None else held.item)
        name = f"{verified.key.name}, {edition}" if verified.key.name.tee else str(verified.key.name)
        return ImportOutcome(name=name, status=status, expires_at=verified.expires_at)

    def _take_pck(self, offered: OfferedPCKSet, at: datetime) -> ImportOutcome:
        qe_id = offered.platform.key.qe_id
        try:
            dated = replace(offered, fetched_at=min(offered.fetched_at, at))
            pck_set = verify_pck_set(dated, self._cache.roots, self._memory)
            held = self._cache.storage.platforms.get(pck_set.platform.key)
            status = _compare_pck(pck_set, held)
            if status is ImportStatus.KEPT:
                self._cache.pck.offer(pck_set, at)
        except VerdictdError as error:
            return replace(_refused(f"PCK certificates of the platform {qe_id:.32}", error), is_platform=True)
        return ImportOutcome(
            name=f"PCK certificates of platforms of the family {pck_set.platform.fmspc.hex().upper()}",
            status=status,
            expires_at=earliest_expiry(pck_set.certificates),
            is_platform=True,
        )

    def _choose_certificates(self, offered: OfferedPCKSet, at: datetime) -> Iterator[ImportOutcome]:
        """Have the certificate chosen for each TCB that the platform asked with, so that this is known here too."""
        platform = offered.platform
        for raw_tcb in offered.raw_tcbs[:_MAX_RAW_TCBS]:
            try:
                self._cache.pck.certificate(platform.key, raw_tcb, platform.enc_ppid, at)
            except VerdictdError as error:
                what = f"certificate for the platform {platform.key.qe_id:.32} at the TCB {raw_tcb}"
                yield replace(_refused(what, error), status=ImportStatus.UNFIT, is_platform=True)

    def _take_amd(self, entry: BundledAMD, at: datetime) -> ImportOutcome:
        name = describe_amd(entry.name)
        try:
            held = self._cache.storage.amd.get(entry.name)
            offered = self._cache.amd.offer(entry.name, entry.content, at)
        except VerdictdError as error:
            return _refused(name, error)
        status = ImportStatus.KEPT
        if held is not None and held.content == entry.content:
            status = ImportStatus.ALREADY_HELD
        elif held is not None and held.sequence > offered.sequence:
            status = ImportStatus.OLDER
        return ImportOutcome(name=name, status=status, expires_at=offered.expires_at)


def describe_amd(name: AMDCertificateName) -> str:
    """Name an item of AMD's for a person."""
    what = {"leaf": "certificate", "cert_chain": "certificate chain", "crl": "CRL"}[name.what]
    chip = f" of the chip {name.chip_id.hex()[:16]}…" if name.chip_id else ""
    return f"AMD {name.product} {name.key_type.upper()} {what}{chip}"


def _compare(brought: VerifiedItem, held: VerifiedItem | None) -> ImportStatus:
    if held is None or brought.replaces(held):
        return ImportStatus.KEPT
    return ImportStatus.OLDER if held.replaces(brought) else ImportStatus.ALREADY_HELD


def _compare_pck(brought: PCKSet, held: PCKSet | None) -> ImportStatus:
    """Compare two sets of one platform: a complete one that was fetched later is not displaced by what is older."""
    if held is None:
        return ImportStatus.KEPT
    if {each.pem for each in held.certificates} >= {each.pem for each in brought.certificates} and (
        held.is_complete or not brought.is_complete
    ):
        is_same = len(held.certificates) == len(brought.certificates)
        if is_same or held.fetched_at >= brought.fetched_at:
            return ImportStatus.ALREADY_HELD
    if held.is_complete and held.fetched_at > brought.fetched_at:
        return ImportStatus.OLDER
    return ImportStatus.KEPT


def _refused(name: str, error: VerdictdError) -> ImportOutcome:
    return ImportOutcome(name=name, status=ImportStatus.REFUSED, reason=str(error))
