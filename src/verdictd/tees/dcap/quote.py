"""The DCAP quote container, versions 3, 4 and 5, whatever its body. Parsing only: nothing here is verified.

A quote is header ‖ body ‖ signature data. The signature data carries, beside the signature, everything that links the
attestation key to the platform: the QE's report, the PCK key's signature over it, and the certification data.
"""

import struct
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Generic, NamedTuple, TypeVar

from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError
from verdictd.core.limits import MAX_QUOTE_BYTES
from verdictd.tees.dcap.enclave_report import ENCLAVE_REPORT_BYTES, EnclaveReport, parse_enclave_report

INTEL_QE_VENDOR_ID = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
HEADER_BYTES = 48
TEE_TYPE_SGX = 0
TEE_TYPE_TDX = 0x81
ATTESTATION_KEY_ECDSA_P256 = 2
BODY_TYPE_SGX = 1
Body_co = TypeVar("Body_co", covariant=True)

_HEADER = struct.Struct("<HHIHH16s20s")


class CertificationDataType(IntEnum):
    """What stands in a quote's certification data. Only 5 holds the PCK certificate itself.

    Spec: Intel SGX ECDSA Quote Library Reference, A.4, "QE Certification Data".
    """

    PPID_PLAIN = 1
    PPID_ENCRYPTED_RSA_2048 = 2
    PPID_ENCRYPTED_RSA_3072 = 3
    PCK_LEAF = 4
    PCK_CHAIN = 5
    QE_REPORT = 6
    PLATFORM_MANIFEST = 7


class Quote(NamedTuple, Generic[Body_co]):
    """A parsed quote. Trust: unauthenticated.

    Attributes:
        version: 3, 4 or 5.
        qe_svn, pce_svn: as the header says (v3; zero or reserved in later versions).
        qe_vendor_id: 16 bytes.
        signed: the bytes that the attestation key signs: header and body (v5: with body type and size between).
        report: what was measured of the workload: an enclave's report, or a TD's.
        signature: 64 bytes, r ‖ s, by the attestation key over `signed`.
        attestation_key: 64 bytes, x ‖ y, P-256.
        qe_report_bytes, qe_report: the quoting enclave's report, raw and parsed.
        qe_report_signature: 64 bytes, r ‖ s, by the PCK key over `qe_report_bytes`.
        qe_auth_data: bytes that the QE hashed together with the attestation key.
        certification_type: kind of certification data, see `CertificationDataType`; unknown numbers are kept.
        certification_data: for type 5 a PEM chain.
    """

    version: int
    qe_svn: int
    pce_svn: int
    qe_vendor_id: bytes
    signed: bytes
    report: Body_co
    signature: bytes
    attestation_key: bytes
    qe_report_bytes: bytes
    qe_report: EnclaveReport
    qe_report_signature: bytes
    qe_auth_data: bytes
    certification_type: int
    certification_data: bytes


class _Reader:
    """Takes fields off the front of bytes and refuses to read past their end."""

    __slots__ = ("data", "end", "offset", "what")

    def __init__(self, data: bytes, offset: int, end: int, what: str) -> None:
        self.data = data
        self.offset = offset
        self.end = end
        self.what = what

    def take(self, size: int, field: str) -> bytes:
        start = self.offset
        end = start + size
        if end > self.end:
            raise MalformedError(
                f"{self.what} is cut off: {field} needs {size} bytes at offset {start}, {self.end - start} are there"
            )
        self.offset = end
        return self.data[start:end]

    def u16(self, field: str) -> int:
        return int.from_bytes(self.take(2, field), "little")

    def u32(self, field: str) -> int:
        return int.from_bytes(self.take(4, field), "little")

    def finish(self) -> None:
        if self.offset != self.end:
            raise MalformedError(f"{self.end - self.offset} bytes follow the end of {self.what}")


def quote_tee_type(data: bytes) -> int:
    """Tell SGX (0) from TDX (0x81) by a quote's first bytes, as far as a version that is known goes.

    Raises:
        MalformedError: shorter than a header.
        UnsupportedError: a version or a TEE that is not known.
    """
    if len(data) < HEADER_BYTES + 2:
        raise MalformedError(f"a quote is at least {HEADER_BYTES + 2} bytes long, this one is {len(data)}")
    version, _, tee_type = struct.unpack_from("<HHI", data)
    if version not in {3, 4, 5}:
        raise UnsupportedError(f"the quote's version is {version}, supported are 3, 4 and 5")
    if version == 3 and tee_type != TEE_TYPE_SGX:  # reserved there: quotes of other TEEs have later versions
        raise UnsupportedError(f"the quote has version 3 and TEE type 0x{tee_type:x}, expected 0 (SGX)")
    if tee_type not in {TEE_TYPE_SGX, TEE_TYPE_TDX}:
        raise UnsupportedError(f"the quote's TEE type is 0x{tee_type:x}, known are 0 (SGX) and 0x81 (TDX)")
    return int(tee_type)


class BodyForm(NamedTuple, Generic[Body_co]):
    """How the body of a quote is read.

    Attributes:
        size: in bytes.
        parse: raises `MalformedError`.
    """

    size: int
    parse: Callable[[bytes], Body_co]


