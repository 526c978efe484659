"""Keys and signatures on P-384 are read as they are written, and numbers that are too long are not cut."""

import struct

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.unit.tees.sev.inputs import sim
from verdictd.core.errors import AuthenticityError, MalformedError, UnsupportedError
from verdictd.tees.sev.ecdsa import read_key, verify_ecdsa_signature

NUMBERS = sim().pek.public_key().public_numbers()
ENCODED = struct.pack("<I72s72s", 2, NUMBERS.x.to_bytes(72, "little"), NUMBERS.y.to_bytes(72, "little"))
MESSAGE = b"a message"


def signature(digest: hashes.HashAlgorithm) -> bytes:
    r, s = decode_dss_signature(sim().pek.sign(MESSAGE, ec.ECDSA(digest)))
    return r.to_bytes(72, "little") + s.to_bytes(72, "little")


def changed(data: bytes, offset: int, value: int) -> bytes:
    return data[:offset] + bytes([value]) + data[offset + 1 :]


def test_a_signature_verifies() -> None:
    key = read_key(ENCODED, "it")
    verify_ecdsa_signature(key, signature(hashes.SHA256()), MESSAGE, "it")
    for other in (signature(hashes.SHA384()), bytes(144), signature(hashes.SHA256())[72:] + bytes(72)):
        with pytest.raises(AuthenticityError, match="it does not verify"):
            verify_ecdsa_signature(key, other, MESSAGE, "it")


@pytest.mark.parametrize("offset", [48, 71, 72 + 48, 143])
def test_numbers_are_not_cut(offset: int) -> None:
    with pytest.raises(MalformedError, match="longer than 48 bytes"):
        verify_ecdsa_signature(read_key(ENCODED, "it"), changed(signature(hashes.SHA256()), offset, 1), MESSAGE, "it")
    with pytest.raises(MalformedError, match="longer than 48 bytes"):
        read_key(changed(ENCODED, 4 + offset, 1), "it")


def test_other_curves_and_points_off_the_curve_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="curve 1"):
        read_key(changed(ENCODED, 0, 1), "it")
    with pytest.raises(MalformedError, match="not a point"):
        read_key(changed(ENCODED, 4, ENCODED[4] ^ 1), "it")
    with pytest.raises(MalformedError, match="not a point"):
        read_key(struct.pack("<I144x", 2), "it")
