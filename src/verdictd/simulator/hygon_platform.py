"""A simulated Hygon and one processor of its: keys, certificates up to a root of its own, and reports of guests."""

import hashlib
import secrets
import struct
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes, hmac

from verdictd.simulator.hygon_certificates import (
    PlatformCertificateSpec,
    Signer,
    VendorCertificateSpec,
    encode_signature,
    issue_platform_certificate,
    issue_vendor_certificate,
)
from verdictd.simulator.sm2_key import SM2PrivateKey, derive_sm2_key
from verdictd.tees.psp.certificate import KeyUsage

_SM2_SIGNING = 4
_PAGE_BYTES = 4096
_PROTECTED_WORDS_END = 188
CSV2_NO_DEBUG = 0x05
"""A guest's policy: NODBG and ES."""


def _random_mask() -> bytes:
    return secrets.token_bytes(4)


def _random_nonce() -> bytes:
    return secrets.token_bytes(16)


@dataclass(frozen=True, slots=True, kw_only=True)
class CSVReportSpec:
    """What a report says, and in which form it is handed over.

    Attributes:
        user_data: 64 bytes, chosen by the guest.
        measure: 32 bytes, what was launched.
        policy: the guest's.
        user_key_digest: 32 bytes.
        vm_id, vm_version, mnonce: 16 bytes each.
        signature_usage, signature_algorithm: what the report says of its signature.
        anonce: 4 bytes, the mask.
        masks_signer: whether PEK and chip id wear the mask, as the firmware writes them.
        clears_reserved: whether the attester puts zeros in place of the reserved bytes, as it does since 2023.
    """

    user_data: bytes = bytes(64)
    measure: bytes = hashlib.sha256(b"a simulated guest").digest()
    policy: int = CSV2_NO_DEBUG
    user_key_digest: bytes = bytes(32)
    vm_id: bytes = bytes(16)
    vm_version: bytes = bytes(16)
    mnonce: bytes = field(default_factory=_random_nonce)
    signature_usage: int = KeyUsage.PEK
    signature_algorithm: int = _SM2_SIGNING
    anonce: bytes = field(default_factory=_random_mask)
    masks_signer: bool = True
    clears_reserved: bool = True


@dataclass(frozen=True, slots=True)
class SimulatedHygon:
    """A vendor and a processor, all of whose keys follow from one secret.

    Attributes:
        seed: 32 bytes, the secret.
        chip_id: letters and digits.
    """

    seed: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    chip_id: bytes = b"SIM00000000001"

    def key(self, usage: KeyUsage) -> SM2PrivateKey:
        """Return the private key of a kind, under the name that Hygon's have."""
        return derive_sm2_key(self.seed, _NAMES[usage])

    def key_id(self, usage: KeyUsage) -> bytes:
        """Return the id of a vendor's key, 16 bytes."""
        return hashlib.sha256(self.seed + b"id" + _NAMES[usage]).digest()[:16]

    def vendor_spec(self, usage: KeyUsage) -> VendorCertificateSpec:
        """What the certificate of the HRK or of the HSK says."""
        return VendorCertificateSpec(
            usage=usage,
            key=self.key(usage).public_key,
            key_id=self.key_id(usage),
            issuer_id=self.key_id(KeyUsage.VENDOR_ROOT),
        )

    def platform_spec(self, usage: KeyUsage) -> PlatformCertificateSpec:
        """What the certificate of the CEK, of the PEK or of the OCA says."""
        key = self.key(usage).public_key
        if usage is KeyUsage.CEK:
            issuer_id = self.key_id(KeyUsage.VENDOR_SIGNING)
            return PlatformCertificateSpec(usage=usage, key=key, version=2, api_version=(1, 1), issuer_id=issuer_id)
        return PlatformCertificateSpec(usage=usage, key=key)

    def signer(self, usage: KeyUsage) -> Signer:
        """The signer of a platform's certificate that a kind of key is."""
        return Signer(usage, self.key(usage))

    @property
    def hrk_certificate(self) -> bytes:
        """The root's certificate, 832 bytes: what a verifier is told to trust."""
        return issue_vendor_certificate(self.vendor_spec(KeyUsage.VENDOR_ROOT), self.key(KeyUsage.VENDOR_ROOT))

    @property
    def hsk_cek(self) -> bytes:
        """HSK and CEK, 2916 bytes, as the vendor's service hands them out."""
        hsk = issue_vendor_certificate(self.vendor_spec(KeyUsage.VENDOR_SIGNING), self.key(KeyUsage.VENDOR_ROOT))
        cek = issue_platform_certificate(self.platform_spec(KeyUsage.CEK), self.signer(KeyUsage.VENDOR_SIGNING))
        return hsk + cek

    @property
    def pek_certificate(self) -> bytes:
        """The certificate of the PEK, 2084 bytes, signed by chip and owner."""
        by = (self.signer(KeyUsage.CEK), self.signer(KeyUsage.OCA))
        return issue_platform_certificate(self.platform_spec(KeyUsage.PEK), *by)

    def report(self, spec: CSVReportSpec, *, pek: bytes | None = None, signer: SM2PrivateKey | None = None) -> bytes:
        """Write and sign a report: 4096 bytes; with another certificate in it, or another's signature."""
        masked = mask_words(_encode_body(spec), spec.anonce)
        signature = (signer or self.key(KeyUsage.PEK)).sign(masked[:180])
        plain = (self.pek_certificate if pek is None else pek) + self.chip_id.ljust(64, b"\0")
        whole = mask_words(plain + bytes(32), spec.anonce)
        code = hmac.HMAC(spec.mnonce, hashes.SM3())
        code.update(whole)
        shown = whole[:-32] if spec.masks_signer else plain
        reserved = bytes(32) if spec.clears_reserved else whole[-32:]
        page = masked + spec.anonce + encode_signature(signature) + shown + reserved + code.finalize()
        return page.ljust(_PAGE_BYTES, b"\0")

    def evidence(self, spec: CSVReportSpec) -> bytes:
        """Make evidence as rats-tls carries it, 7016 bytes: a report with HSK and CEK behind it."""
        return join_evidence(self.report(spec), self.hsk_cek)


_NAMES = {
    KeyUsage.VENDOR_ROOT: b"HYGON-SSD-HRK",
    KeyUsage.VENDOR_SIGNING: b"HYGON-SSD-HSK",
    KeyUsage.CEK: b"HYGON-SSD-CEK",
    KeyUsage.PEK: b"HYGON-SSD-PEK",
    KeyUsage.OCA: b"HYGON-SSD-OCA",
}


def join_evidence(report: bytes, hsk_cek: bytes) -> bytes:
    """Put HSK and CEK behind a report, and their length behind them."""
    return report + hsk_cek + len(hsk_cek).to_bytes(4, "little")


def mask_words(data: bytes, anonce: bytes) -> bytes:
    """XOR each 32-bit word with the mask; the data are as long as a number of words."""
    word = int.from_bytes(anonce, "little")
    count = len(data) // 4
    return struct.pack(f"<{count}I", *(each ^ word for each in struct.unpack(f"<{count}I", data)))


def _encode_body(spec: CSVReportSpec) -> bytes:
    body = (
        spec.user_key_digest
        + spec.vm_id
        + spec.vm_version
        + spec.user_data
        + spec.mnonce
        + spec.measure
        + struct.pack("<III", spec.policy, spec.signature_usage, spec.signature_algorithm)
    )
    if len(body) != _PROTECTED_WORDS_END:
        raise ValueError("a field of the report is not as long as it has to be")
    return body
