"""Intel's own collateral, recorded, is imported into a database and served by the whole program byte for byte."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import unquote_to_bytes

from tests.unit.pccs.web.caller import call
from tests.vectors import VECTORS, needs_vectors
from verdictd.collateral.files import load_collateral
from verdictd.collateral.items import ItemKind, VerifiedItem
from verdictd.pccs.assembly import OpenedCache, open_cache
from verdictd.pccs.bundle_entries import BundledCollateral
from verdictd.pccs.importing import Importer
from verdictd.pccs.intel_import import import_platform_collateral
from verdictd.pccs.model import STANDARD, Mode
from verdictd.pccs.settings import Settings
from verdictd.pccs.web.app import Services, build_app
from verdictd.pccs.web.http.tokens import TokenHashes
from verdictd.tees.dcap.collateral import RevocationList, SignedDocument, encode_signed_document

pytestmark = needs_vectors

PATHS = sorted((VECTORS / "dcap-cases" / "collateral").glob("*.json"))


@dataclass
class Clock:
    now: datetime

    def __call__(self) -> datetime:
        return self.now


def import_all(cache: OpenedCache, at: datetime) -> None:
    importer = Importer(cache)
    for path in PATHS:
        entries = [BundledCollateral(edition=STANDARD, item=item) for item in load_collateral(path).items]
        assert "refused" not in {outcome.status for outcome in importer.take_all(entries, at)}


def route_of(item: VerifiedItem) -> str:
    name = item.key.name
    match name.kind:
        case ItemKind.TCB_INFO:
            return f"{str(name.tee).lower()}/certification/v4/tcb?fmspc={name.fmspc.hex()}"
        case ItemKind.QE_IDENTITY:
            return f"{str(name.tee).lower()}/certification/v4/qe/identity"
        case ItemKind.PCK_CRL:
            return f"sgx/certification/v4/pckcrl?ca={name.pck_ca}"
        case _:
            return "sgx/certification/v4/rootcacrl"


def test_recorded_collateral_is_imported_and_served_byte_for_byte(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "cache", mode=Mode.OFFLINE)
    with open_cache(settings, Clock(datetime(2027, 1, 1, tzinfo=UTC))) as cache:
        import_all(cache, datetime(2027, 1, 1, tzinfo=UTC))
    clock = Clock(datetime(2027, 1, 1, tzinfo=UTC))
    with open_cache(settings, clock) as cache:  # as it is after a restart: from the database
        services = Services(
            storage=cache.storage,
            collateral=cache.collateral,
            pck=cache.pck,
            amd=cache.amd,
            import_platform_collateral=partial(import_platform_collateral, cache),
            mode=cache.mode,
        )
        served = 0
        for stored in cache.storage.items.changed_since(0):
            item, raw = stored.item, stored.item.item.raw
            clock.now = item.expires_at - timedelta(seconds=1)
            reply = call(build_app(services, TokenHashes(), clock), f"/{route_of(item)}")
            assert reply.status == 200, reply
            if isinstance(raw, SignedDocument):
                is_tcb_info = item.key.name.kind is ItemKind.TCB_INFO
                assert reply.body == encode_signed_document(raw, "tcbInfo" if is_tcb_info else "enclaveIdentity")
                header = "tcb-info-issuer-chain" if is_tcb_info else "sgx-enclave-identity-issuer-chain"
                assert unquote_to_bytes(reply.headers[header]) == raw.issuer_chain
            else:
                assert isinstance(raw, RevocationList)
                assert bytes.fromhex(reply.text) == raw.der
            clock.now = item.expires_at
            reply = call(build_app(services, TokenHashes(), clock), f"/{route_of(item)}")
            assert reply.status == 404, "it has expired"
            served += 1
        assert served >= 10
