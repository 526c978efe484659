"""A simulated vendor, and a cache that holds what the vendor issues: collateral of both kinds, platforms, AMD's."""

from datetime import UTC, datetime, timedelta

from tests.unit.pccs.memory_cache import MemoryCache
from verdictd.collateral.amd_names import AMDCertificateName
from verdictd.collateral.items import CollateralItem, ItemKind, split_collateral
from verdictd.pccs.bundle_entries import BundledCollateral
from verdictd.pccs.importing import Importer, ImportOutcome
from verdictd.pccs.model import STANDARD, Edition, Platform, PlatformKey, RawTCB
from verdictd.pccs.pck_offers import OfferedPCKSet
from verdictd.simulator.family import FamilyMember
from verdictd.simulator.pck_certificates import PCKIssuer, own_member
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.tees.dcap.acceptance import TCBStatus
from verdictd.tees.dcap.trust_roots import TrustRoots, parse_trust_roots

AT = datetime(2026, 5, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
LATER = AT + 60 * DAY
"""When everything but certificates is expired."""
EARLY = Edition(4, "early")
PLATFORM = SimulatedPlatform.create(at=AT - 100 * DAY).with_early_tcb_status(TCBStatus.OUT_OF_DATE)
FMSPC = PLATFORM.hardware.fmspc
ROOTS = TrustRoots(parse_trust_roots(PLATFORM.trust_root_pem, "simulated root"))
KEY = PlatformKey("00112233445566778899AABBCCDDEEFF", "0000")
VLEK_CHAIN = AMDCertificateName("vlek", "Genoa", "cert_chain")
VCEK = AMDCertificateName("vcek", "Milan", "leaf", bytes(range(64)), bytes(8))


def early_tcb_info(at: datetime = AT) -> CollateralItem:
    spec = PLATFORM.tcb_info_spec(publication=PLATFORM.newest)
    return CollateralItem(kind=ItemKind.TCB_INFO, raw=PLATFORM.issue_tcb_info(spec, at))


def offered(key: PlatformKey = KEY, *, family: int = 0) -> OfferedPCKSet:
    """What the vendor gives for a platform: one certificate for each level."""
    member = own_member(PLATFORM) if key == KEY else FamilyMember(key.qe_id.encode(), family, has_newest=False)
    issuer = PCKIssuer(PLATFORM, member)
    tcbs = [(RawTCB(level.components, level.pce_svn), level, is_there) for level, is_there in issuer.levels()]
    return OfferedPCKSet(
        platform=Platform(key=key, enc_ppid=PLATFORM.encrypted_ppid),
        certificates=tuple((tcb, issuer.pem(level)) for tcb, level, is_there in tcbs if is_there),
        unavailable=tuple(tcb for tcb, _, is_there in tcbs if not is_there),
        issuer_chain=issuer.issuer_chain,
        is_complete=True,
        fetched_at=AT,
        raw_tcbs=(RawTCB(PLATFORM.hardware.components, PLATFORM.hardware.pce_svn),),
    )


def collateral_entries(at: datetime = AT) -> list[BundledCollateral]:
    items = split_collateral(PLATFORM.collateral(at))
    entries = [BundledCollateral(edition=STANDARD, item=item) for item in items]
    return [*entries, BundledCollateral(edition=EARLY, item=early_tcb_info(at))]


def empty_cache() -> MemoryCache:
    return MemoryCache(ROOTS, AT + 365 * DAY)


def filled_cache() -> MemoryCache:
    """A cache with collateral, two platforms of two families, and two of AMD's."""
    cache = empty_cache()
    other = offered(PlatformKey("FF" * 16, "0000"), family=1)
    kept = list(Importer(cache).take_all([*collateral_entries(), offered(), other], AT))
    assert not [outcome for outcome in kept if outcome.reason]
    cache.amd.offer(VLEK_CHAIN, b"genuine chain", AT)
    cache.amd.offer(VCEK, b"genuine leaf", AT)
    return cache


def statuses(outcomes: list[ImportOutcome]) -> list[str]:
    return [outcome.status.value for outcome in outcomes]
