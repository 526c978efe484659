"""SIGSTRUCT: what the author of an SGX enclave signed.

Spec:
    Intel SDM vol. 3D, "Enclave Signature Structure (SIGSTRUCT)".
"""

import hashlib
import struct
from typing import Final, NamedTuple

from verdictd.core.errors import MalformedError

SIGSTRUCT_BYTES: Final = 1808
DEBUG_ATTRIBUTE: Final = 1 << 1
"""Of ATTRIBUTES.FLAGS: the enclave's memory can be read and written from outside."""

_LAYOUT: Final = struct.Struct("<16sI4s16sI84s384sI384s4s4s4s16s16s16s32s16s16sHH12s384s384s")
"""The fields of `Sigstruct` in their order."""
_SIGNED_PARTS: Final = (slice(128), slice(900, 1028))


class Sigstruct(NamedTuple):
    """A SIGSTRUCT's fields in their order; byte strings as in the structure, integers unsigned.

    Trust: none until the checks of `verdictd.enclave.sigstruct_checks` hold; and then as much as the signer's key.
    """

    header: bytes
    vendor: int
    date: bytes
    header2: bytes
    software_defined: int
    reserved_44: bytes
    modulus: bytes
    exponent: int
    signature: bytes
    misc_select: bytes
    misc_mask: bytes
    reserved_908: bytes
    isv_family_id: bytes
    attributes: bytes
    attribute_mask: bytes
    mr_enclave: bytes
    reserved_992: bytes
    isv_ext_prod_id: bytes
    isv_prod_id: int
    isv_svn: int
    reserved_1028: bytes
    q1: bytes
    q2: bytes

    @property
    def mr_signer(self) -> bytes:
        """SHA-256 of the modulus as it stands in the structure: little-endian, 384 bytes."""
        return hashlib.sha256(self.modulus).digest()

    @property
    def day(self) -> str:
        """The day it was signed, as the signer wrote it: ``YYYYMMDD`` in BCD; hexadecimal where it is none."""
        return self.date[::-1].hex()

    @property
    def allows_debug(self) -> bool:
        """Whether the CPU starts the enclave as a debug enclave too: the signer's mask leaves that bit open."""
        return not self.attribute_mask[0] & DEBUG_ATTRIBUTE


def parse_sigstruct(data: bytes) -> Sigstruct:
    """Take a SIGSTRUCT apart.

    Layout: 1,808 bytes, little-endian; HEADER 0 (16), VENDOR 16 (4), DATE 20 (4), HEADER2 24 (16), SWDEFINED 40 (4),
    MODULUS 128 (384), EXPONENT 512 (4), SIGNATURE 516 (384), MISCSELECT 900 (4), MISCMASK 904 (4), ISVFAMILYID 912
    (16), ATTRIBUTES 928 (16), ATTRIBUTEMASK 944 (16), ENCLAVEHASH 960 (32), ISVEXTPRODID 1008 (16), ISVPRODID 1024
    (2), ISVSVN 1026 (2), Q1 1040 (384), Q2 1424 (384); the rest is reserved.

    Raises:
        MalformedError: not 1,808 bytes.
    """
    if len(data) != SIGSTRUCT_BYTES:
        raise MalformedError(f"a SIGSTRUCT is {SIGSTRUCT_BYTES} bytes long, this one is {len(data)}")
    return Sigstruct._make(_LAYOUT.unpack(data))


def signed_bytes(data: bytes) -> bytes:
    """The 256 bytes of a SIGSTRUCT that are signed: all before the key, and the body after it."""
    return b"".join(data[part] for part in _SIGNED_PARTS)
