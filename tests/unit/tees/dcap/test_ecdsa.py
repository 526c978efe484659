"""Raw keys and signatures: P-256 alone, 64 bytes each, and nothing that only looks like it."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.tees.simulated import flipped
from verdictd.core.errors import AuthenticityError, MalformedError, VerdictdError
from verdictd.simulator.keys import generate_key, raw_public_key, sign_raw
from verdictd.tees.dcap.ecdsa import parse_raw_public_key, verify_raw_signature

KEY = generate_key()
PUBLIC = KEY.public_key()
MESSAGE = b"what is signed"
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def test_a_key_is_read() -> None:
    key = parse_raw_public_key(raw_public_key(KEY))
    assert key == PUBLIC
    assert isinstance(key.curve, ec.SECP256R1)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        bytes(63),
        bytes(65),
        b"\x04" + raw_public_key(KEY),
        bytes(64),
        b"\xff" * 64,
        raw_public_key(KEY)[32:] + raw_public_key(KEY)[:32],
        raw_public_key(KEY)[:32] + bytes(32),
    ],
    ids=["empty", "a byte short", "a byte long", "with its prefix", "zeros", "ones", "swapped", "x without y"],
)
def test_what_is_no_point_of_the_curve_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedError, match="P-256"):
        parse_raw_public_key(raw)


@settings(max_examples=60)
@given(st.binary(min_size=64, max_size=64))
def test_any_64_bytes_are_a_key_or_our_error(raw: bytes) -> None:
    try:
        key = parse_raw_public_key(raw)
    except MalformedError:
        return
    assert key.public_numbers().x.to_bytes(32, "big") == raw[:32]


def test_a_signature_is_verified() -> None:
    verify_raw_signature(PUBLIC, sign_raw(KEY, MESSAGE), MESSAGE, "it")


@pytest.mark.parametrize("bit", range(0, 512, 5))
def test_every_bit_of_a_signature_counts(bit: int) -> None:
    with pytest.raises(AuthenticityError, match="it does not verify"):
        verify_raw_signature(PUBLIC, flipped(sign_raw(KEY, MESSAGE), bit), MESSAGE, "it")


def test_message_and_key_count() -> None:
    signature = sign_raw(KEY, MESSAGE)
    for key, message in ((PUBLIC, MESSAGE + b"\0"), (PUBLIC, b""), (generate_key().public_key(), MESSAGE)):
        with pytest.raises(AuthenticityError, match="it does not verify"):
            verify_raw_signature(key, signature, message, "it")


@pytest.mark.parametrize(
    ("r", "s"), [(0, 0), (0, 1), (1, 0), (1, 1), (ORDER, 1), (1, ORDER), (ORDER, ORDER), (2**256 - 1, 2**256 - 1)]
)
def test_numbers_that_no_signature_has_are_refused(r: int, s: int) -> None:
    """Zero for both passed with verifiers that forgot to look (CVE-2022-21449)."""
    with pytest.raises(AuthenticityError, match="it does not verify"):
        verify_raw_signature(PUBLIC, r.to_bytes(32, "big") + s.to_bytes(32, "big"), MESSAGE, "it")


@pytest.mark.parametrize("size", [0, 32, 63, 65, 70, 128])
def test_any_other_size_is_refused(size: int) -> None:
    with pytest.raises(AuthenticityError, match=f"64 bytes long, this one is {size}"):
        verify_raw_signature(PUBLIC, bytes(size), MESSAGE, "it")


@settings(max_examples=60)
@given(st.binary(max_size=80))
def test_any_bytes_are_no_signature(signature: bytes) -> None:
    with pytest.raises(VerdictdError):
        verify_raw_signature(PUBLIC, signature, MESSAGE, "it")
