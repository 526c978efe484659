"""A vendor whose collateral of any number and date the tests issue; a simulated platform's, under its own root."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from verdictd.collateral.items import CollateralItem, ItemKey, ItemKind, ItemName
from verdictd.simulator.crl_builder import CRLSpec
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.tees.dcap.collateral import Collateral, RevocationList, SignedDocument
from verdictd.tees.dcap.trust_roots import TrustRoots, parse_trust_roots

DAY = timedelta(days=1)
APPRAISED = tuple(kind for kind in ItemKind if kind is not ItemKind.QVE_IDENTITY)
"""The kinds that the appraisal of a quote needs."""
START = datetime(2026, 3, 1, tzinfo=UTC)
"""Numbers of days in the tests count from here."""


class Endorser:
    """Issues single items, each with the number, day of issue and lifetime asked for."""

    def __init__(self, platform: SimulatedPlatform | None = None) -> None:
        self.platform = platform or SimulatedPlatform.create(at=START - 400 * DAY)
        self.fmspc = self.platform.hardware.fmspc
        self.roots = TrustRoots(parse_trust_roots(self.platform.trust_root_pem, "test root"))
        self.root = self.roots.roots[0].fingerprint

    def tcb_info(
        self,
        number: int = 1,
        *,
        day: float = 0,
        days: float = 30,
        source: str = "test",
        fmspc: bytes | None = None,
        tee: str = "SGX",
    ) -> CollateralItem:
        said = self.platform.tdx_tcb_info_spec() if tee == "TDX" else self.platform.tcb_info_spec()
        spec = replace(
            said,
            evaluation_data_number=number,
            fmspc=fmspc or self.fmspc,
            issue_date=START + day * DAY,
            next_update=START + (day + days) * DAY,
        )
        return document_item(ItemKind.TCB_INFO, self.platform.issue_tcb_info(spec, START), source)

    def qe_identity(
        self, number: int = 1, *, day: float = 0, days: float = 30, source: str = "test", enclave_id: str = "QE"
    ) -> CollateralItem:
        spec = replace(
            self.platform.qe_identity_spec(),
            evaluation_data_number=number,
            enclave_id=enclave_id,
            issue_date=START + day * DAY,
            next_update=START + (day + days) * DAY,
        )
        return document_item(ItemKind.QE_IDENTITY, self.platform.issue_qe_identity(spec, START), source)

    def pck_crl(
        self, number: int = 1, *, day: float = 0, days: float = 30, source: str = "test", chain: bytes | None = None
    ) -> CollateralItem:
        spec = _dated(self.platform.pck_crl_spec(), number, day, days)
        crl = self.platform.issue_pck_crl(spec, START)
        chain = crl.issuer_chain if chain is None else chain
        return CollateralItem(kind=ItemKind.PCK_CRL, raw=replace(crl, issuer_chain=chain, source=source))

    def root_ca_crl(self, number: int = 1, *, day: float = 0, days: float = 30, source: str = "test") -> CollateralItem:
        spec = _dated(self.platform.root_ca_crl_spec(), number, day, days)
        crl = self.platform.issue_root_ca_crl(spec, START)
        return CollateralItem(kind=ItemKind.ROOT_CA_CRL, raw=replace(crl, source=source))

    def item(
        self, kind: ItemKind, number: int = 1, *, day: float = 0, days: float = 30, source: str = "test"
    ) -> CollateralItem:
        match kind:
            case ItemKind.QVE_IDENTITY:
                identity = self.qe_identity(number, day=day, days=days, source=source, enclave_id="QVE")
                return replace(identity, kind=ItemKind.QVE_IDENTITY)
            case ItemKind.TCB_INFO:
                return self.tcb_info(number, day=day, days=days, source=source)
            case ItemKind.QE_IDENTITY:
                return self.qe_identity(number, day=day, days=days, source=source)
            case ItemKind.PCK_CRL:
                return self.pck_crl(number, day=day, days=days, source=source)
            case ItemKind.ROOT_CA_CRL:
                return self.root_ca_crl(number, day=day, days=days, source=source)

    def items(
        self, number: int = 1, *, day: float = 0, days: float = 30, source: str = "test"
    ) -> tuple[CollateralItem, ...]:
        return tuple(self.item(kind, number, day=day, days=days, source=source) for kind in APPRAISED)

    def peer(
        self, number: int = 1, *, day: float = 0, days: float = 30, kinds: tuple[ItemKind, ...] = ()
    ) -> Collateral:
        """What a peer brings: all items, or those named."""
        return collateral_of(
            *(self.item(kind, number, day=day, days=days, source="peer") for kind in kinds or APPRAISED)
        )

    def key(self, kind: ItemKind) -> ItemKey:
        names = {
            ItemKind.TCB_INFO: ItemName(kind, tee="SGX", fmspc=self.fmspc),
            ItemKind.QE_IDENTITY: ItemName(kind, tee="SGX"),
            ItemKind.PCK_CRL: ItemName(kind, pck_ca="platform"),
            ItemKind.ROOT_CA_CRL: ItemName(kind),
            ItemKind.QVE_IDENTITY: ItemName(kind),
        }
        return ItemKey(self.root, names[kind])


def document_item(kind: ItemKind, document: SignedDocument, source: str) -> CollateralItem:
    return CollateralItem(kind=kind, raw=replace(document, source=source))


def collateral_of(*items: CollateralItem) -> Collateral:
    found = Collateral()
    for item in items:
        found = replace(found, **{item.kind.value: item.raw})  # type: ignore[arg-type]
    return found


def damaged(item: CollateralItem) -> CollateralItem:
    """The same item with a signature that does not hold."""
    raw = item.raw
    if isinstance(raw, SignedDocument):
        changed: SignedDocument | RevocationList = replace(
            raw, signature=bytes([raw.signature[0] ^ 1]) + raw.signature[1:]
        )
    else:
        changed = replace(raw, der=raw.der[:-1] + bytes([raw.der[-1] ^ 1]))
    return CollateralItem(kind=item.kind, raw=changed)


def _dated(spec: CRLSpec, number: int, day: float, days: float) -> CRLSpec:
    return replace(spec, number=number, this_update=START + day * DAY, next_update=START + (day + days) * DAY)
