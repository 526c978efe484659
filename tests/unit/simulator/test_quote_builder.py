import hashlib
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.simulator.oracle import AT, REPORT_DATA, appraise
from tests.vectors import needs_vectors, vector
from verdictd.simulator.keys import generate_key, raw_public_key, sign_raw
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.simulator.quote_builder import QuoteParts, ReportSpec, encode_quote, encode_report, sign_quote
from verdictd.tees.dcap.ecdsa import parse_raw_public_key, verify_raw_signature
from verdictd.tees.dcap.enclave_report import parse_enclave_report
from verdictd.tees.dcap.quote import parse_quote

GENUINE_QUOTE = "dcap-cases/quotes/sgx-v3-65e9185fed5be755.bin"

KEY = generate_key()

_reports = st.builds(
    ReportSpec,
    cpu_svn=st.binary(min_size=16, max_size=16),
    misc_select=st.binary(min_size=4, max_size=4),
    isv_ext_prod_id=st.binary(min_size=16, max_size=16),
    attributes=st.binary(min_size=16, max_size=16),
    mr_enclave=st.binary(min_size=32, max_size=32),
    mr_signer=st.binary(min_size=32, max_size=32),
    config_id=st.binary(min_size=64, max_size=64),
    isv_prod_id=st.integers(0, 0xFFFF),
    isv_svn=st.integers(0, 0xFFFF),
    config_svn=st.integers(0, 0xFFFF),
    isv_family_id=st.binary(min_size=16, max_size=16),
    report_data=st.binary(min_size=64, max_size=64),
    reserved=st.tuples(*(st.binary(max_size=size) for size in (12, 32, 32, 42))),
)


@given(_reports)
def test_parser_reads_the_report_that_was_written(spec: ReportSpec) -> None:
    report = parse_enclave_report(encode_report(spec))
    for name in (field for field in ReportSpec.__dataclass_fields__ if field != "reserved"):
        assert getattr(report, name) == getattr(spec, name), name


@given(
    version=st.sampled_from([3, 4, 5]),
    report=_reports,
    qe_report=_reports,
    numbers=st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF)),
    auth_data=st.binary(max_size=100),
    certification=st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=100)),
    signatures=st.tuples(*[st.binary(min_size=64, max_size=64)] * 3),
    user_data=st.binary(min_size=20, max_size=20),
)
def test_parser_reads_the_quote_that_was_written(
    *,
    version: int,
    report: ReportSpec,
    qe_report: ReportSpec,
    numbers: tuple[int, int],
    auth_data: bytes,
    certification: tuple[int, bytes],
    signatures: tuple[bytes, bytes, bytes],
    user_data: bytes,
) -> None:
    parts = QuoteParts(
        version=version,
        qe_svn=numbers[0],
        pce_svn=numbers[1],
        user_data=user_data,
        report=report,
        attestation_key=signatures[0],
        signature=signatures[1],
        qe_report=qe_report,
        qe_report_signature=signatures[2],
        qe_auth_data=auth_data,
        certification_type=certification[0],
        certification_data=certification[1],
    )
    quote = parse_quote(encode_quote(parts))
    assert (quote.version, quote.qe_svn, quote.pce_svn) == (version, *numbers)
    assert (quote.attestation_key, quote.signature, quote.qe_report_signature) == signatures
    assert (quote.report, quote.qe_report) == tuple(
        parse_enclave_report(encode_report(spec)) for spec in (report, qe_report)
    )
    assert quote.qe_auth_data == auth_data
    assert (quote.certification_type, quote.certification_data) == certification


@needs_vectors
def test_genuine_quote_is_written_byte_for_byte() -> None:
    genuine = vector(GENUINE_QUOTE)
    quote = parse_quote(genuine)
    parts = QuoteParts(
        qe_svn=quote.qe_svn,
        pce_svn=quote.pce_svn,
        qe_vendor_id=quote.qe_vendor_id,
        user_data=genuine[28:48],
        report=_spec_of(quote.report),
        attestation_key=quote.attestation_key,
        signature=quote.signature,
        qe_report=_spec_of(quote.qe_report),
        qe_report_signature=quote.qe_report_signature,
        qe_auth_data=quote.qe_auth_data,
        certification_data=quote.certification_data,
        trailing=genuine[len(genuine.rstrip(b"\0")) + 1 :],
    )
    assert encode_quote(parts) == genuine


def _spec_of(report: object) -> ReportSpec:
    names = (name for name in ReportSpec.__dataclass_fields__ if name != "reserved")
    return ReportSpec(**{name: getattr(report, name) for name in names})


