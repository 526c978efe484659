"""SM2 signatures: the standard's own example, and openssl in both directions."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.tees.sm2 import openssl
from verdictd.core.errors import AuthenticityError, LimitExceededError, MalformedError
from verdictd.simulator.sm2_key import derive_sm2_key
from verdictd.tees.sm2.curve import FIELD, GENERATOR, ORDER, add_multiples
from verdictd.tees.sm2.verification import (
    MAX_MESSAGE_BYTES,
    MAX_NAME_BYTES,
    SM2PublicKey,
    SM2Signature,
    hash_message,
    hash_sm3,
    make_public_key,
    verify_sm2_signature,
)

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl command")

STANDARD_KEY = make_public_key(
    0x09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020,
    0xCCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13,
    b"1234567812345678",
)
STANDARD_MESSAGE = b"message digest"
STANDARD_SIGNATURE = SM2Signature(
    0xF5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3,
    0xB1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA,
)
"""GB/T 32918.5-2017, annex A.2."""
KEY = derive_sm2_key(bytes(32), b"a name")


def refuses(key: SM2PublicKey, signature: SM2Signature, message: bytes) -> bool:
    try:
        verify_sm2_signature(key, signature, message, "the signature")
    except AuthenticityError:
        return True
    return False


def test_the_standards_example() -> None:
    digest = 0xF0B43E94BA45ACCAACE692ED534382EB17E6AB5A19CE7B31F4486FDFC0D28640
    assert hash_message(STANDARD_KEY, STANDARD_MESSAGE) == digest
    verify_sm2_signature(STANDARD_KEY, STANDARD_SIGNATURE, STANDARD_MESSAGE, "the signature")


def test_the_digest_of_the_standard() -> None:
    """GM/T 0004-2012, annex A.1."""
    assert hash_sm3(b"abc").hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"


@pytest.mark.parametrize(
    ("key", "signature", "message"),
    [
        (STANDARD_KEY, STANDARD_SIGNATURE, STANDARD_MESSAGE + b"."),
        (STANDARD_KEY._replace(name=b"1234567812345679"), STANDARD_SIGNATURE, STANDARD_MESSAGE),
        (STANDARD_KEY._replace(name=b""), STANDARD_SIGNATURE, STANDARD_MESSAGE),
        (make_public_key(*GENERATOR, STANDARD_KEY.name), STANDARD_SIGNATURE, STANDARD_MESSAGE),
        (STANDARD_KEY, SM2Signature(*reversed(STANDARD_SIGNATURE)), STANDARD_MESSAGE),
    ],
)
def test_another_message_name_key_or_order_is_refused(
    key: SM2PublicKey, signature: SM2Signature, message: bytes
) -> None:
    assert refuses(key, signature, message)


def test_numbers_out_of_range_are_refused_though_they_would_be_equal_modulo_the_order() -> None:
    r, s = STANDARD_SIGNATURE
    for signature in ((r + ORDER, s), (r - ORDER, s), (r, s + ORDER), (r, s - ORDER), (0, s), (r, 0), (ORDER, s)):
        assert refuses(STANDARD_KEY, SM2Signature(*signature), STANDARD_MESSAGE)


def test_numbers_whose_sum_is_zero_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the key plays no part. Nobody finds a message with such a digest, so the digest is chosen."""
    s = 7
    point = add_multiples(s, 0, GENERATOR)
    assert point is not None
    digest = (-s - point.x) % ORDER
    monkeypatch.setattr("verdictd.tees.sm2.verification.hash_message", lambda *_: digest)
    assert (digest + point.x) % ORDER == ORDER - s
    assert refuses(KEY.public_key, SM2Signature(ORDER - s, s), b"anything")


