"""A signed enclave image as Intel's SDK makes them, of any content: something to take reference values from.

It is laid out as the SDK does it, measured and signed for real; there is no code in it that would run.
"""

import hashlib
import struct
from dataclasses import dataclass
from datetime import date
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

KEY_BITS: Final = 3072
KEY_EXPONENT: Final = 3

_PAGE: Final = 4096
_CODE, _DATA, _TCS = 0x205, 0x203, 0x100
"""SECINFO.FLAGS of the pages: regular ones that can be read and executed, read and written; thread control."""
_EADD, _EEXTEND = 1, 2
_HEAP_ID, _TCS_ID, _SSA_ID = 1, 4, 6
_HEAP_PAGES: Final = 16
_SSA_PAGES: Final = 2
_METADATA_MAGIC: Final = 0x86A80294635D0E4C
_METADATA_VERSION: Final = 2 << 32 | 4
_DATA_AT: Final = 64 + 1808 + 32
_NOTE_NAME: Final = b"sgx_metadata\0"
_FLAGS: Final = bytes.fromhex("0400000000000000e700000000000000")
_MASK: Final = bytes.fromhex("ffffffffffffffff1bffffffffffffff")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnclaveIdentity:
    """What the author gives an enclave beside its content: product and version, 0 to 65535 each, and the day."""

    isv_prod_id: int
    isv_svn: int
    signed_on: date


def generate_author_key() -> rsa.RSAPrivateKey:
    """Make a key such as SGX wants for signing enclaves. Takes a second."""
    return rsa.generate_private_key(public_exponent=KEY_EXPONENT, key_size=KEY_BITS)


def build_enclave_image(content: bytes, key: rsa.RSAPrivateKey, identity: EnclaveIdentity) -> bytes:
    """Build and sign an image.

    Args:
        content: what the enclave's one segment holds.
        key: the author's, of 3,072 bits with the exponent 3.
        identity: see there.

    Raises:
        ValueError: the key is of another kind.
    """
    numbers = key.public_key().public_numbers()
    if (numbers.e, numbers.n.bit_length()) != (KEY_EXPONENT, KEY_BITS):
        raise ValueError(f"an enclave is signed with RSA of {KEY_BITS} bits and the exponent {KEY_EXPONENT}")
    pages = -(-len(content) // _PAGE)
    size = 1 << (max((pages + _HEAP_PAGES + 1 + _SSA_PAGES) * _PAGE, 2) - 1).bit_length()
    tcs = struct.pack("<QQQIIQQQQII", 0, 0, _PAGE, 0, _SSA_PAGES, 0, 0, 0, 0, 0xFFF, 0xFFF)
    sigstruct = _sign(_measure(content, pages, size, tcs), key, identity)
    return _write_elf(content, _build_metadata(pages, size, tcs, sigstruct))


def _measure(content: bytes, pages: int, size: int, tcs: bytes) -> bytes:
    """Measure as the CPU would, page by page."""
    digest = hashlib.sha256(b"ECREATE\0" + struct.pack("<IQ44x", 1, size))

    def add(page: int, flags: int, data: bytes | None) -> None:
        digest.update(struct.pack("<8sQQ40x", b"EADD", page * _PAGE, flags))
        for at in range(0, 0 if data is None else _PAGE, 256):
            assert data is not None
            digest.update(struct.pack("<8sQ48x", b"EEXTEND", page * _PAGE + at) + data[at : at + 256])

    for page in range(pages):
        add(page, _CODE, content[page * _PAGE : (page + 1) * _PAGE].ljust(_PAGE, b"\0"))
    for page in range(pages, pages + _HEAP_PAGES):
        add(page, _DATA, None)
    add(pages + _HEAP_PAGES, _TCS, _place_tcs(tcs, (pages + _HEAP_PAGES) * _PAGE))
    for page in range(_SSA_PAGES):
        add(pages + _HEAP_PAGES + 1 + page, _DATA, bytes(_PAGE))
    return digest.digest()


def _place_tcs(template: bytes, address: int) -> bytes:
    page = bytearray(template.ljust(_PAGE, b"\0"))
    for at in (16, 48, 56):
        struct.pack_into("<Q", page, at, struct.unpack_from("<Q", page, at)[0] + address)
    return bytes(page)


def _build_metadata(pages: int, size: int, tcs: bytes, sigstruct: bytes) -> bytes:
    entry = struct.Struct("<HHIQIIQ")
    heap, thread = pages * _PAGE, (pages + _HEAP_PAGES) * _PAGE
    layout = (
        entry.pack(_HEAP_ID, _EADD, _HEAP_PAGES, heap, 0, 0, _DATA)
        + entry.pack(_TCS_ID, _EADD | _EEXTEND, 1, thread, len(tcs), _DATA_AT, _TCS)
        + entry.pack(_SSA_ID, _EADD | _EEXTEND, _SSA_PAGES, thread + _PAGE, 0, 0, _DATA)
    )
    total = _DATA_AT + len(tcs) + len(layout)
    header = struct.pack("<QQIIIIIIQ", _METADATA_MAGIC, _METADATA_VERSION, total, 1, 1, 2632, 0, 0, size) + _FLAGS
    directories = struct.pack("<II", 0, 0) + struct.pack("<II", _DATA_AT + len(tcs), len(layout)) + bytes(16)
    return header + sigstruct + directories + tcs + layout


def _sign(mr_enclave: bytes, key: rsa.RSAPrivateKey, identity: EnclaveIdentity) -> bytes:
    day = bytes.fromhex(identity.signed_on.strftime("%Y%m%d"))[::-1]
    head = bytes.fromhex("06000000e10000000000010000000000") + bytes(4) + day
    head += bytes.fromhex("01010000600000006000000001000000") + bytes(88)
    body = bytes(4) + b"\xff" * 4 + bytes(20) + _FLAGS + _MASK + mr_enclave + bytes(32)
    body += struct.pack("<HH", identity.isv_prod_id, identity.isv_svn)
    modulus = key.public_key().public_numbers().n
    signature = int.from_bytes(key.sign(head + body, padding.PKCS1v15(), hashes.SHA256()), "big")
    q1, rest = divmod(signature**2, modulus)
    words = (
        number.to_bytes(KEY_BITS // 8, "little") for number in (modulus, signature, q1, rest * signature // modulus)
    )
    modulus_bytes, signature_bytes, q1_bytes, q2_bytes = words
    exponent = KEY_EXPONENT.to_bytes(4, "little")
    return head + modulus_bytes + exponent + signature_bytes + body + bytes(12) + q1_bytes + q2_bytes


def _write_elf(content: bytes, metadata: bytes) -> bytes:
    """A shared object: a page of headers, the segment, and the note with the metadata."""
    note = struct.pack("<III", len(_NOTE_NAME), len(metadata), 0) + _NOTE_NAME + metadata
    names = b"\0.note.sgxmeta\0.shstrtab\0"
    note_at = _PAGE + len(content)
    names_at = note_at + len(note)
    section = struct.Struct("<IIQQQQIIQQ")
    sections = (
        bytes(section.size)
        + section.pack(1, 7, 0, 0, note_at, len(note), 0, 0, 4, 0)
        + section.pack(15, 3, 0, 0, names_at, len(names), 0, 0, 1, 0)
    )
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", ident, 3, 62, 1, 0, 64, names_at + len(names), 0, 64, 56, 1, section.size, 3, 2
    )
    program = struct.pack("<IIQQQQQQ", 1, 5, _PAGE, 0, 0, len(content), len(content), _PAGE)
    return (header + program).ljust(_PAGE, b"\0") + content + note + names + sections
