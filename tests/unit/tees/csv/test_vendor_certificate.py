"""Hygon's own certificates are read as they are written; any bytes are one, or an error of ours."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.tees.csv.inputs import HYGON
from verdictd.core.errors import MalformedError, UnsupportedError
from verdictd.tees.csv.vendor_certificate import VENDOR_CERTIFICATE_BYTES, parse_vendor_certificate
from verdictd.tees.psp.certificate import KeyUsage
from verdictd.tees.sm2.verification import verify_sm2_signature

HRK = HYGON.hrk_certificate


def test_what_was_written_is_read() -> None:
    certificate = parse_vendor_certificate(HRK, "the HRK")
    assert certificate.key_id == certificate.issuer_id == HYGON.key_id(KeyUsage.VENDOR_ROOT)
    assert certificate.usage == 0
    assert certificate.key == HYGON.key(KeyUsage.VENDOR_ROOT).public_key
    assert certificate.key.name == b"HYGON-SSD-HRK"
    verify_sm2_signature(certificate.key, certificate.signature, certificate.signed, "it")


@pytest.mark.parametrize("size", [0, 831, 833])
def test_other_lengths_are_refused(size: int) -> None:
    with pytest.raises(MalformedError, match=f"the HRK is {size} bytes long, expected 832"):
        parse_vendor_certificate(HRK.ljust(size, b"\0")[:size], "the HRK")


@settings(deadline=None)
@given(st.binary(min_size=VENDOR_CERTIFICATE_BYTES, max_size=VENDOR_CERTIFICATE_BYTES), st.booleans())
def test_any_bytes_are_a_certificate_or_an_error_of_ours(data: bytes, starts_well: bool) -> None:
    with pytest.raises((MalformedError, UnsupportedError)):  # a point of the curve is not met by chance
        parse_vendor_certificate(HRK[:68] + data[68:] if starts_well else data, "it")
