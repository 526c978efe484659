"""Intel's own collateral, recorded, through the whole cache under Intel's root: imported, stored, served as it was."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.unit.pccs.web.caller import call
from tests.vectors import VECTORS, needs_vectors
from verdictd.collateral.files import load_collateral
from verdictd.collateral.items import ItemKind, VerifiedItem, verify_item
from verdictd.pccs.assembly import OpenedCache, open_cache
from verdictd.pccs.bundle_entries import BundledCollateral
from verdictd.pccs.importing import Importer
from verdictd.pccs.model import STANDARD, Mode
from verdictd.pccs.settings import Settings
from verdictd.pccs.web.app import Services, build_app
from verdictd.pccs.web.http.tokens import TokenHashes
from verdictd.tees.dcap.collateral import RevocationList
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.trust_roots import TrustRoots, intel_trust_root

pytestmark = [pytest.mark.vectors, needs_vectors]

ROOTS = TrustRoots((intel_trust_root(),))
FILES = sorted((VECTORS / "dcap-cases" / "collateral").glob("*.json"))
SECOND = timedelta(seconds=1)


class Clock:
    now = datetime(2000, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def services(cache: OpenedCache) -> Services:
    return Services(
        storage=cache.storage,
        collateral=cache.collateral,
        pck=cache.pck,
        amd=cache.amd,
        import_platform_collateral=lambda _body, _at: (),
        mode=cache.mode,
    )


def expected(item: VerifiedItem) -> tuple[str, bytes, tuple[str, bytes] | None]:
    """Return the target, the body, and the header with the issuer chain."""
    name, raw = item.key.name, item.item.raw
    at = f"/{'tdx' if name.tee == 'TDX' else 'sgx'}/certification/v4"
    if isinstance(raw, RevocationList):
        if name.kind is ItemKind.ROOT_CA_CRL:
            return f"{at}/rootcacrl", raw.der.hex().encode(), None
        return f"{at}/pckcrl?ca={name.pck_ca}&encoding=der", raw.der, ("sgx-pck-crl-issuer-chain", raw.issuer_chain)
    member, header, target = "enclaveIdentity", "sgx-enclave-identity-issuer-chain", f"{at}/qe/identity"
    if name.kind is ItemKind.TCB_INFO:
        member, header, target = "tcbInfo", "tcb-info-issuer-chain", f"{at}/tcb?fmspc={name.fmspc.hex()}"
    body = b'{"%b":%b,"signature":"%b"}' % (member.encode(), raw.body, raw.signature.hex().encode())
    return target, body, (header, raw.issuer_chain)


def test_there_are_recorded_sets() -> None:
    assert FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_was_recorded_is_imported_and_served_as_it_was(path: Path, tmp_path: Path) -> None:
    raw_items = load_collateral(path).items
    items = [verify_item(item, ROOTS, FactMemory()) for item in raw_items]
    clock = Clock()
    clock.now = max(item.issue_date for item in items) + SECOND
    settings = Settings(data_dir=tmp_path / "cache", mode=Mode.OFFLINE)
    with open_cache(settings, clock) as cache:
        entries = [BundledCollateral(edition=STANDARD, item=item) for item in raw_items]
        outcomes = list(Importer(cache).take_all(entries, clock.now))
        assert {outcome.status.value for outcome in outcomes} == {"kept"}
    with open_cache(settings, clock) as cache:  # as after a restart: what is served comes from the database
        app = build_app(services(cache), TokenHashes(user="", admin=""), clock)
        for item in items:
            target, body, chain = expected(item)
            for clock.now in (item.issue_date, item.expires_at - SECOND):
                reply = call(app, target)
                assert (reply.status, reply.body) == (200, body)
                if chain is not None:
                    assert reply.headers[chain[0]] == quote(chain[1], safe="")
            for clock.now in (item.issue_date - SECOND, item.expires_at):
                assert call(app, target).status == 404