def parse_quote(data: bytes) -> Quote[EnclaveReport]:
    """Parse an SGX quote of version 3, 4 (tee_type 0) or 5 (body type 1); see `parse_container`."""
    if quote_tee_type(_limited(data)) != TEE_TYPE_SGX:
        raise UnsupportedError("this is a TDX quote, expected an SGX quote")
    return parse_container(data, {BODY_TYPE_SGX: BodyForm(ENCLAVE_REPORT_BYTES, parse_enclave_report)})


def parse_container(data: bytes, forms: Mapping[int, BodyForm[Body_co]]) -> Quote[Body_co]:
    """Parse a quote, and the body that it carries.

    Layout: header 48 bytes (version u16, attestation key type u16, tee_type u32 (v3: reserved, zero), QE SVN u16,
    PCE SVN u16, QE vendor id 16, user data 20); v5: body type u16, body size u32; body; u32 size of the signature
    data; signature 64, attestation key 64; v3: QE report 384, its signature 64, auth data (u16 size), certification
    data (u16 type, u32 size); v4 and v5 wrap what follows the key in certification data of type 6. All little-endian.
    Bytes after the signature data must be zero (some quoting libraries hand out a padded buffer).

    Args:
        data: untrusted bytes, of a TEE that `quote_tee_type` has told.
        forms: by the body type of version 5; versions 3 and 4 carry the first one.
    Raises:
        MalformedError, UnsupportedError, LimitExceededError: and nothing else, for any bytes.
    Spec:
        Intel SGX ECDSA Quote Library Reference, A.4; Intel TDX DCAP Quoting Library API, A.3 (v4) and A.4 (v5).
    """
    version, key_type, _, qe_svn, pce_svn, vendor_id, _ = _HEADER.unpack_from(_limited(data))
    if key_type != ATTESTATION_KEY_ECDSA_P256:
        raise UnsupportedError(f"the quote's attestation key type is {key_type}, supported is 2 (ECDSA P-256)")
    reader = _Reader(data, HEADER_BYTES, len(data), "the quote")
    form = _read_form(reader, forms) if version == 5 else next(iter(forms.values()))
    report = form.parse(reader.take(form.size, "body"))
    signed = data[: reader.offset]
    size = reader.u32("signature data size")
    signature_data = _Reader(data, reader.offset, reader.offset + size, "the quote's signature data")
    reader.take(size, "signature data")
    if any(data[reader.offset :]):
        raise MalformedError(f"{len(data) - reader.offset} bytes that are not zero follow the quote's signature data")
    signature = signature_data.take(64, "signature")
    attestation_key = signature_data.take(64, "attestation key")
    if version != 3:
        signature_data = _unwrap_qe_report(signature_data)
    qe_report_bytes = signature_data.take(ENCLAVE_REPORT_BYTES, "QE report")
    qe_report_signature = signature_data.take(64, "QE report signature")
    qe_auth_data = signature_data.take(signature_data.u16("QE auth data size"), "QE auth data")
    certification_type = signature_data.u16("certification data type")
    certification_data = signature_data.take(signature_data.u32("certification data size"), "certification data")
    signature_data.finish()
    return Quote(
        version=version,
        qe_svn=qe_svn,
        pce_svn=pce_svn,
        qe_vendor_id=vendor_id,
        signed=signed,
        report=report,
        signature=signature,
        attestation_key=attestation_key,
        qe_report_bytes=qe_report_bytes,
        qe_report=parse_enclave_report(qe_report_bytes),
        qe_report_signature=qe_report_signature,
        qe_auth_data=qe_auth_data,
        certification_type=certification_type,
        certification_data=certification_data,
    )


def _limited(data: bytes) -> bytes:
    if len(data) > MAX_QUOTE_BYTES:
        raise LimitExceededError(f"the quote is {len(data)} bytes long, the limit is {MAX_QUOTE_BYTES}")
    return data


def _read_form(reader: _Reader, forms: Mapping[int, BodyForm[Body_co]]) -> BodyForm[Body_co]:
    body_type, body_bytes = reader.u16("body type"), reader.u32("body size")
    form = forms.get(body_type)
    if form is None:
        known = " and ".join(str(each) for each in forms)
        raise UnsupportedError(f"the quote's body type is {body_type}, expected {known} for its TEE type")
    if body_bytes != form.size:
        raise MalformedError(f"the quote's body is {body_bytes} bytes long, expected {form.size}")
    return form


def _unwrap_qe_report(outer: _Reader) -> _Reader:
    """Enter the certification data of type 6 that versions 4 and 5 put around the QE's report."""
    kind = outer.u16("certification data type")
    if kind != CertificationDataType.QE_REPORT:
        raise UnsupportedError(f"the quote's outer certification data has type {kind}, expected 6 (QE report)")
    size = outer.u32("QE report certification data size")
    inner = _Reader(outer.data, outer.offset, outer.offset + size, "the quote's QE report certification data")
    outer.take(size, "QE report certification data")
    outer.finish()
    return inner
