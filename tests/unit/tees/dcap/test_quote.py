"""The quote container: each field is found where the specification has it, and nothing else is taken for a quote."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.unit.tees.simulated import REPORT_DATA, platform, quote
from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError, VerdictdError
from verdictd.core.limits import MAX_QUOTE_BYTES
from verdictd.simulator.keys import raw_public_key
from verdictd.tees.dcap.quote import TEE_TYPE_SGX, TEE_TYPE_TDX, CertificationDataType, parse_quote, quote_tee_type

SIGNATURE_DATA = {3: 432, 4: 432, 5: 438}
"""Where the size of the signature data stands; v5 has body type and size (6 bytes) before the body."""


def with_bytes(data: bytes, offset: int, new: bytes) -> bytes:
    return data[:offset] + new + data[offset + len(new) :]


def with_parts(version: int = 3, **changes: object) -> bytes:
    parts = platform().quote_parts(report_data=REPORT_DATA, quote_version=version)
    return platform().sign(replace(parts, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("version", [3, 4, 5])
def test_each_field_is_found(version: int) -> None:
    """The offsets are counted here once more, by hand."""
    data = quote(version)
    parsed = parse_quote(data)
    sim = platform()
    start = SIGNATURE_DATA[version]
    assert parsed.version == version
    assert (parsed.qe_svn, parsed.pce_svn) == ((11, 13) if version == 3 else (0, 0))
    assert parsed.qe_vendor_id == data[12:28]
    assert parsed.signed == data[:start]
    assert parsed.report.report_data == REPORT_DATA
    assert parsed.signature == data[start + 4 : start + 68]
    assert parsed.attestation_key == raw_public_key(sim.attestation_key) == data[start + 68 : start + 132]
    qe = start + 132 + (6 if version > 3 else 0)
    assert parsed.qe_report_bytes == data[qe : qe + 384]
    assert parsed.qe_report.isv_svn == 11
    assert parsed.qe_report_signature == data[qe + 384 : qe + 448]
    assert parsed.qe_auth_data == bytes(range(32)) == data[qe + 450 : qe + 482]
    digest = hashlib.sha256(parsed.attestation_key + parsed.qe_auth_data).digest()
    assert parsed.qe_report.report_data == digest + bytes(32)
    assert parsed.certification_type == CertificationDataType.PCK_CHAIN
    assert parsed.certification_data == sim.pki.chain("pck") + b"\0"
    assert data.endswith(parsed.certification_data)


@pytest.mark.parametrize("version", [3, 4, 5])
def test_every_shorter_quote_is_cut_off(version: int) -> None:
    data = quote(version)
    for size in [*range(620), *range(620, len(data), 97), len(data) - 1]:
        with pytest.raises(MalformedError):
            parse_quote(data[:size])


@pytest.mark.parametrize("version", [3, 4, 5])
def test_zeros_may_follow_and_nothing_else(version: int) -> None:
    data = quote(version)
    assert parse_quote(data + bytes(100)) == parse_quote(data)
    for trailing in (b"\1", bytes(99) + b"\1", b"\1" + bytes(99), data):
        with pytest.raises(MalformedError, match="follow the quote's signature data"):
            parse_quote(data + trailing)


@pytest.mark.parametrize("version", [3, 4, 5])
def test_signature_data_is_filled_exactly(version: int) -> None:
    """A size that leaves room behind the certification data, or too little for it, is not overlooked."""
    data, start = quote(version), SIGNATURE_DATA[version]
    size = int.from_bytes(data[start : start + 4], "little")
    assert size == len(data) - start - 4
    for wrong in (size - 1, size + 1, 0, 63, 2**32 - 1):
        with pytest.raises(MalformedError):
            parse_quote(with_bytes(data, start, wrong.to_bytes(4, "little")) + bytes(1))


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("wrong", [0, 0xFFFF])
def test_auth_data_stays_within_its_place(version: int, wrong: int) -> None:
    data = quote(version)
    offset = SIGNATURE_DATA[version] + 132 + (6 if version > 3 else 0) + 448
    assert data[offset : offset + 2] == (32).to_bytes(2, "little")
    with pytest.raises(VerdictdError):
        parse_quote(with_bytes(data, offset, wrong.to_bytes(2, "little")))


@pytest.mark.parametrize("size", [0, 1, 1000])
def test_auth_data_has_any_size(size: int) -> None:
    assert parse_quote(with_parts(qe_auth_data=bytes(size))).qe_auth_data == bytes(size)


@pytest.mark.parametrize("kind", [0, 1, 2, 3, 4, 6, 7, 8, 0xFFFF])
def test_other_certification_data_is_kept_for_the_appraisal_to_tell(kind: int) -> None:
    parsed = parse_quote(with_parts(certification_type=kind, certification_data=b"something"))
    assert (parsed.certification_type, parsed.certification_data) == (kind, b"something")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: with_bytes(quote(), 0, b"\0\0"), "version is 0, supported are 3, 4 and 5"),
        (lambda: with_bytes(quote(), 0, b"\2\0"), "version is 2"),
        (lambda: with_bytes(quote(), 0, b"\6\0"), "version is 6"),
        (lambda: with_bytes(quote(), 0, b"\0\3"), "version is 768"),
        (lambda: with_parts(attestation_key_type=3), "key type is 3, supported is 2"),
        (lambda: with_parts(attestation_key_type=0), "key type is 0"),
        (lambda: with_parts(4, tee_type=0x81), "TDX"),
        (lambda: with_parts(5, tee_type=0x81), "TDX"),
        (lambda: with_parts(4, tee_type=1), "TEE type is 0x1, known are"),
        (lambda: with_parts(4, tee_type=0x81000000), "TEE type is 0x81000000"),
        (lambda: with_parts(5, body_type=2), "body type is 2, expected 1"),
        (lambda: with_parts(5, body_type=0), "body type is 0"),
        (lambda: with_parts(4, outer_certification_type=5), "type 5, expected 6"),
        (lambda: with_parts(5, outer_certification_type=7), "type 7, expected 6"),
    ],
)
def test_what_is_not_supported_says_so(make: Callable[[], bytes], message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        parse_quote(make())


@pytest.mark.parametrize("reserved", [1, 0x81, 0x80000000])
def test_reserved_bytes_of_version_3_are_zero(reserved: int) -> None:
    """Later versions have the TEE's type in their place: what is not SGX's must not pass for it under another version.

    Intel's quote verification library refuses a version 3 quote of any other type as well.
    """
    with pytest.raises(UnsupportedError, match=f"0x{reserved:x}"):
        parse_quote(with_parts(tee_type=reserved))


def test_body_size_of_version_5_is_the_reports() -> None:
    with pytest.raises(MalformedError, match="body is 385 bytes long, expected 384"):
        parse_quote(with_bytes(quote(5), 50, (385).to_bytes(4, "little")))


def test_size_is_limited_before_anything_is_read() -> None:
    longest = quote() + bytes(MAX_QUOTE_BYTES - len(quote()))
    assert parse_quote(longest).version == 3
    with pytest.raises(LimitExceededError, match=str(MAX_QUOTE_BYTES)):
        parse_quote(longest + b"\0")


def test_tee_type_tells_sgx_from_tdx() -> None:
    assert {quote_tee_type(quote(version)) for version in (3, 4, 5)} == {TEE_TYPE_SGX}
    assert quote_tee_type(with_bytes(quote(4), 4, b"\x81")) == TEE_TYPE_TDX
    assert quote_tee_type(with_bytes(quote(5), 4, b"\x81")) == TEE_TYPE_TDX
    for unknown in (b"", bytes(49), bytes(50), with_bytes(quote(4), 4, b"\x82")):
        with pytest.raises(VerdictdError):
            quote_tee_type(unknown)