@pytest.mark.parametrize(("r", "s"), [(0, 7), (7, 0)])
def test_zero_is_refused_where_it_would_be_right(r: int, s: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody finds a message with such a digest, so the digest is chosen."""
    point = add_multiples(s, (r + s) % ORDER, KEY.public_key.point)
    assert point is not None
    monkeypatch.setattr("verdictd.tees.sm2.verification.hash_message", lambda *_: (r - point.x) % ORDER)
    assert refuses(KEY.public_key, SM2Signature(r, s), b"anything")


def test_a_sum_that_is_the_point_at_infinity_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has the key finds numbers that lead there, where there is no x to compare."""
    s = 7
    t = -s * pow(KEY.number, -1, ORDER) % ORDER
    r = (t - s) % ORDER
    assert add_multiples(s, t, KEY.public_key.point) is None
    monkeypatch.setattr("verdictd.tees.sm2.verification.hash_message", lambda *_: r)
    assert refuses(KEY.public_key, SM2Signature(r, s), b"anything")


def test_a_refusal_says_what_does_not_verify() -> None:
    with pytest.raises(AuthenticityError, match="the signature of X does not verify"):
        verify_sm2_signature(STANDARD_KEY, SM2Signature(1, 1), b"", "the signature of X")


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 511), st.binary(max_size=40))
def test_any_flipped_bit_of_a_signature_is_refused(bit: int, message: bytes) -> None:
    r, s = KEY.sign(message)
    flipped = SM2Signature(r ^ (1 << bit), s) if bit < 256 else SM2Signature(r, s ^ (1 << bit - 256))
    assert refuses(KEY.public_key, flipped, message)


@settings(deadline=None, max_examples=40)
@given(st.data(), st.binary(min_size=1, max_size=40))
def test_any_flipped_bit_of_a_message_is_refused(data: st.DataObject, message: bytes) -> None:
    signature = KEY.sign(message)
    verify_sm2_signature(KEY.public_key, signature, message, "the signature")
    bit = data.draw(st.integers(0, 8 * len(message) - 1))
    other = bytearray(message)
    other[bit // 8] ^= 1 << bit % 8
    assert refuses(KEY.public_key, signature, bytes(other))


@pytest.mark.parametrize(
    ("x", "y"), [(0, 0), (1, 1), (GENERATOR.x, GENERATOR.x), (GENERATOR.x + FIELD, GENERATOR.y), (-1, 0)]
)
def test_what_is_no_point_is_no_key(x: int, y: int) -> None:
    with pytest.raises(MalformedError, match="not a point"):
        make_public_key(x, y, b"")


def test_limits() -> None:
    assert make_public_key(*GENERATOR, bytes(MAX_NAME_BYTES)).name == bytes(MAX_NAME_BYTES)
    with pytest.raises(LimitExceededError, match="255 bytes"):
        make_public_key(*GENERATOR, bytes(MAX_NAME_BYTES + 1))
    longest = bytes(MAX_MESSAGE_BYTES)
    verify_sm2_signature(KEY.public_key, KEY.sign(longest), longest, "the signature")
    with pytest.raises(LimitExceededError, match="4097 bytes"):
        verify_sm2_signature(KEY.public_key, KEY.sign(longest + b"."), longest + b".", "the signature")


@needs_openssl
@pytest.mark.parametrize("name", [b"HYGON-SSD-PEK", b"1234567812345678", bytes(range(1, 255))])
@pytest.mark.parametrize("message", [b"", b"abc", bytes(range(256)) * 5])
def test_what_openssl_signs_verifies(name: bytes, message: bytes, tmp_path: Path) -> None:
    raw = openssl.make_key(tmp_path)
    key = make_public_key(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"), name)
    signature = openssl.sign(message, name, tmp_path)
    verify_sm2_signature(key, signature, message, "the signature")
    assert refuses(key, signature, message + b"\0")
    assert key.encoded == raw


@needs_openssl
@pytest.mark.parametrize("name", [b"HYGON-SSD-HRK", b"x"])
def test_what_the_simulator_signs_openssl_accepts(name: bytes, tmp_path: Path) -> None:
    key = derive_sm2_key(b"seed", name)
    signature = key.sign(b"message")
    raw = key.public_key.encoded
    assert openssl.accepts(raw, signature, b"message", name, tmp_path)
    assert not openssl.accepts(raw, signature, b"massage", name, tmp_path)
    assert not openssl.accepts(raw, signature, b"message", b"another", tmp_path)


@needs_openssl
def test_openssl_and_this_agree_on_the_standards_example_and_on_what_is_not_it(tmp_path: Path) -> None:
    r, s = STANDARD_SIGNATURE
    for signature in ((r, s), (r + 1, s), (s, r), (ORDER - s, s), (r + ORDER, s)):
        ours = not refuses(STANDARD_KEY, SM2Signature(*signature), STANDARD_MESSAGE)
        theirs = openssl.accepts(
            STANDARD_KEY.encoded, SM2Signature(*signature), STANDARD_MESSAGE, STANDARD_KEY.name, tmp_path
        )
        assert ours == theirs == (signature == (r, s))
