"""Reports, tables and quotes to feed the stand-ins with."""

import struct
from functools import cache

from tests.unit.tees.simulated import platform

REPORT_DATA = bytes(range(64))
OTHER_REPORT_DATA = bytes(64)
VCEK = bytes.fromhex("63da758de6644564adc5f4b93be8accd")


def snp_report(report_data: bytes = REPORT_DATA, level: int = 0) -> bytes:
    """A report of the right form whose signature is nothing but zeros."""
    head = struct.pack("<IIQ32sIIQQQ", 3, 0, 0x30000, bytes(32), level, 1, 0, 0, 0)
    return (head + report_data).ljust(1184, b"\0")


def certificate_table(*certificates: bytes) -> bytes:
    """A table as a host writes it: entries, one of zeros, then what they point to."""
    place = 24 * (len(certificates) + 1)
    entries, contents = b"", b""
    for number, certificate in enumerate(certificates):
        guid = VCEK if not number else bytes([number] * 16)
        entries += struct.pack("<16sII", guid, place + len(contents), len(certificate))
        contents += certificate
    return entries + bytes(24) + contents


TABLE = certificate_table(b"a VCEK" * 230, b"an ASK" * 260)


@cache
def td_quote(report_data: bytes = REPORT_DATA, version: int = 4) -> bytes:
    """A quote of a simulated TD, signed as the simulated vendor endorses it."""
    return platform().td_quote(report_data=report_data, quote_version=version)
