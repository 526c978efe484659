"""The certificate table of an extended report: what the host gives a guest to go with its report.

Spec: AMD 56421, SEV-ES Guest-Hypervisor Communication Block Standardization, 4.1.8.1.
"""

import struct
from typing import Final, NamedTuple

from verdictd.core.errors import LimitExceededError, MalformedError
from verdictd.core.limits import MAX_CHAIN_BYTES

MAX_ENTRIES: Final = 16
_ENTRY: Final = struct.Struct("<16sII")
"""GUID in the order in which it is written, offset from the table's begin, length."""
_END: Final = bytes(16)
GUIDS: Final[dict[bytes, str]] = {
    bytes.fromhex("c0b406a4a803495297433fb6014cd0ae"): "ark",
    bytes.fromhex("4ab7b379bbac4fe4a02f05aef327c782"): "ask",
    bytes.fromhex("63da758de6644564adc5f4b93be8accd"): "vcek",
    bytes.fromhex("a8074bc2a25a483eaae639c045a0b8a1"): "vlek",
    bytes.fromhex("92f81bc358114d3d97ffd19f88dc67ea"): "crl",
}
"""What is known; anything else is left alone."""


class CertificateTable(NamedTuple):
    """What a host provided, in DER or PEM; empty where it did not. Beside a VLEK, `ask` is the ASVK.

    Trust: none. The host may put in anything.
    """

    ark: bytes = b""
    ask: bytes = b""
    vcek: bytes = b""
    vlek: bytes = b""
    crl: bytes = b""


def parse_certificate_table(data: bytes) -> CertificateTable:
    """Parse a table: entries up to one that is all zeros, then what they point to.

    What an entry's GUID does not name is left out; what no entry points to, too.

    Raises:
        MalformedError: it has no end, something is there twice, or an entry points to its outside or into its entries.
        LimitExceededError: longer than `MAX_CHAIN_BYTES`, or more than `MAX_ENTRIES` entries.
    """
    if len(data) > MAX_CHAIN_BYTES:
        raise LimitExceededError(f"the certificate table is {len(data)} bytes long, the limit is {MAX_CHAIN_BYTES}")
    entries: list[tuple[bytes, int, int]] = []
    for place in range(0, len(data) - _ENTRY.size + 1, _ENTRY.size):
        guid, offset, length = _ENTRY.unpack_from(data, place)
        if guid == _END:
            return _read(data, entries, place + _ENTRY.size)
        if len(entries) == MAX_ENTRIES:
            raise LimitExceededError(f"the certificate table has more than {MAX_ENTRIES} entries")
        entries.append((guid, offset, length))
    raise MalformedError("the certificate table has no entry that ends it")


def _read(data: bytes, entries: list[tuple[bytes, int, int]], begin: int) -> CertificateTable:
    found: dict[str, bytes] = {}
    for guid, offset, length in entries:
        name = GUIDS.get(guid)
        if name is None:
            continue
        if name in found:
            raise MalformedError(f"the certificate table has two entries for the {name.upper()}")
        if offset < begin or offset + length > len(data):
            raise MalformedError(f"the certificate table's entry for the {name.upper()} points to its outside")
        found[name] = data[offset : offset + length]
    return CertificateTable(**found)
