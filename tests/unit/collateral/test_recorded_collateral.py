"""Intel's own collateral, recorded: each file is read, verified under Intel's root, and served again by a PCCS."""

import json
from base64 import encodebytes
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.unit.collateral.endorser import APPRAISED
from tests.unit.collateral.fake_pccs import Answer, FakePCCS, chain_header, der_of, document_answer, serving
from tests.vectors import VECTORS, needs_vectors, vector
from verdictd.appraisal.appraiser import Appraiser, Platform
from verdictd.collateral.files import load_collateral
from verdictd.collateral.found import FoundCollateral
from verdictd.collateral.items import CollateralItem, ItemKey, ItemKind, ItemName, verify_item
from verdictd.collateral.open_sources import open_pccs
from verdictd.collateral.service import CollateralService
from verdictd.collateral.store import CollateralStore, OfferStatus
from verdictd.tees.dcap.acceptance import ANY_STATUS_BUT_REVOKED, Acceptance
from verdictd.tees.dcap.collateral import Collateral
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.trust_roots import TrustRoots, intel_trust_root

pytestmark = [pytest.mark.vectors, needs_vectors]

DIRECTORY = VECTORS / "dcap-cases" / "collateral"
ROOTS = TrustRoots((intel_trust_root(),))
MEMORY = FactMemory()
FAR_LATER = datetime(2035, 1, 1, tzinfo=UTC)


def test_every_recorded_file_holds_four_items_that_verify() -> None:
    paths = sorted(DIRECTORY.glob("*.json"))
    assert len(paths) >= 30
    for path in paths:
        items = load_collateral(path).items
        assert [item.kind for item in items] == list(APPRAISED)
        names = {verify_item(item, ROOTS, MEMORY).key.name.kind for item in items}
        assert names == set(APPRAISED)


def test_of_a_whole_directory_the_newest_of_each_is_held() -> None:
    loaded = load_collateral(DIRECTORY)
    assert loaded.ignored == ()
    store = CollateralStore(ROOTS, MEMORY)
    outcomes = [store.offer(item, FAR_LATER) for item in loaded.items]
    assert {outcome.status for outcome in outcomes} <= {
        OfferStatus.KEPT,
        OfferStatus.OLDER,
        OfferStatus.ALREADY_HELD,
    }
    newest: dict[ItemKey, tuple[int, datetime]] = {}
    for item in loaded.items:
        verified = verify_item(item, ROOTS, MEMORY)
        newest[verified.key] = max(newest.get(verified.key, verified.sequence), verified.sequence)
    assert {held.key: held.sequence for held in store.items()} == newest
    assert len([key for key in newest if key.name.kind is ItemKind.TCB_INFO]) >= 8


def pccs_with(items: tuple[CollateralItem, ...], version: int, encoding: str) -> FakePCCS:
    pccs, base = FakePCCS(), f"/sgx/certification/v{version}"
    for item in items:
        verified = verify_item(item, ROOTS, MEMORY)
        match verified.key.name:
            case ItemName(kind=ItemKind.TCB_INFO, fmspc=fmspc):
                header = "TCB-Info-Issuer-Chain" if version == 4 else "SGX-TCB-Info-Issuer-Chain"
                pccs.answers[f"{base}/tcb?fmspc={fmspc.hex().upper()}"] = document_answer(item, header)
            case ItemName(kind=ItemKind.QE_IDENTITY):
                pccs.answers[f"{base}/qe/identity"] = document_answer(item, "SGX-Enclave-Identity-Issuer-Chain")
            case ItemName(kind=ItemKind.PCK_CRL, pck_ca=ca):
                pccs.answers[f"{base}/pckcrl?ca={ca}&encoding=der"] = Answer(
                    body=encoded(item, encoding), headers=chain_header("SGX-PCK-CRL-Issuer-Chain", item)
                )
            case _:
                pccs.answers[f"{base}/rootcacrl"] = Answer(body=encoded(item, encoding))
    return pccs


def encoded(item: CollateralItem, encoding: str) -> bytes:
    der = der_of(item)
    pem = b"-----BEGIN X509 CRL-----\n" + encodebytes(der) + b"-----END X509 CRL-----\n"
    return {"der": der, "hex": der.hex().encode(), "pem": pem}[encoding]


@pytest.mark.parametrize(("version", "encoding"), [(3, "hex"), (3, "pem"), (4, "der"), (4, "hex")])
def test_recorded_quotes_are_appraised_with_collateral_from_a_pccs(version: int, encoding: str) -> None:
    cases = json.loads(vector("dcap-cases/cases.json"))
    chosen = [
        case for case in cases if case["tee"] == "sgx_ecdsa" and not case["debug"] and case["oracle"]["accepted"]
    ][::7]
    assert chosen
    for case in chosen:
        items = load_collateral(DIRECTORY / Path(case["collateral"]).name).items
        with serving(pccs_with(items, version, encoding)) as pccs:
            source = open_pccs(f"{pccs.url}/sgx/certification/v{version}/", {})
            service = CollateralService(roots=ROOTS, memory=MEMORY, sources=[source])

            def find(
                platform: Platform, peer: Collateral | None, at: datetime, service: CollateralService = service
            ) -> FoundCollateral:
                return service.collateral_for(
                    root=platform.root, fmspc=platform.fmspc, pck_ca=platform.pck_ca, peer=peer, at=at
                )

            appraiser = Appraiser(
                roots=ROOTS, acceptance=Acceptance(tcb_statuses=ANY_STATUS_BUT_REVOKED), find_collateral=find
            )
            result = appraiser.appraise_quote(vector(f"dcap-cases/{case['quote']}"), datetime.fromisoformat(case["at"]))
        assert result.refusals == ()
        assert result.tcb_status == case["tcb_level_status"]
        assert all(source.startswith("PCCS http://127.0.0.1") for source in result.sources.values())
