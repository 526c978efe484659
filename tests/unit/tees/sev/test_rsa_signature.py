"""RSASSA-PSS, little-endian, with the salt and the hash of AMD's."""

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from tests.unit.tees.sev.inputs import sim
from verdictd.core.errors import AuthenticityError
from verdictd.tees.sev.rsa_signature import name_algorithm, verify_rsa_signature

KEY = sim().ark
MESSAGE = b"a message"


def sign(digest: hashes.HashAlgorithm, salt: int) -> bytes:
    return KEY.sign(MESSAGE, padding.PSS(padding.MGF1(digest), salt), digest)


GOOD = sign(hashes.SHA256(), 32)[::-1]


def test_a_signature_verifies() -> None:
    verify_rsa_signature(KEY.public_key(), GOOD, MESSAGE, "it")
    assert name_algorithm(KEY.public_key()) == 1


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        GOOD[::-1],
        GOOD[:-1],
        GOOD + b"\0",
        sign(hashes.SHA384(), 48)[::-1],
        sign(hashes.SHA256(), 20)[::-1],
        KEY.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA256())[::-1],
    ],
)
def test_other_forms_are_refused(signature: bytes) -> None:
    with pytest.raises(AuthenticityError, match=r"it does not verify|it is \d+ bytes long"):
        verify_rsa_signature(KEY.public_key(), signature, MESSAGE, "it")
