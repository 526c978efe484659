"""Which of a platform's certificates is the one to hand out, and whether it may be."""

from datetime import datetime
from typing import Final, Protocol

from cryptography import x509

from verdictd.collateral.items import ItemKind, ItemName, VerifiedItem
from verdictd.pccs.errors import CERTIFICATES_UNAVAILABLE, NO_CACHE_DATA, UnavailableError
from verdictd.pccs.model import STANDARD, Edition, PCKCertificate, PCKSet, PlatformKey, RawTCB
from verdictd.pccs.ports import PlatformStorage
from verdictd.pccs.selection import select_certificate
from verdictd.tees.dcap.collateral import RevocationList, SignedDocument
from verdictd.tees.dcap.endorsements import verify_pck_crl, verify_tcb_info
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.tcb_info import TCBInfo
from verdictd.tees.dcap.trust_roots import TrustRoots

EARLY: Final = Edition(update="early")


class FamilyCollateral(Protocol):
    """What is needed beside certificates to choose among them; see `StoredCollateralCache`."""

    def held(self, edition: Edition, name: ItemName, at: datetime) -> VerifiedItem | None:
        """Return what is in memory and in time."""

    def find(self, edition: Edition, name: ItemName, at: datetime) -> VerifiedItem:
        """Return what is held, or from upstream where the mode lets it be asked. Raises UnavailableError."""

    def fetch(self, edition: Edition, name: ItemName, at: datetime) -> VerifiedItem:
        """The same for a platform that registers. Raises UnavailableError."""


class PCKChooser:
    """Chooses certificates, and remembers what it chose. Safe to share between threads."""

    def __init__(self, platforms: PlatformStorage, collateral: FamilyCollateral, roots: TrustRoots) -> None:
        """Make one.

        Args:
            platforms: shared with other processes.
            collateral: TCB info and CRLs.
            roots: what is trusted.
        """
        self._platforms = platforms
        self._collateral = collateral
        self._roots = roots
        self._memory = FactMemory()

    def answered(self, key: PlatformKey, raw_tcb: RawTCB, at: datetime) -> tuple[PCKCertificate, PCKSet] | None:
        """Return what was chosen for a raw TCB before, if it is in time."""
        found = self._platforms.answer(key, raw_tcb)
        return found if found is not None and at < found[0].expires_at else None

    def choose(
        self, pck_set: PCKSet, raw_tcb: RawTCB, at: datetime, info: TCBInfo
    ) -> tuple[PCKCertificate, PCKSet] | None:
        """Choose among the certificates of a platform, and remember the choice; ``None`` where none fits."""
        in_time = [certificate for certificate in pck_set.certificates if at < certificate.expires_at]
        chosen = select_certificate(in_time, raw_tcb, info)
        if chosen is None:
            return None
        if pck_set.is_complete and not pck_set.unavailable:  # else a better one may come
            self._platforms.keep_answer(pck_set.platform.key, raw_tcb, chosen.tcb)
        return chosen, pck_set

    def held_tcb_info(self, fmspc: bytes, at: datetime) -> TCBInfo | None:
        """Return TCB info of a family that is in memory: the early one where it is held, as Intel's service does."""
        name = _tcb_info(fmspc)
        item = self._collateral.held(EARLY, name, at) or self._collateral.held(STANDARD, name, at)
        return None if item is None else self._parse(item)

    def tcb_info(self, fmspc: bytes, at: datetime) -> TCBInfo:
        """Return TCB info for a client that asks. Raises UnavailableError."""
        return self.held_tcb_info(fmspc, at) or self._parse(self._collateral.find(STANDARD, _tcb_info(fmspc), at))

    def family_tcb_info(self, fmspc: bytes, at: datetime) -> TCBInfo:
        """Return TCB info for a platform that registers or is refreshed: the mode req asks upstream then.

        Raises:
            UnavailableError: it cannot be had.
        """
        return self.held_tcb_info(fmspc, at) or self._parse(self._collateral.fetch(STANDARD, _tcb_info(fmspc), at))

    def _parse(self, item: VerifiedItem) -> TCBInfo:
        raw = item.item.raw
        assert isinstance(raw, SignedDocument)
        return verify_tcb_info(raw, self._roots, self._memory).info

    def require_not_revoked(self, certificate: PCKCertificate, pck_set: PCKSet, at: datetime) -> None:
        """Refuse what a CRL that is held revokes. Clients judge by their own CRL: this only spares them.

        Raises:
            UnavailableError: it is revoked.
        """
        ca = pck_set.platform.ca
        held = None if ca is None else self._collateral.held(STANDARD, ItemName(ItemKind.PCK_CRL, pck_ca=ca), at)
        if held is None:
            return
        raw = held.item.raw
        assert isinstance(raw, RevocationList)
        crl = verify_pck_crl(raw, self._roots, self._memory)
        serial_number = x509.load_pem_x509_certificate(certificate.pem).serial_number
        if crl.revocation_date(serial_number) is not None:
            raise UnavailableError(
                f"the PCK certificate of the platform for the TCB {certificate.tcb} is revoked",
                status=NO_CACHE_DATA,
                problem="revoked",
                remedy="the vendor no longer vouches for this platform: replace it",
            )


def explain_misfit(pck_set: PCKSet, raw_tcb: RawTCB) -> UnavailableError:
    """Say why no certificate of a platform fits."""
    if pck_set.is_complete and pck_set.unavailable:
        return UnavailableError(
            "the vendor has no PCK certificate yet for a TCB level that the platform reaches",
            status=CERTIFICATES_UNAVAILABLE,
            problem="certificates-unavailable",
            remedy="ask again later: the vendor issues them after a platform has registered",
        )
    return UnavailableError(
        f"no PCK certificate of the platform is for a TCB as low as {raw_tcb}",
        status=NO_CACHE_DATA,
        problem="no-cache-data",
        remedy="update the platform's microcode and firmware: the vendor has ended its oldest TCB levels",
    )


def _tcb_info(fmspc: bytes) -> ItemName:
    return ItemName(ItemKind.TCB_INFO, tee="SGX", fmspc=fmspc)
