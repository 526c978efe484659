"""An enclave's author: signs SIGSTRUCTs, written from the manual and not from the code under test."""

import struct
from functools import cache

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

FIELDS = {
    "header": 0,
    "vendor": 16,
    "date": 20,
    "header2": 24,
    "software_defined": 40,
    "misc_select": 900,
    "misc_mask": 904,
    "cet": 908,
    "reserved_910": 910,
    "isv_family_id": 912,
    "attributes": 928,
    "attribute_mask": 944,
    "mr_enclave": 960,
    "isv_ext_prod_id": 1008,
    "isv_prod_id": 1024,
    "isv_svn": 1026,
}


@cache
def make_key(number: int = 0) -> rsa.RSAPrivateKey:
    """An author's key; the same one for the same number."""
    del number
    return rsa.generate_private_key(public_exponent=3, key_size=3072)


def sign(fields: dict[str, bytes], key: rsa.RSAPrivateKey | None = None) -> bytes:
    """Make a SIGSTRUCT with these fields (and all others as an author would leave them), signed and complete."""
    given = {
        "header": bytes.fromhex("06000000e10000000000010000000000"),
        "date": struct.pack("<I", 0x20260102),
        "header2": bytes.fromhex("01010000600000006000000001000000"),
        "attributes": bytes.fromhex("04000000000000000300000000000000"),
        "attribute_mask": bytes.fromhex("ffffffffffffffff1bffffffffffffff"),
        "mr_enclave": bytes(range(32)),
        **fields,
    }
    data = bytearray(1808)
    for name, value in given.items():
        data[FIELDS[name] : FIELDS[name] + len(value)] = value
    return seal(data, make_key() if key is None else key)


def seal(data: bytes | bytearray, key: rsa.RSAPrivateKey) -> bytes:
    """Put key, signature and quotients into a SIGSTRUCT whose other fields are there."""
    sealed = bytearray(data)
    modulus = key.public_key().public_numbers().n
    signature = int.from_bytes(key.sign(bytes(sealed[:128] + sealed[900:1028]), padding.PKCS1v15(), hashes.SHA256()))
    q1 = signature**2 // modulus
    q2 = (signature**3 - q1 * signature * modulus) // modulus
    sealed[128:512] = modulus.to_bytes(384, "little")
    sealed[512:516] = (3).to_bytes(4, "little")
    sealed[516:900] = signature.to_bytes(384, "little")
    sealed[1040:1424] = q1.to_bytes(384, "little")
    sealed[1424:1808] = q2.to_bytes(384, "little")
    return bytes(sealed)
