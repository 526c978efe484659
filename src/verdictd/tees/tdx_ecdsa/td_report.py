"""The TD report body: what the TDX module measured of a trust domain (TD), inside a quote."""

import struct
from typing import Final, NamedTuple

from verdictd.core.errors import MalformedError, UnsupportedError
from verdictd.tees.dcap.quote import TEE_TYPE_TDX, BodyForm, Quote, parse_container, quote_tee_type

TD_REPORT_10_BYTES: Final = 584
TD_REPORT_15_BYTES: Final = 648
BODY_TYPE_TD_10: Final = 2
BODY_TYPE_TD_15: Final = 3
RTMRS: Final = 4

ATTRIBUTE_DEBUG: Final = 1 << 0
ATTRIBUTE_SEPT_VE_DISABLE: Final = 1 << 28
ATTRIBUTE_MIGRATABLE: Final = 1 << 29
ATTRIBUTE_PKS: Final = 1 << 30
ATTRIBUTE_KEY_LOCKER: Final = 1 << 31
ATTRIBUTE_PERFMON: Final = 1 << 63
TUD_BITS: Final = 0xFF
"""Attributes under which the TD's host can look into it: bit 0 is DEBUG, the others are reserved for such."""

_LAYOUT = struct.Struct("<16s48s48s8s8s8s48s48s48s48s48s48s48s48s64s")
"""The fields of `TDReport` up to `report_data`, in their order."""
_LAYOUT_15 = struct.Struct("<16s48s")


class TDReport(NamedTuple):
    """A parsed TD report body. Byte strings are as in the report.

    Trust: unauthenticated until the signature over the quote was verified.

    Attributes:
        tee_tcb_svn: 16 component SVNs of the TDX module that made the TD; byte 1 is the module's version.
        mr_seam, mr_signer_seam: the module's measurement and signer, 48 bytes each.
        seam_attributes, td_attributes, xfam: 8 bytes each, little-endian.
        mr_td: the TD as it was built, 48 bytes.
        mr_config_id, mr_owner, mr_owner_config: what the TD's owner set, 48 bytes each.
        rtmr0, rtmr1, rtmr2, rtmr3: registers that are extended while the TD runs, 48 bytes each.
        report_data: 64 bytes.
        tee_tcb_svn2: of TDX 1.5: the same as `tee_tcb_svn` of the module that runs now; else ``None``.
        mr_service_td: of TDX 1.5: the service TDs bound to this one, 48 bytes; else ``None``.
    """

    tee_tcb_svn: bytes
    mr_seam: bytes
    mr_signer_seam: bytes
    seam_attributes: bytes
    td_attributes: bytes
    xfam: bytes
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

    @property
    def attribute_bits(self) -> int:
        """The TD's attributes as a number."""
        return int.from_bytes(self.td_attributes, "little")

    @property
    def is_debug(self) -> bool:
        """Whether the TD's host can look into it."""
        return bool(self.attribute_bits & TUD_BITS)


def parse_td_report(data: bytes) -> TDReport:
    """Parse a TD report body, of TDX 1.0 or 1.5 by its size.

    Layout: TEE_TCB_SVN 0 (16), MRSEAM 16 (48), MRSIGNERSEAM 64 (48), SEAMATTRIBUTES 112 (8), TDATTRIBUTES 120 (8),
    XFAM 128 (8), MRTD 136 (48), MRCONFIGID 184 (48), MROWNER 232 (48), MROWNERCONFIG 280 (48), RTMR0 to 3 328 (48
    each), REPORTDATA 520 (64); TDX 1.5 adds TEE_TCB_SVN2 584 (16), MRSERVICETD 600 (48).

    Raises:
        MalformedError: of another size.
    Spec:
        Intel TDX DCAP Quoting Library API, A.3.2 "TD Quote Body", A.4 "TD Quote Body for TDX 1.5".
    """
    if len(data) not in {TD_REPORT_10_BYTES, TD_REPORT_15_BYTES}:
        raise MalformedError(
            f"a TD report body is {TD_REPORT_10_BYTES} or {TD_REPORT_15_BYTES} bytes long, this one is {len(data)}"
        )
    fields = _LAYOUT.unpack_from(data)
    added = _LAYOUT_15.unpack_from(data, TD_REPORT_10_BYTES) if len(data) == TD_REPORT_15_BYTES else ()
    return TDReport(*fields, *added)


_TD_10: Final = BodyForm(TD_REPORT_10_BYTES, parse_td_report)
_TD_15: Final = BodyForm(TD_REPORT_15_BYTES, parse_td_report)
_FORMS: Final = {BODY_TYPE_TD_10: _TD_10, BODY_TYPE_TD_15: _TD_15}


def parse_td_quote(data: bytes) -> Quote[TDReport]:
    """Parse a TDX quote of version 4 (TDX 1.0) or 5 (TDX 1.0 and 1.5); see `parse_container`.

    Raises:
        MalformedError, UnsupportedError, LimitExceededError: and nothing else, for any bytes.
    """
    if quote_tee_type(data) != TEE_TYPE_TDX:
        raise UnsupportedError("this is an SGX quote, expected a TDX quote")
    return parse_container(data, _FORMS)
