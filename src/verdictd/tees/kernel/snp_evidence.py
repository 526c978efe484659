"""SEV-SNP evidence put together: the report, and behind it the certificates that the host gave along."""

import struct
from typing import Final

from verdictd.core.errors import MalformedError

REPORT_BYTES: Final = 1184
_REPORT_DATA: Final = slice(0x50, 0x90)
_ENTRY: Final = struct.Struct("<16sII")
"""GUID, offset from the table's begin, length."""


def read_report_data(evidence: bytes) -> bytes:
    """Read the report data of evidence, 64 bytes.

    Raises:
        MalformedError: shorter than a report, 1184 bytes.
    Spec:
        AMD 56860, SEV Secure Nested Paging Firmware ABI, "ATTESTATION_REPORT".
    """
    if len(evidence) < REPORT_BYTES:
        raise MalformedError(f"an SEV-SNP report is {REPORT_BYTES} bytes long, this one is {len(evidence)}")
    return evidence[_REPORT_DATA]


def join_evidence(report: bytes, certificates: bytes) -> bytes:
    """Put report and certificate table together; the table without what no entry of it points to at its end.

    Trust: the table is the host's, who may put in anything. Its form is checked, so that a mistake shows here and not
    at the peer.

    Args:
        report: 1184 bytes.
        certificates: a table, or zeros or nothing where the host gave none.
    Raises:
        MalformedError: a report of another size, or a table whose entries have no end or point to its outside.
    Spec:
        AMD 56421, SEV-ES Guest-Hypervisor Communication Block Standardization, 4.1.8.1.
    """
    if len(report) != REPORT_BYTES:
        raise MalformedError(f"an SEV-SNP report is {REPORT_BYTES} bytes long, this one is {len(report)}")
    return report + certificates[: _measure_table(certificates)]


def _measure_table(table: bytes) -> int:
    end = 0
    for place in range(0, len(table) - _ENTRY.size + 1, _ENTRY.size):
        entry = table[place : place + _ENTRY.size]
        if not any(entry):
            return max(end, place + _ENTRY.size) if place else 0
        _, offset, length = _ENTRY.unpack(entry)
        if offset + length > len(table):
            raise MalformedError(f"the host's certificate table points to byte {offset + length} of {len(table)}")
        end = max(end, offset + length)
    if any(table):
        raise MalformedError("the host's certificate table has no entry that ends it")
    return 0
