"""The trust domain that a simulated platform quotes: what it was measured to be, and the report of it."""

import hashlib
import struct
from dataclasses import dataclass, field, fields
from typing import Final, TypedDict

from verdictd.simulator.quote_builder import REPORT_DATA_BYTES

BODY_TYPE_TD_10: Final = 2
BODY_TYPE_TD_15: Final = 3
TEE_TYPE_TDX: Final = 0x81
_DEBUG, _SEPT_VE_DISABLE = 1 << 0, 1 << 28
_XFAM: Final = bytes.fromhex("e702060000000000")
"""x87, SSE, AVX, AVX-512, PKRU and AMX state."""
_TEE_TCB_SVN: Final = bytes((3, 3, 3)) + bytes(13)
"""ISVSVN and version of the module, then what it was loaded with: the newest that the vendor has."""


def _measure(what: str) -> bytes:
    return hashlib.sha384(f"tee-sim: {what}".encode("ascii")).digest()


class TrustDomainFields(TypedDict, total=False):
    """The fields of `TrustDomainSpec` as keyword arguments."""

    mr_td: bytes
    rtmr0: bytes
    rtmr1: bytes
    rtmr2: bytes
    rtmr3: bytes
    mr_config_id: bytes
    mr_owner: bytes
    mr_owner_config: bytes
    debug: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustDomainSpec:
    """A trust domain. Sizes are checked, as a TDX module would never make a report that breaks them.

    Attributes:
        mr_td: what was built, 48 bytes.
        rtmr0, rtmr1, rtmr2, rtmr3: what it measured since, 48 bytes each.
        mr_config_id, mr_owner, mr_owner_config: what its owner set, 48 bytes each.
        debug: whether its host may look into it.
    """

    mr_td: bytes = field(default_factory=lambda: _measure("the trust domain that is measured where none is named"))
    rtmr0: bytes = field(default_factory=lambda: _measure("its firmware"))
    rtmr1: bytes = field(default_factory=lambda: _measure("its kernel"))
    rtmr2: bytes = field(default_factory=lambda: _measure("its command line"))
    rtmr3: bytes = bytes(48)
    mr_config_id: bytes = bytes(48)
    mr_owner: bytes = bytes(48)
    mr_owner_config: bytes = bytes(48)
    debug: bool = False

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, bytes) and len(value) != 48:
                raise ValueError(f"{each.name} must be 48 bytes long, not {len(value)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TDReportSpec:
    """A TD report body. Nothing is checked.

    Attributes:
        tee_tcb_svn2, mr_service_td: of TDX 1.5; ``None`` leaves both out.

    Spec:
        Intel TDX DCAP Quoting Library API, A.3.2 and A.4.
    """

    tee_tcb_svn: bytes = _TEE_TCB_SVN
    mr_seam: bytes = field(default_factory=lambda: _measure("the TDX module"))
    mr_signer_seam: bytes = bytes(48)
    seam_attributes: bytes = bytes(8)
    td_attributes: bytes
    xfam: bytes = _XFAM
    mr_td: bytes
    mr_config_id: bytes
    mr_owner: bytes
    mr_owner_config: bytes
    rtmr0: bytes
    rtmr1: bytes
    rtmr2: bytes
    rtmr3: bytes
    report_data: bytes
    tee_tcb_svn2: bytes | None = None
    mr_service_td: bytes | None = None

    def encode(self) -> bytes:
        """Write the report body: 584 bytes, or 648 of TDX 1.5."""
        body = b"".join(
            (
                struct.pack("<16s48s48s", self.tee_tcb_svn, self.mr_seam, self.mr_signer_seam),
                struct.pack("<8s8s8s", self.seam_attributes, self.td_attributes, self.xfam),
                struct.pack("<48s48s48s48s", self.mr_td, self.mr_config_id, self.mr_owner, self.mr_owner_config),
                struct.pack("<48s48s48s48s", self.rtmr0, self.rtmr1, self.rtmr2, self.rtmr3),
                struct.pack("<64s", self.report_data),
            )
        )
        if self.tee_tcb_svn2 is None or self.mr_service_td is None:
            return body
        return body + struct.pack("<16s48s", self.tee_tcb_svn2, self.mr_service_td)


def td_report_of(domain: TrustDomainSpec, report_data: bytes, *, is_15: bool) -> TDReportSpec:
    """The report that a TDX module makes of a trust domain.

    Args:
        domain: what was measured.
        report_data: 64 bytes.
        is_15: whether it is a module of TDX 1.5.

    Raises:
        ValueError: the report data is not 64 bytes long.
    """
    if len(report_data) != REPORT_DATA_BYTES:
        raise ValueError(f"report_data must be {REPORT_DATA_BYTES} bytes long, not {len(report_data)}")
    attributes = _SEPT_VE_DISABLE | (_DEBUG if domain.debug else 0)
    return TDReportSpec(
        td_attributes=attributes.to_bytes(8, "little"),
        mr_td=domain.mr_td,
        mr_config_id=domain.mr_config_id,
        mr_owner=domain.mr_owner,
        mr_owner_config=domain.mr_owner_config,
        rtmr0=domain.rtmr0,
        rtmr1=domain.rtmr1,
        rtmr2=domain.rtmr2,
        rtmr3=domain.rtmr3,
        report_data=report_data,
        tee_tcb_svn2=_TEE_TCB_SVN if is_15 else None,
        mr_service_td=bytes(48) if is_15 else None,
    )
