"""The enclave that a simulated platform quotes: what it was measured to be, and the report the CPU makes of it."""

import hashlib
from dataclasses import dataclass
from typing import TypedDict

from verdictd.simulator.hardware import Hardware
from verdictd.simulator.quote_builder import REPORT_DATA_BYTES, ReportSpec

DEFAULT_MR_ENCLAVE = hashlib.sha256(b"tee-sim: the enclave that is measured where none is named").digest()
DEFAULT_MR_SIGNER = hashlib.sha256(b"tee-sim: the signer of that enclave").digest()

_INIT, _DEBUG, _MODE_64_BIT, _KSS = 0x01, 0x02, 0x04, 0x80
_XFRM = bytes.fromhex("e700000000000000")
"""x87, SSE, AVX and AVX-512 state."""
_SIZES = {"mr_enclave": 32, "mr_signer": 32, "config_id": 64, "isv_ext_prod_id": 16, "isv_family_id": 16}
_NUMBERS = ("isv_prod_id", "isv_svn", "config_svn")


class EnclaveFields(TypedDict, total=False):
    """The fields of `EnclaveSpec` as keyword arguments."""

    mr_enclave: bytes
    mr_signer: bytes
    isv_prod_id: int
    isv_svn: int
    debug: bool
    config_id: bytes
    config_svn: int
    isv_ext_prod_id: bytes
    isv_family_id: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class EnclaveSpec:
    """An enclave. Sizes and ranges are checked, as a CPU would never make a report that breaks them.

    Attributes:
        mr_enclave, mr_signer: 32 bytes each.
        isv_prod_id, isv_svn: 0 to 65535.
        debug: whether it was launched with the DEBUG attribute.
        config_id, config_svn, isv_ext_prod_id, isv_family_id: key separation and sharing: 64 bytes, 0 to 65535, 16 and
            16 bytes. Where one is not zero the report has the KSS attribute.
    """

    mr_enclave: bytes = DEFAULT_MR_ENCLAVE
    mr_signer: bytes = DEFAULT_MR_SIGNER
    isv_prod_id: int = 0
    isv_svn: int = 0
    debug: bool = False
    config_id: bytes = bytes(64)
    config_svn: int = 0
    isv_ext_prod_id: bytes = bytes(16)
    isv_family_id: bytes = bytes(16)

    def __post_init__(self) -> None:
        for name, size in _SIZES.items():
            if len(getattr(self, name)) != size:
                raise ValueError(f"{name} must be {size} bytes long, not {len(getattr(self, name))}")
        for name in _NUMBERS:
            if not 0 <= getattr(self, name) <= 0xFFFF:
                raise ValueError(f"{name} must lie between 0 and 65535, not {getattr(self, name)}")

    @property
    def attributes(self) -> bytes:
        """ATTRIBUTES of the report: 8 bytes of flags, 8 of XFRM."""
        uses_kss = any(self.config_id + self.isv_ext_prod_id + self.isv_family_id) or self.config_svn > 0
        flags = _INIT | _MODE_64_BIT | (_DEBUG if self.debug else 0) | (_KSS if uses_kss else 0)
        return flags.to_bytes(8, "little") + _XFRM


def report_of(enclave: EnclaveSpec, report_data: bytes, hardware: Hardware) -> ReportSpec:
    """The report that a CPU makes of an enclave.

    Raises:
        ValueError: the report data is not 64 bytes long.
    """
    if len(report_data) != REPORT_DATA_BYTES:
        raise ValueError(f"report_data must be {REPORT_DATA_BYTES} bytes long, not {len(report_data)}")
    return ReportSpec(
        cpu_svn=hardware.cpu_svn,
        attributes=enclave.attributes,
        mr_enclave=enclave.mr_enclave,
        mr_signer=enclave.mr_signer,
        isv_prod_id=enclave.isv_prod_id,
        isv_svn=enclave.isv_svn,
        config_id=enclave.config_id,
        config_svn=enclave.config_svn,
        isv_ext_prod_id=enclave.isv_ext_prod_id,
        isv_family_id=enclave.isv_family_id,
        report_data=report_data,
    )
