"""Intel's own collateral, recorded, is served as it was: byte for byte."""

import json
from datetime import timedelta
from urllib.parse import quote, unquote_to_bytes

import pytest

from tests.unit.pccs.web.desk import TDX, V4, Desk
from tests.vectors import VECTORS, needs_vectors
from verdictd.collateral.files import load_collateral
from verdictd.collateral.items import ItemKind, verify_item
from verdictd.pccs.model import STANDARD
from verdictd.tees.dcap.collateral import RevocationList
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.trust_roots import TrustRoots, intel_trust_root

pytestmark = [pytest.mark.vectors, needs_vectors]

ROOTS = TrustRoots((intel_trust_root(),))
FILES = sorted((VECTORS / "dcap-cases" / "collateral").glob("*.json"))
MEMBERS = {ItemKind.TCB_INFO: "tcbInfo", ItemKind.QE_IDENTITY: "enclaveIdentity"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_was_recorded_is_served(path: object) -> None:
    assert FILES
    memory = FactMemory()
    for raw in load_collateral(path).items:  # type: ignore[arg-type]
        item = verify_item(raw, ROOTS, memory)
        desk = Desk()
        desk.now = item.expires_at - timedelta(seconds=1)
        name = item.key.name
        desk.collateral.memory[STANDARD, name] = item
        match raw.raw:
            case RevocationList(der=der) if name.kind is ItemKind.PCK_CRL:
                reply = desk.get(f"{V4}/pckcrl?ca={name.pck_ca}")
                assert bytes.fromhex(reply.text) == der
                assert desk.get(f"{V4}/pckcrl?ca={name.pck_ca}&encoding=der").body == der
            case RevocationList(der=der):
                assert bytes.fromhex(desk.get(f"{V4}/rootcacrl").text) == der
            case document:
                at = TDX if name.tee == "TDX" else V4
                path_of = f"tcb?fmspc={name.fmspc.hex()}" if name.fmspc else "qe/identity"
                reply = desk.get(f"{at}/{path_of}")
                assert reply.body == b'{"%b":%b,"signature":"%b"}' % (
                    MEMBERS[name.kind].encode(),
                    document.body,
                    document.signature.hex().encode(),
                )
                assert json.loads(reply.body)
                header = "tcb-info-issuer-chain" if name.fmspc else "sgx-enclave-identity-issuer-chain"
                assert unquote_to_bytes(reply.headers[header]) == document.issuer_chain
                assert reply.headers[header] == quote(document.issuer_chain, safe="")
