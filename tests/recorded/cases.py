"""The recorded cases: a quote, its collateral, an instant, and the verdict of a verifier that we did not write."""

import json
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from tests.vectors import VECTORS, vector
from verdictd.tees.dcap.collateral import Collateral, RevocationList, SignedDocument


@dataclass(frozen=True)
class Case:
    """One recorded case. `oracle` is dcap-qvl's verdict; it cannot judge debug enclaves and TCB info of version 2."""

    quote_path: str
    collateral_path: str
    at: datetime
    is_debug: bool
    platform_status: str
    qe_status: str
    oracle_status: str | None
    oracle_error: str
    oracle_advisories: frozenset[str] | None

    @property
    def name(self) -> str:
        return f"{self.quote_path[7:-4]}-{self.collateral_path[11:-5]}"

    @property
    def quote(self) -> bytes:
        return vector(f"dcap-cases/{self.quote_path}")

    @property
    def collateral_json(self) -> str:
        return vector(f"dcap-cases/{self.collateral_path}").decode()

    @property
    def collateral(self) -> Collateral:
        return read_collateral(self.collateral_json)


def read_collateral(text: str) -> Collateral:
    """Read the form that the recorded cases have, by no code of the project's."""
    members = json.loads(text)

    def document(name: str) -> SignedDocument:
        return SignedDocument(
            body=members[name].encode(),
            signature=bytes.fromhex(members[f"{name}_signature"]),
            issuer_chain=members[f"{name}_issuer_chain"].encode(),
            source="recorded",
        )

    def crl(name: str) -> RevocationList:
        chain = members.get(f"{name}_issuer_chain", "").encode()
        return RevocationList(der=bytes.fromhex(members[name]), issuer_chain=chain, source="recorded")

    return Collateral(
        tcb_info=document("tcb_info"),
        qe_identity=document("qe_identity"),
        pck_crl=crl("pck_crl"),
        root_ca_crl=crl("root_ca_crl"),
    )


def sgx_cases() -> tuple[Case, ...]:
    """All recorded SGX cases; none where the recordings are not at hand."""
    return _cases("sgx_ecdsa")


def tdx_cases() -> tuple[Case, ...]:
    """All recorded TDX cases; none where the recordings are not at hand."""
    return _cases("tdx_ecdsa")


@cache
def _cases(tee: str) -> tuple[Case, ...]:
    if not VECTORS.is_dir():
        return ()
    return tuple(
        Case(
            quote_path=case["quote"],
            collateral_path=case["collateral"],
            at=datetime.fromisoformat(case["at"]),
            is_debug=case["debug"],
            platform_status=case.get("tcb_level_status", ""),
            qe_status=case.get("qe_status", ""),
            oracle_status=case["oracle"]["status"],
            oracle_error=case["oracle"]["error"] or "",
            oracle_advisories=None
            if case["oracle"]["advisory_ids"] is None
            else frozenset(case["oracle"]["advisory_ids"]),
        )
        for case in json.loads(vector("dcap-cases/cases.json"))
        if case["tee"] == tee
    )
