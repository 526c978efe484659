"""Every certificate of AMD's that was recorded anywhere, also within other evidence, has the verdict it should have."""

import re
from base64 import b64decode
from binascii import Error
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from itertools import product
from ssl import DER_cert_to_PEM_cert

import pytest

from tests.vectors import VECTORS, needs_vectors
from verdictd.core.errors import AuthenticityError, VerdictdError
from verdictd.tees.amd.certificates import VerifiedAMDChain, VerifiedEndorsementKey, verify_chain, verify_leaf
from verdictd.tees.amd.extensions import CHIP_ID_BYTES
from verdictd.tees.amd.key_certificate import parse_key_certificate
from verdictd.tees.amd.roots import AMDRoots, amd_roots

pytestmark = [needs_vectors, pytest.mark.vectors]
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{400,}")
_FROM_URLS = bytes.maketrans(b"-_", b"+/")
_DER = re.compile(rb"\x30\x82[\x04-\x06]")
FORGED = {
    "cee96955153de19a8c5af84d9d8c9452fa8d6bdfc2fb897972e43cc5051ccbf4",  # a chip id, put in place of the genuine one
    "f875ab6fb518d27b07897528f320346abe1a152c0d731d15e42092339acce889",  # the same, in an OCTET STRING
    "7d146c38a9a50f87cd83900edda20590a06fbdecad358e42b7e9b24f67e793a3",  # five bytes of what is signed are others
}


def contents(data: bytes, depth: int = 2) -> Iterator[bytes]:
    """What a file holds: it, and what is encoded in it."""
    yield data.replace(b"\\n", b"\n")
    for match in _BASE64.finditer(data) if depth else ():
        try:
            yield from contents(b64decode(match[0].translate(_FROM_URLS) + b"=="), depth - 1)
        except Error:
            continue


@cache
def certificates() -> tuple[bytes, ...]:
    found: dict[bytes, None] = {}
    for path in sorted((VECTORS / "sev-snp").rglob("*")):
        for content in contents(path.read_bytes()) if path.is_file() else ():
            for block in _PEM.findall(content):
                found[b64decode(b"".join(block.split(b"-----")[2].split()))] = None
            for match in _DER.finditer(content):
                end = match.start() + 4 + int.from_bytes(content[match.start() + 2 : match.start() + 4], "big")
                found[content[match.start() : end]] = None
    return tuple(der for der in found if b"Advanced Micro Devices" in der)


@cache
def chains() -> tuple[VerifiedAMDChain, ...]:
    roots = AMDRoots(amd_roots())
    found = []
    for der, root in product(certificates(), roots.roots):
        try:
            found.append(verify_chain("".join(map(DER_cert_to_PEM_cert, (der, root.authority.der))).encode(), roots))
        except VerdictdError:
            continue
    return tuple(found)


def verify(der: bytes) -> VerifiedEndorsementKey | None:
    for chain in chains():
        try:
            return verify_leaf(der, chain)
        except AuthenticityError:
            continue
    return None


def leaves() -> Iterator[bytes]:
    for der in certificates():
        try:
            name = parse_key_certificate(der, "it").common_name
        except VerdictdError:
            continue
        if name in {"SEV-VCEK", "SEV-VLEK"}:
            yield der


def test_every_intermediate_holds() -> None:
    found = sorted((chain.product, chain.key_type, hex(chain.intermediate.serial_number)) for chain in chains())
    assert found == [
        ("Genoa", "vcek", "0x20001"),  # the one that its CRL revokes
        ("Genoa", "vcek", "0x20002"),
        ("Genoa", "vlek", "0x20101"),
        ("Milan", "vcek", "0x10001"),
        ("Milan", "vlek", "0x10101"),
        ("Turin", "vcek", "0x30001"),
        ("Turin", "vlek", "0x30101"),
    ]


def test_every_leaf_holds_but_for_the_forged_ones() -> None:
    verdicts = {sha256(der).hexdigest(): verify(der) for der in leaves()}
    assert {digest for digest, found in verdicts.items() if found is None} == FORGED
    held = [found for found in verdicts.values() if found is not None]
    assert len(held) >= 29
    for found in held:
        assert found.not_before < found.not_after
        assert found.endorsed.product_name.startswith(found.chain.product)
        size = 0 if found.chain.key_type == "vlek" else CHIP_ID_BYTES[found.chain.product]
        assert len(found.endorsed.chip_id) == size
