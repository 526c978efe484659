"""Writes quotes of versions 3, 4 and 5 from parts, of which any can be replaced before, or kept from, signing.

What is ``None`` in the parts is filled in by `sign_quote`: a test replaces one field and has everything around it
signed again, or sets a signature or binding itself and has it kept.
"""

import hashlib
import struct
from dataclasses import dataclass, replace
from typing import Protocol

from verdictd.simulator.keys import PrivateKey, raw_public_key, sign_raw

INTEL_QE_VENDOR_ID = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
REPORT_DATA_BYTES = 64
_REPORT = struct.Struct("<16s4s12s16s16s32s32s32s32s64sHHH42s16s64s")
_HEADER = struct.Struct("<HHIHH16s20s")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSpec:
    """An SGX report body of 384 bytes. Byte strings that are too short are padded with zeros at their end.

    Attributes:
        report_data: 64 bytes; ``None`` in a quoting enclave's report for what binds its attestation key.
        reserved: the four reserved fields, of 12, 32, 32 and 42 bytes.

    Spec:
        Intel SDM vol. 3D, "REPORT"; Intel SGX ECDSA Quote Library Reference, A.4, "Enclave Report Body".
    """

    cpu_svn: bytes
    misc_select: bytes = bytes(4)
    isv_ext_prod_id: bytes = bytes(16)
    attributes: bytes
    mr_enclave: bytes
    mr_signer: bytes
    config_id: bytes = bytes(64)
    isv_prod_id: int
    isv_svn: int
    config_svn: int = 0
    isv_family_id: bytes = bytes(16)
    report_data: bytes | None = None
    reserved: tuple[bytes, bytes, bytes, bytes] = (b"", b"", b"", b"")

    def encode(self) -> bytes:
        """Write the report body; see `encode_report`."""
        return encode_report(self)


class ReportBody(Protocol):
    """What a quote says of the workload: an enclave's report, or that of another kind of TEE."""

    def encode(self) -> bytes:
        """Write it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteParts:
    """Everything a quote consists of. Nothing is checked.

    Attributes:
        version: 3, 4 or 5 for the layout of that version; anything else is laid out as version 3.
        tee_type: 0 for SGX; version 3 has reserved bytes in its place.
        body_type: of version 5 only.
        attestation_key: 64 bytes x ‖ y; ``None`` for that of the key which signs.
        signature, qe_report_signature: 64 bytes r ‖ s; ``None`` to be made.
        qe_report: its report data ``None`` for SHA-256(attestation key ‖ auth data) ‖ 0.
        outer_certification_type: of versions 4 and 5, around the QE report: 6.
        certification_type, certification_data: 5 and a PEM chain with a NUL at its end, as genuine quotes have it.
        trailing: bytes after the signature data.
    """

    version: int = 3
    attestation_key_type: int = 2
    tee_type: int = 0
    qe_svn: int = 0
    pce_svn: int = 0
    qe_vendor_id: bytes = INTEL_QE_VENDOR_ID
    user_data: bytes = bytes(20)
    body_type: int = 1
    report: ReportBody
    attestation_key: bytes | None = None
    signature: bytes | None = None
    qe_report: ReportSpec
    qe_report_signature: bytes | None = None
    qe_auth_data: bytes
    outer_certification_type: int = 6
    certification_type: int = 5
    certification_data: bytes
    trailing: bytes = b""


def sign_quote(parts: QuoteParts, *, attestation_key: PrivateKey, pck_key: PrivateKey) -> QuoteParts:
    """Fill in what is ``None``: attestation key, QE report data and both signatures, each over what is then there."""
    public = raw_public_key(attestation_key) if parts.attestation_key is None else parts.attestation_key
    qe_report = parts.qe_report
    if qe_report.report_data is None:
        digest = hashlib.sha256(public + parts.qe_auth_data).digest()
        qe_report = replace(qe_report, report_data=digest + bytes(32))
    qe_signature, signature = parts.qe_report_signature, parts.signature
    return replace(
        parts,
        attestation_key=public,
        qe_report=qe_report,
        qe_report_signature=sign_raw(pck_key, encode_report(qe_report)) if qe_signature is None else qe_signature,
        signature=sign_raw(attestation_key, _encode_signed(parts)) if signature is None else signature,
    )


def encode_quote(parts: QuoteParts) -> bytes:
    """Write a quote.

    Raises:
        ValueError: something that signing fills in is still ``None``.
    Spec:
        Intel SGX ECDSA Quote Library Reference, A.4 (v3); Intel TDX DCAP Quoting Library API, A.3 (v4), A.4 (v5).
    """
    if parts.attestation_key is None or parts.signature is None or parts.qe_report_signature is None:
        raise ValueError("the parts of the quote are not signed yet")
    certification = (
        encode_report(parts.qe_report)
        + parts.qe_report_signature
        + struct.pack("<H", len(parts.qe_auth_data))
        + parts.qe_auth_data
        + _encode_certification_data(parts.certification_type, parts.certification_data)
    )
    if parts.version in {4, 5}:
        certification = _encode_certification_data(parts.outer_certification_type, certification)
    signature_data = parts.signature + parts.attestation_key + certification
    return _encode_signed(parts) + struct.pack("<I", len(signature_data)) + signature_data + parts.trailing


def encode_report(spec: ReportSpec) -> bytes:
    """Write a report body.

    Raises:
        ValueError: its report data is ``None``.
    """
    if spec.report_data is None:
        raise ValueError("the report's report data is not known yet")
    return _REPORT.pack(
        spec.cpu_svn,
        spec.misc_select,
        spec.reserved[0],
        spec.isv_ext_prod_id,
        spec.attributes,
        spec.mr_enclave,
        spec.reserved[1],
        spec.mr_signer,
        spec.reserved[2],
        spec.config_id,
        spec.isv_prod_id,
        spec.isv_svn,
        spec.config_svn,
        spec.reserved[3],
        spec.isv_family_id,
        spec.report_data,
    )


def _encode_signed(parts: QuoteParts) -> bytes:
    """Header and body, which the attestation key signs."""
    header = _HEADER.pack(
        parts.version,
        parts.attestation_key_type,
        parts.tee_type,
        parts.qe_svn,
        parts.pce_svn,
        parts.qe_vendor_id,
        parts.user_data,
    )
    body = parts.report.encode()
    return header + (struct.pack("<HI", parts.body_type, len(body)) if parts.version == 5 else b"") + body


def _encode_certification_data(kind: int, data: bytes) -> bytes:
    return struct.pack("<HI", kind, len(data)) + data
