"""The attestation report of SEV-SNP: what AMD's secure processor says of a guest and of the platform below it.

Spec: AMD 56860, SEV Secure Nested Paging Firmware ABI, "ATTESTATION_REPORT" and "Signature Formats".
"""

import struct
from enum import IntEnum
from typing import Final, NamedTuple

from verdictd.core.errors import MalformedError, UnsupportedError
from verdictd.tees.amd.extensions import AMDKeyType, AMDProduct
from verdictd.tees.sev_snp.guest_policy import GuestPolicy

REPORT_BYTES: Final = 1184
SIGNED_BYTES: Final = 0x2A0
NUMBER_BYTES: Final = 72
"""Of each number of the signature; little-endian."""
ECDSA_P384_SHA384: Final = 1
VERSIONS: Final = (2, 3, 5)
_VERSION_WITH_CPUID: Final = 3
_VERSION_WITH_MITIGATIONS: Final = 5

_LAYOUT: Final = struct.Struct("<IIQ16s16sII8sQI4s64s48s32s48s48s32s32s8s3s21s64s8s3ss3ss8sQQ152s72s72s368s")
"""The whole report in its order, what is reserved included."""
_RESERVED_FLAGS: Final = ~0x1F
_NO_CPUID: Final = bytes(3)


class SigningKey(IntEnum):
    """Which key signed a report, as its flags say."""

    VCEK = 0
    VLEK = 1
    NONE = 7


SIGNERS: Final = {kind.value: kind.name for kind in SigningKey}
"""The names of the keys by the number that stands in the flags."""
_KEY_TYPES: Final[dict[int, AMDKeyType]] = {SigningKey.VCEK: "vcek", SigningKey.VLEK: "vlek"}


class CPUID(NamedTuple):
    """Family and model, each with its extension, and stepping of the processor. Reports of version 2 have none."""

    family: int
    model: int
    stepping: int


class FirmwareVersion(NamedTuple):
    """The version of the SNP firmware."""

    major: int
    minor: int
    build: int

    def __str__(self) -> str:
        """As AMD writes it."""
        return f"{self.major}.{self.minor}.{self.build}"


class SNPReport(NamedTuple):
    """A parsed report. Byte strings are as in the report; integers are unsigned.

    Trust: unauthenticated until the signature over `signed` was verified.

    Attributes:
        vmpl: the privilege level of what asked for the report; 0 is the highest.
        current_tcb, reported_tcb, committed_tcb, launch_tcb: 8 bytes each; `tcb.read_tcb` reads them.
        platform_info: bits; `platform_info.name_platform_bits` names them.
        author_key_enabled: whether `author_key_digest` is of a key that signed the ID key.
        mask_chip_key: whether the host told the firmware not to use the VCEK.
        signing_key: of `SigningKey`, or a number that is none of them.
        report_id_ma: of the migration agent; all ones where there is none.
        cpuid: ``None`` before version 3.
        chip_id: all zeros where the host masks it; of Turin the first 8 bytes count.
        launch_mitigations, current_mitigations: bits; ``None`` before version 5.
        signed: the bytes that the signature covers.
        r, s: the signature's numbers.
    """

    version: int
    guest_svn: int
    policy: GuestPolicy
    family_id: bytes
    image_id: bytes
    vmpl: int
    current_tcb: bytes
    platform_info: int
    author_key_enabled: bool
    mask_chip_key: bool
    signing_key: int
    report_data: bytes
    measurement: bytes
    host_data: bytes
    id_key_digest: bytes
    author_key_digest: bytes
    report_id: bytes
    report_id_ma: bytes
    reported_tcb: bytes
    cpuid: CPUID | None
    chip_id: bytes
    committed_tcb: bytes
    current_version: FirmwareVersion
    committed_version: FirmwareVersion
    launch_tcb: bytes
    launch_mitigations: int | None
    current_mitigations: int | None
    signed: bytes
    r: int
    s: int

    @property
    def key_type(self) -> AMDKeyType | None:
        """The kind of key that the flags say signed it; ``None`` where none did, or one that is not known."""
        return _KEY_TYPES.get(self.signing_key)

    @property
    def is_chip_id_masked(self) -> bool:
        """Whether the report does not say which chip it is of."""
        return not any(self.chip_id)

    @property
    def product(self) -> AMDProduct | None:
        """The product that the CPUID names; ``None`` where it is not known, or not stated."""
        return None if self.cpuid is None else name_product(self.cpuid)