@needs_vectors
def test_header_and_frame_are_those_of_a_genuine_quote(platform: SimulatedPlatform) -> None:
    genuine, ours = vector(GENUINE_QUOTE), platform.quote(report_data=REPORT_DATA)
    assert ours[:8] == genuine[:8]  # version, key type, reserved
    assert ours[12:28] == genuine[12:28]  # vendor
    assert ours[44:48] == genuine[44:48]  # the rest of the user data, after the QE's id
    assert parse_quote(ours).qe_auth_data == parse_quote(genuine).qe_auth_data
    assert parse_quote(ours).certification_data[-27:] == parse_quote(genuine).certification_data[-27:]
    ours_qe, genuine_qe = parse_quote(ours).qe_report, parse_quote(genuine).qe_report
    same = ("misc_select", "attributes", "mr_signer", "isv_prod_id", "config_id", "isv_family_id", "isv_ext_prod_id")
    assert {name: getattr(ours_qe, name) for name in same} == {name: getattr(genuine_qe, name) for name in same}


def test_version_3_is_laid_out_as_the_specification_says(platform: SimulatedPlatform) -> None:
    quote = platform.quote(report_data=REPORT_DATA)
    assert struct.unpack_from("<HHIHH", quote) == (3, 2, 0, 11, platform.hardware.pce_svn)
    assert quote[28:44] == platform.hardware.qe_id
    assert quote[48:64] == platform.hardware.cpu_svn
    assert quote[48 + 320 : 432] == REPORT_DATA
    assert struct.unpack_from("<I", quote, 432)[0] == len(quote) - 436
    assert quote[436 + 64 : 436 + 128] == raw_public_key(platform.attestation_key)
    auth_size = struct.unpack_from("<H", quote, 436 + 128 + 384 + 64)[0]
    assert auth_size == 32
    kind, size = struct.unpack_from("<HI", quote, 436 + 128 + 384 + 64 + 2 + 32)
    assert (kind, size) == (5, len(quote) - (436 + 128 + 384 + 64 + 2 + 32 + 6))
    assert quote.endswith(b"-----END CERTIFICATE-----\n\0")


def test_version_4_wraps_what_follows_the_key(platform: SimulatedPlatform) -> None:
    quote = platform.quote(report_data=REPORT_DATA, quote_version=4)
    assert struct.unpack_from("<HHIHH", quote) == (4, 2, 0, 0, 0)
    assert struct.unpack_from("<HI", quote, 436 + 128) == (6, len(quote) - (436 + 128 + 6))


def test_version_5_says_what_its_body_is(platform: SimulatedPlatform) -> None:
    quote = platform.quote(report_data=REPORT_DATA, quote_version=5)
    assert struct.unpack_from("<HHIHH", quote) == (5, 2, 0, 0, 0)
    assert struct.unpack_from("<HI", quote, 48) == (1, 384)
    assert quote[54:70] == platform.hardware.cpu_svn
    assert struct.unpack_from("<HI", quote, 54 + 384 + 4 + 128) == (6, len(quote) - (54 + 384 + 4 + 128 + 6))


@pytest.mark.parametrize("version", [3, 4, 5])
def test_signatures_cover_what_they_must(platform: SimulatedPlatform, version: int) -> None:
    raw = platform.quote(report_data=REPORT_DATA, quote_version=version)
    quote = parse_quote(raw)
    body_ends = 48 + (6 if version == 5 else 0) + 384
    verify_raw_signature(parse_raw_public_key(quote.attestation_key), quote.signature, raw[:body_ends], "quote")
    pck = parse_raw_public_key(raw_public_key(platform.pki.pck.key))
    verify_raw_signature(pck, quote.qe_report_signature, quote.qe_report_bytes, "QE report")
    digest = hashlib.sha256(quote.attestation_key + quote.qe_auth_data).digest()
    assert quote.qe_report.report_data == digest + bytes(32)


def test_what_is_set_before_signing_is_kept(platform: SimulatedPlatform) -> None:
    parts = replace(
        platform.quote_parts(report_data=REPORT_DATA),
        attestation_key=b"\1" * 64,
        signature=b"\2" * 64,
        qe_report_signature=b"\3" * 64,
    )
    signed = sign_quote(parts, attestation_key=platform.attestation_key, pck_key=platform.pki.pck.key)
    assert (signed.attestation_key, signed.signature, signed.qe_report_signature) == (
        b"\1" * 64,
        b"\2" * 64,
        b"\3" * 64,
    )
    assert signed.qe_report.report_data == hashlib.sha256(b"\1" * 64 + parts.qe_auth_data).digest() + bytes(32)


def test_other_authentication_data_is_bound_anew(platform: SimulatedPlatform) -> None:
    parts = replace(platform.quote_parts(report_data=REPORT_DATA), qe_auth_data=b"another length")
    assert appraise(platform.sign(parts), platform.collateral(AT), platform).allowed


def test_parts_without_signature_are_not_written(platform: SimulatedPlatform) -> None:
    parts = platform.quote_parts(report_data=REPORT_DATA)
    with pytest.raises(ValueError, match="not signed"):
        encode_quote(parts)
    with pytest.raises(ValueError, match="not known"):
        encode_report(parts.qe_report)


@given(st.binary(max_size=200))
def test_raw_signatures_verify(message: bytes) -> None:
    public = parse_raw_public_key(raw_public_key(KEY))
    verify_raw_signature(public, sign_raw(KEY, message), message, "the signature")
