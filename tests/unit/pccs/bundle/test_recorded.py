"""Intel's own collateral, recorded, goes through a bundle byte for byte."""

import io
from datetime import UTC, datetime

import pytest

from tests.unit.pccs.memory_cache import MemoryCache
from tests.vectors import VECTORS, needs_vectors
from verdictd.collateral.files import load_collateral
from verdictd.collateral.items import CollateralItem
from verdictd.pccs.bundle import BundleHeader, read_bundle, write_bundle
from verdictd.pccs.bundle_entries import BundledCollateral
from verdictd.pccs.exporting import export_entries
from verdictd.pccs.importing import Importer
from verdictd.pccs.model import STANDARD
from verdictd.tees.dcap.collateral import SignedDocument
from verdictd.tees.dcap.trust_roots import TrustRoots, intel_trust_root

pytestmark = [pytest.mark.vectors, needs_vectors]

ROOTS = TrustRoots((intel_trust_root(),))
AT = datetime(2025, 6, 1, tzinfo=UTC)


def content(item: CollateralItem) -> tuple[bytes, bytes, bytes]:
    raw = item.raw
    return (raw.body, raw.signature, raw.issuer_chain) if isinstance(raw, SignedDocument) else (raw.der, b"", b"")


def test_recorded_collateral_is_imported_and_exported_byte_for_byte() -> None:
    paths = sorted((VECTORS / "dcap-cases" / "collateral").glob("*.json"))
    brought = {content(item) for path in paths for item in load_collateral(path).items}
    cache = MemoryCache(ROOTS, AT)
    for path in paths:
        entries = [BundledCollateral(edition=STANDARD, item=item) for item in load_collateral(path).items]
        assert "refused" not in {outcome.status for outcome in Importer(cache).take_all(entries, AT)}
    out = io.BytesIO()
    count = write_bundle(export_entries(cache.storage, ()), AT, out)
    assert count >= 10
    other = MemoryCache(ROOTS, AT)
    read = [entry for entry in read_bundle(io.BytesIO(out.getvalue())) if not isinstance(entry, BundleHeader)]
    assert {outcome.status.value for outcome in Importer(other).take_all(read, AT)} == {"kept"}
    held = {content(stored.item.item) for stored in other.storage.items.changed_since(0)}
    assert held == {content(stored.item.item) for stored in cache.storage.items.changed_since(0)}
    assert held <= brought