def parse_report(data: bytes) -> SNPReport:
    """Parse a report of version 2, 3 or 5.

    Reserved bytes have to be zero, those beside the signature too, which nothing signs: a version that gives them a
    meaning has a number of its own.

    Layout: 1184 bytes, little-endian; VERSION 0 (4), GUEST_SVN 4 (4), POLICY 8 (8), FAMILY_ID 0x10 (16), IMAGE_ID 0x20
    (16), VMPL 0x30 (4), SIGNATURE_ALGO 0x34 (4), CURRENT_TCB 0x38 (8), PLATFORM_INFO 0x40 (8), flags 0x48 (4),
    REPORT_DATA 0x50 (64), MEASUREMENT 0x90 (48), HOST_DATA 0xC0 (32), ID_KEY_DIGEST 0xE0 (48), AUTHOR_KEY_DIGEST 0x110
    (48), REPORT_ID 0x140 (32), REPORT_ID_MA 0x160 (32), REPORTED_TCB 0x180 (8), CPUID 0x188 (3; version 3), CHIP_ID
    0x1A0 (64), COMMITTED_TCB 0x1E0 (8), current build, minor, major 0x1E8 (3), the committed ones 0x1EC (3), LAUNCH_TCB
    0x1F0 (8), LAUNCH_MIT_VECTOR and CURRENT_MIT_VECTOR 0x1F8 (8 each; version 5), SIGNATURE 0x2A0: R, S (72 each).

    Raises:
        MalformedError: another size, or reserved bits that are set.
        UnsupportedError: another version, or another signature algorithm.
    """
    if len(data) != REPORT_BYTES:
        raise MalformedError(f"an attestation report is {REPORT_BYTES} bytes long, this one is {len(data)}")
    (
        version,
        guest_svn,
        policy,
        family_id,
        image_id,
        vmpl,
        algorithm,
        current_tcb,
        platform_info,
        flags,
        after_flags,
        report_data,
        measurement,
        host_data,
        id_key_digest,
        author_key_digest,
        report_id,
        report_id_ma,
        reported_tcb,
        cpuid,
        after_cpuid,
        chip_id,
        committed_tcb,
        current,
        after_current,
        committed,
        after_committed,
        launch_tcb,
        launch_mitigations,
        current_mitigations,
        after_mitigations,
        r,
        s,
        after_signature,
    ) = _LAYOUT.unpack(data)
    if version not in VERSIONS:
        raise UnsupportedError(f"the report has version {version}, known are {', '.join(map(str, VERSIONS))}")
    if algorithm != ECDSA_P384_SHA384:
        raise UnsupportedError(f"the report has signature algorithm {algorithm}, known is 1 (ECDSA P-384 with SHA-384)")
    _require_zero("after the flags", after_flags)
    _require_zero("after the CPUID", after_cpuid)
    _require_zero("after the firmware versions", after_current + after_committed)
    _require_zero("before the signature", after_mitigations)
    _require_zero("after the signature", after_signature)
    if flags & _RESERVED_FLAGS:
        raise MalformedError(f"reserved bits are set in the flags 0x{flags:x} of the report")
    if version < _VERSION_WITH_CPUID:
        _require_zero("in place of the CPUID", cpuid)
    if version < _VERSION_WITH_MITIGATIONS and (launch_mitigations or current_mitigations):
        raise MalformedError(f"a report of version {version} has no mitigation vectors, but the bytes are not zero")
    return SNPReport(
        version=version,
        guest_svn=guest_svn,
        policy=GuestPolicy(policy),
        family_id=family_id,
        image_id=image_id,
        vmpl=vmpl,
        current_tcb=current_tcb,
        platform_info=platform_info,
        author_key_enabled=bool(flags & 1),
        mask_chip_key=bool(flags & 2),
        signing_key=flags >> 2,
        report_data=report_data,
        measurement=measurement,
        host_data=host_data,
        id_key_digest=id_key_digest,
        author_key_digest=author_key_digest,
        report_id=report_id,
        report_id_ma=report_id_ma,
        reported_tcb=reported_tcb,
        cpuid=CPUID(*cpuid) if version >= _VERSION_WITH_CPUID else None,
        chip_id=chip_id,
        committed_tcb=committed_tcb,
        current_version=FirmwareVersion(*current[::-1]),
        committed_version=FirmwareVersion(*committed[::-1]),
        launch_tcb=launch_tcb,
        launch_mitigations=launch_mitigations if version >= _VERSION_WITH_MITIGATIONS else None,
        current_mitigations=current_mitigations if version >= _VERSION_WITH_MITIGATIONS else None,
        signed=data[:SIGNED_BYTES],
        r=int.from_bytes(r, "little"),
        s=int.from_bytes(s, "little"),
    )


def name_product(cpuid: CPUID) -> AMDProduct | None:
    """Name the product of a processor; those of a family that have other names are certified under it.

    Spec:
        AMD 57230, VCEK Certificate and KDS Interface Specification, the product names.
    """
    if cpuid.family == 0x19:
        if cpuid.model <= 0x0F:
            return "Milan"
        if 0x10 <= cpuid.model <= 0x1F or 0xA0 <= cpuid.model <= 0xAF:
            return "Genoa"
    if cpuid.family == 0x1A and cpuid.model <= 0x11:
        return "Turin"
    return None


def _require_zero(where: str, reserved: bytes) -> None:
    if any(reserved):
        raise MalformedError(f"reserved bytes {where} are not zero")
