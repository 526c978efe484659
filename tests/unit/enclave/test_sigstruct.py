"""SIGSTRUCT: recorded ones hold, and each check refuses what no other does."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.enclave.signing import make_key, seal, sign
from verdictd.core.checks import Check, CheckResult
from verdictd.core.errors import MalformedError
from verdictd.enclave.sigstruct import parse_sigstruct
from verdictd.enclave.sigstruct_checks import check_sigstruct

ORDER = (
    "sigstruct.header",
    "sigstruct.vendor",
    "sigstruct.date",
    "sigstruct.header2",
    "sigstruct.exponent",
    "sigstruct.reserved",
    "sigstruct.debug",
    "sigstruct.modulus",
    "sigstruct.signature",
    "sigstruct.q1",
    "sigstruct.q2",
)


def refusing(data: bytes) -> list[str]:
    return [check.name for check in check_sigstruct(data) if check.refuses]


def only_refusal(data: bytes) -> Check:
    (check,) = (check for check in check_sigstruct(data) if check.refuses)
    return check


def change(data: bytes, offset: int, value: bytes) -> bytes:
    return data[:offset] + value + data[offset + len(value) :]


def resign(data: bytes, offset: int, value: bytes) -> bytes:
    return seal(change(data, offset, value), make_key())


def test_what_an_author_signed_holds_and_every_check_was_made() -> None:
    checks = check_sigstruct(sign({}))
    assert tuple(check.name for check in checks) == ORDER
    assert all(check.result is CheckResult.PASS for check in checks)


def test_the_fields_are_where_the_manual_has_them() -> None:
    data = sign(
        {
            "vendor": (0x8086).to_bytes(4, "little"),
            "mr_enclave": b"\x11" * 32,
            "isv_prod_id": b"\x02\x01",
            "isv_svn": b"\x04\x03",
            "isv_ext_prod_id": b"\x05" * 16,
            "isv_family_id": b"\x06" * 16,
            "misc_select": b"\x01\x00\x00\x00",
            "misc_mask": b"\xff\xff\xff\xff",
            "software_defined": b"\x07\x00\x00\x00",
        }
    )
    sigstruct = parse_sigstruct(data)
    assert sigstruct.mr_enclave == b"\x11" * 32
    assert sigstruct.mr_signer == hashlib.sha256(data[128:512]).digest()
    assert (sigstruct.isv_prod_id, sigstruct.isv_svn) == (0x0102, 0x0304)
    assert (sigstruct.isv_ext_prod_id, sigstruct.isv_family_id) == (b"\x05" * 16, b"\x06" * 16)
    assert (sigstruct.misc_select, sigstruct.misc_mask) == (b"\x01\x00\x00\x00", b"\xff" * 4)
    assert (sigstruct.vendor, sigstruct.software_defined, sigstruct.day) == (0x8086, 7, "20260102")
    assert not sigstruct.allows_debug
    assert refusing(data) == []


@pytest.mark.parametrize("size", [0, 1, 1807, 1809])
def test_another_length_is_malformed(size: int) -> None:
    with pytest.raises(MalformedError, match="1808 bytes"):
        check_sigstruct(bytes(size))


@pytest.mark.parametrize(
    ("offset", "value", "check"),
    [
        (0, b"\x07", "sigstruct.header"),
        (16, b"\x01", "sigstruct.vendor"),
        (20, b"\x32", "sigstruct.date"),
        (20, b"\x0a", "sigstruct.date"),
        (24, b"\x02", "sigstruct.header2"),
        (44, b"\x01", "sigstruct.reserved"),
        (127, b"\x01", "sigstruct.reserved"),
        (910, b"\x01", "sigstruct.reserved"),
        (1007, b"\x01", "sigstruct.reserved"),
        (928, b"\x06", "sigstruct.debug"),
    ],
)
def test_each_constant_is_checked_although_the_signature_holds(offset: int, value: bytes, check: str) -> None:
    assert refusing(resign(sign({}), offset, value)) == [check]


@pytest.mark.parametrize(
    ("offset", "check"),
    [(512, "sigstruct.exponent"), (1028, "sigstruct.reserved"), (1040, "sigstruct.q1"), (1424, "sigstruct.q2")],
)
def test_what_the_signature_does_not_cover_is_checked_by_itself(offset: int, check: str) -> None:
    data = sign({})
    assert refusing(change(data, offset, bytes([data[offset] ^ 1]))) == [check]


def test_the_bytes_that_became_those_of_cet_may_be_set() -> None:
    assert refusing(sign({"cet": b"\x01\x01"})) == []


def test_what_was_signed_for_debugging_is_refused_with_that_reason() -> None:
    data = resign(sign({}), 15, b"\x80")
    check = only_refusal(data)
    assert check.name == "sigstruct.header"
    assert "signed for debugging" in check.found
    assert "production" in check.remedy


def test_a_debug_enclave_is_refused_with_that_reason() -> None:
    check = only_refusal(sign({"attributes": bytes.fromhex("06000000000000000300000000000000")}))
    assert check.name == "sigstruct.debug"
    assert "production" in check.remedy


def test_whether_the_signer_leaves_debugging_open_is_seen() -> None:
    data = sign({"attribute_mask": bytes.fromhex("fdffffffffffffff1bffffffffffffff")})
    assert parse_sigstruct(data).allows_debug
    assert refusing(data) == []


def test_a_signature_by_another_key_is_refused() -> None:
    data, other = sign({}), sign({}, make_key(1))
    mixed = change(data, 516, other[516:900])
    assert refusing(mixed) == ["sigstruct.signature", "sigstruct.q1", "sigstruct.q2"]


def test_a_signature_that_is_the_modulus_or_more_is_refused() -> None:
    data = sign({})
    modulus = int.from_bytes(data[128:512], "little")
    signature = int.from_bytes(data[516:900], "little") + modulus
    if signature.bit_length() > 3072:
        signature = modulus
    forged = change(data, 516, signature.to_bytes(384, "little"))
    assert "sigstruct.signature" in refusing(forged)


def test_an_unsigned_structure_says_what_to_do() -> None:
    data = change(change(sign({}), 128, bytes(384)), 516, bytes(384))
    checks = {check.name: check for check in check_sigstruct(data)}
    assert "sign the enclave first" in checks["sigstruct.modulus"].remedy
    assert checks["sigstruct.signature"].result is CheckResult.NOT_MADE
    assert all(checks[name].refuses for name in ("sigstruct.signature", "sigstruct.q1", "sigstruct.q2"))


def test_a_key_that_is_too_short_is_refused() -> None:
    short = rsa.generate_private_key(public_exponent=3, key_size=2048)
    assert "sigstruct.modulus" in refusing(sign({}, short))


def test_an_even_modulus_is_refused() -> None:
    data = sign({})
    even = change(data, 128, bytes([data[128] ^ 1]))
    assert "sigstruct.modulus" in refusing(even)


@given(st.integers(0, 1808 * 8 - 1))
def test_no_bit_can_be_changed(bit: int) -> None:
    data = bytearray(sign({}))
    data[bit // 8] ^= 1 << bit % 8
    assert refusing(bytes(data))


@given(st.binary(min_size=1808, max_size=1808))
def test_any_bytes_are_refused_and_every_check_is_named(data: bytes) -> None:
    checks = check_sigstruct(data)
    assert tuple(check.name for check in checks) == ORDER
    assert any(check.refuses for check in checks)
