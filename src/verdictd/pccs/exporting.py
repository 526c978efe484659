"""What is held of some families, as the entries of a bundle."""

from collections.abc import Collection, Iterator

from verdictd.collateral.items import ItemKind
from verdictd.pccs.bundle_entries import BundledAMD, BundledCollateral, BundleEntry
from verdictd.pccs.model import PCKSet, RawTCB
from verdictd.pccs.pck_offers import OfferedPCKSet
from verdictd.pccs.ports import Storage


def export_entries(storage: Storage, families: Collection[bytes]) -> Iterator[BundleEntry]:
    """Return everything that platforms of some families, and whoever verifies their evidence, may be asked for.

    Args:
        storage: where it is.
        families: FMSPCs; every family there is where none is named.
    Returns:
        The families' TCB info, all identities and all CRLs, in every edition; the PCK certificates of the families'
        platforms, in the order of their keys; and everything of AMD's.
    """
    for stored in storage.items.changed_since(0):
        name = stored.item.key.name
        if name.kind is not ItemKind.TCB_INFO or not families or name.fmspc in families:
            yield BundledCollateral(edition=stored.edition, item=stored.item.item)
    known = {platform.key: raw_tcbs for platform, raw_tcbs in storage.platforms.platforms(tuple(families))}
    for key, raw_tcbs in sorted(known.items()):
        pck_set = storage.platforms.get(key)
        if pck_set is not None and pck_set.certificates:
            yield offer_again(pck_set, raw_tcbs)
    for item in storage.amd.items():
        yield BundledAMD(name=item.name, content=item.content)


def find_absent_families(storage: Storage, families: Collection[bytes]) -> list[bytes]:
    """Return those of some families of which there is neither TCB info nor a platform."""
    held = {stored.item.key.name.fmspc for stored in storage.items.changed_since(0)}
    held |= {fmspc for fmspc, _ in storage.platforms.families()}
    return [family for family in families if family not in held]


def offer_again(pck_set: PCKSet, raw_tcbs: tuple[RawTCB, ...]) -> OfferedPCKSet:
    """Return a set, and what its platform asked with, as they are handed on: whoever takes them verifies them again."""
    return OfferedPCKSet(
        platform=pck_set.platform,
        certificates=tuple((certificate.tcb, certificate.pem) for certificate in pck_set.certificates),
        unavailable=pck_set.unavailable,
        issuer_chain=pck_set.issuer_chain,
        is_complete=pck_set.is_complete,
        fetched_at=pck_set.fetched_at,
        raw_tcbs=raw_tcbs,
    )
