"""An application over fakes, filled with one platform's collateral, and the clock that it goes by."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tests.unit.collateral.endorser import DAY, START, Endorser
from tests.unit.pccs.web.caller import Reply, call
from tests.unit.pccs.web.fakes import FakeAMD, FakeCollateral, FakePCK, FakeStorage
from verdictd.collateral.items import CollateralItem, ItemKind, ItemName, VerifiedItem, verify_item
from verdictd.collateral.pccs_urls import INTEL_ROOT_CRL_URL
from verdictd.pccs.model import STANDARD, Edition, Mode, PCKCertificate, PCKSet, Platform, PlatformKey, RawTCB
from verdictd.pccs.web.app import Services, build_app
from verdictd.pccs.web.http.tokens import TokenHashes
from verdictd.tees.dcap.collateral import RevocationList
from verdictd.tees.dcap.memory import FactMemory

USER, ADMIN = "the user's token", "the administrator's token"
TOKENS = TokenHashes(
    user=hashlib.sha512(USER.encode()).hexdigest(), admin=hashlib.sha512(ADMIN.encode()).hexdigest().upper()
)
USER_HEADERS = {"user-token": USER}
ADMIN_HEADERS = {"admin-token": ADMIN}
PROBLEMS = {"accept": "application/problem+json"}
QE_ID, PCE_ID = "AB" * 16, "0000"
CPU_SVN, PCE_SVN = "0B" * 16, "0D00"
ENC_PPID = "C0" * 384
CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nbGVhZg==\n-----END CERTIFICATE-----\n"
CHAIN = b"-----BEGIN CERTIFICATE-----\na+/=\n-----END CERTIFICATE-----\n"
PCK_QUERY = f"qeid={QE_ID}&encrypted_ppid={ENC_PPID}&cpusvn={CPU_SVN}&pcesvn={PCE_SVN}&pceid={PCE_ID}"
V3, V4, TDX = "/sgx/certification/v3", "/sgx/certification/v4", "/tdx/certification/v4"
ENDORSER = Endorser()
FMSPC = ENDORSER.fmspc.hex()


class Desk:
    def __init__(self, *, mode: Mode = Mode.LAZY, tokens: TokenHashes = TOKENS, **settings: Any) -> None:
        self.now = START + DAY
        self.storage = FakeStorage()
        self.collateral = FakeCollateral()
        self.pck = FakePCK()
        self.amd = FakeAMD()
        self.imported: list[bytes] = []
        self.notes: list[str] = []
        self.import_error: Exception | None = None
        services = Services(
            storage=self.storage,
            collateral=self.collateral,
            pck=self.pck,
            amd=self.amd,
            import_platform_collateral=self._take_in,
            mode=mode,
        )
        self.app = build_app(services, tokens, self.clock, **settings)

    def clock(self) -> datetime:
        return self.now

    def get(self, target: str, **headers: str) -> Reply:
        return call(self.app, target, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def ask(self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Reply:
        return call(self.app, target, method=method, headers=headers, body=body)

    def fill(self) -> None:
        """All items into memory, in the editions in which each is asked for."""
        for version_edition in (STANDARD, Edition(4, "early"), Edition(4, 17), Edition(3, "standard")):
            for name, item in items().items():
                self.collateral.memory[version_edition, name] = item
        self.collateral.crls[INTEL_ROOT_CRL_URL] = der_of(ROOT_CRL)
        raw_tcb = RawTCB(bytes.fromhex(CPU_SVN), 13)
        self.pck.sets[PlatformKey(QE_ID, PCE_ID), raw_tcb] = pck_set()

    def _take_in(self, body: bytes, at: datetime) -> Sequence[str]:
        assert at == self.now
        if self.import_error is not None:
            raise self.import_error
        self.imported.append(body)
        return self.notes


def verified(item: CollateralItem) -> VerifiedItem:
    return verify_item(item, ENDORSER.roots, FactMemory())


def pck_set() -> tuple[PCKCertificate, PCKSet]:
    certificate = PCKCertificate(
        tcb=RawTCB(bytes.fromhex("0a" * 16), 11), pem=CERTIFICATE, components=bytes(16), expires_at=START + 9 * DAY
    )
    platform = Platform(key=PlatformKey(QE_ID, PCE_ID), fmspc=ENDORSER.fmspc, ca="platform")
    return certificate, PCKSet(
        platform=platform,
        certificates=(certificate,),
        unavailable=(),
        issuer_chain=CHAIN,
        is_complete=True,
        fetched_at=START,
    )


TCB_INFO = verified(ENDORSER.tcb_info())
TDX_TCB_INFO = verified(ENDORSER.tcb_info(tee="TDX"))
QE_IDENTITY = verified(ENDORSER.qe_identity())
TD_QE_IDENTITY = verified(ENDORSER.qe_identity(enclave_id="TD_QE"))
QVE_IDENTITY = verified(CollateralItem(kind=ItemKind.QVE_IDENTITY, raw=ENDORSER.qe_identity(enclave_id="QVE").raw))
PCK_CRL = verified(ENDORSER.pck_crl())
ROOT_CRL = verified(ENDORSER.root_ca_crl())


def items() -> dict[ItemName, VerifiedItem]:
    found = (TCB_INFO, TDX_TCB_INFO, QE_IDENTITY, TD_QE_IDENTITY, QVE_IDENTITY, PCK_CRL, ROOT_CRL)
    return {item.key.name: item for item in found}


def der_of(item: VerifiedItem) -> bytes:
    assert isinstance(item.item.raw, RevocationList)
    return item.item.raw.der
