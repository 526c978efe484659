"""Writes and signs SEV-SNP attestation reports, and the certificate table that comes with an extended one.

Whatever a report says can be replaced in its spec; nothing is checked.

Spec: AMD 56860, SEV Secure Nested Paging Firmware ABI, "ATTESTATION_REPORT"; 56421, GHCB, 4.1.8.1.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from verdictd.simulator.amd_certificates import AMDTCB, SHA384, AMDProduct

_BODY = struct.Struct("<IIQ16s16sII8sQI4x64s48s32s48s48s32s32s8s3B21x64s8s3Bx3Bx8sQQ152x")
_NUMBER_BYTES = 72
_SIGNATURE_BYTES = 512
_GUIDS = {
    "ark": UUID("c0b406a4-a803-4952-9743-3fb6014cd0ae"),
    "ask": UUID("4ab7b379-bbac-4fe4-a02f-05aef327c782"),
    "vcek": UUID("63da758d-e664-4564-adc5-f4b93be8accd"),
    "vlek": UUID("a8074bc2-a25a-483e-aae6-39c045a0b8a1"),
    "crl": UUID("92f81bc3-5811-4d3d-97ff-d19f88dc67ea"),
}
_NO_MIGRATION_AGENT = b"\xff" * 32

Triple = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SNPReportSpec:
    """Everything a report is to say, in the order of its bytes.

    Attributes:
        policy: the guest's; by default of ABI 0.0, with SMT allowed, and nothing else.
        current_tcb, reported_tcb, committed_tcb, launch_tcb: 8 bytes each, as `encode_tcb` writes them.
        flags: bit 0 author key, bit 1 chip key masked, bits 2 to 4 the signing key: 0 VCEK, 1 VLEK, 7 none.
        cpuid: family, model, stepping; zeros in version 2.
        chip_id: filled up with zeros to 64 bytes.
        current_version, committed_version: major, minor, build.
    """

    version: int
    current_tcb: bytes
    reported_tcb: bytes
    committed_tcb: bytes
    launch_tcb: bytes
    report_data: bytes
    measurement: bytes
    chip_id: bytes
    guest_svn: int = 0
    policy: int = 0x30000
    family_id: bytes = b""
    image_id: bytes = b""
    vmpl: int = 0
    signature_algorithm: int = 1
    platform_info: int = 0x25
    flags: int = 0
    host_data: bytes = b""
    id_key_digest: bytes = b""
    author_key_digest: bytes = b""
    report_id: bytes = b"\x01"
    report_id_ma: bytes = _NO_MIGRATION_AGENT
    cpuid: Triple = (0, 0, 0)
    current_version: Triple = (1, 55, 29)
    committed_version: Triple = (1, 55, 29)
    launch_mitigations: int = 0
    current_mitigations: int = 0


def encode_tcb(tcb: AMDTCB, product: AMDProduct) -> bytes:
    """Write a TCB in the 8 bytes that a report of the product has for it."""
    if product == "Turin":
        return bytes([tcb.fmc, tcb.bootloader, tcb.tee, tcb.snp, 0, 0, 0, tcb.microcode])
    return bytes([tcb.bootloader, tcb.tee, 0, 0, 0, 0, tcb.snp, tcb.microcode])


def encode_report_body(spec: SNPReportSpec) -> bytes:
    """Write the bytes 0 to 0x29F, which are what is signed."""
    return _BODY.pack(
        spec.version,
        spec.guest_svn,
        spec.policy,
        spec.family_id,
        spec.image_id,
        spec.vmpl,
        spec.signature_algorithm,
        spec.current_tcb,
        spec.platform_info,
        spec.flags,
        spec.report_data,
        spec.measurement,
        spec.host_data,
        spec.id_key_digest,
        spec.author_key_digest,
        spec.report_id,
        spec.report_id_ma,
        spec.reported_tcb,
        *spec.cpuid,
        spec.chip_id,
        spec.committed_tcb,
        *reversed(spec.current_version),
        *reversed(spec.committed_version),
        spec.launch_tcb,
        spec.launch_mitigations,
        spec.current_mitigations,
    )


def sign_report(body: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    """Sign a body with ECDSA and SHA-384; the whole report, 1184 bytes."""
    numbers = decode_dss_signature(key.sign(body, ec.ECDSA(SHA384)))
    signature = b"".join(number.to_bytes(_NUMBER_BYTES, "little") for number in numbers)
    return body + signature.ljust(_SIGNATURE_BYTES, b"\0")


def encode_certificate_table(contents: Mapping[str, bytes]) -> bytes:
    """Write the table of an extended report; contents in DER or PEM by name: ark, ask, vcek, vlek, crl."""
    begin = 24 * (len(contents) + 1)
    entries, data = b"", b""
    for name, content in contents.items():
        entries += _GUIDS[name].bytes + struct.pack("<II", begin + len(data), len(content))
        data += content
    return entries + bytes(24) + data
