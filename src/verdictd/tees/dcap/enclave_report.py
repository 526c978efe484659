"""The SGX report body: what the CPU measured of an enclave, inside a quote (the workload's, and the QE's own)."""

import struct
from typing import NamedTuple

from verdictd.core.errors import MalformedError

ENCLAVE_REPORT_BYTES = 384
ATTRIBUTE_DEBUG = 0x02
"""Bit of ATTRIBUTES.FLAGS: the enclave's memory can be read and written from outside."""

_LAYOUT = struct.Struct("<16s4s12x16s16s32s32x32s32x64sHHH42x16s64s")
"""The fields of `EnclaveReport` in their order; x is reserved."""


class EnclaveReport(NamedTuple):
    """A parsed report body. Byte strings are as in the report; integers are unsigned.

    Trust: unauthenticated until the signature over the report was verified.
    """

    cpu_svn: bytes
    misc_select: bytes
    isv_ext_prod_id: bytes
    attributes: bytes
    mr_enclave: bytes
    mr_signer: bytes
    config_id: bytes
    isv_prod_id: int
    isv_svn: int
    config_svn: int
    isv_family_id: bytes
    report_data: bytes

    @property
    def is_debug(self) -> bool:
        """Whether the enclave was launched with the DEBUG attribute."""
        return bool(self.attributes[0] & ATTRIBUTE_DEBUG)


def parse_enclave_report(data: bytes) -> EnclaveReport:
    """Parse an SGX report body.

    Layout: 384 bytes, little-endian; CPUSVN 0 (16), MISCSELECT 16 (4), ISVEXTPRODID 32 (16), ATTRIBUTES 48 (16: flags,
    xfrm), MRENCLAVE 64 (32), MRSIGNER 128 (32), CONFIGID 192 (64), ISVPRODID 256 (2), ISVSVN 258 (2),
    CONFIGSVN 260 (2), ISVFAMILYID 304 (16), REPORTDATA 320 (64); the rest is reserved.

    Raises:
        MalformedError: not 384 bytes.
    Spec:
        Intel SDM vol. 3D, "REPORT"; Intel SGX ECDSA Quote Library Reference, A.4, "Enclave Report Body".
    """
    if len(data) != ENCLAVE_REPORT_BYTES:
        raise MalformedError(f"an SGX report body is {ENCLAVE_REPORT_BYTES} bytes long, this one is {len(data)}")
    return EnclaveReport._make(_LAYOUT.unpack(data))
