"""Certificates of platforms are read as they are written, by Hygon's and AMD's simulation alike."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.tees.csv.inputs import pek
from verdictd.core.errors import AuthenticityError, MalformedError
from verdictd.tees.psp.certificate import (
    CERTIFICATE_BYTES,
    SIGNED_BYTES,
    CertificateSignature,
    KeyUsage,
    find_signature,
    parse_platform_certificate,
    require_usage,
)


def test_what_was_written_is_read() -> None:
    certificate = parse_platform_certificate(pek(), "the PEK")
    assert certificate.version == 1
    assert certificate.firmware == (1, 3)
    assert (certificate.usage, certificate.algorithm) == (KeyUsage.PEK, 4)
    assert certificate.signed == pek()[:SIGNED_BYTES] == pek()[:16] + certificate.key
    assert [signature.usage for signature in certificate.signatures] == [KeyUsage.CEK, KeyUsage.OCA]
    assert [signature.algorithm for signature in certificate.signatures] == [4, 4]
    assert certificate.signatures[0].value == pek()[1052:1564]
    assert certificate.signatures[1].value == pek()[1572:2084]


@given(st.binary(max_size=64), st.integers(0, 3000).filter(lambda size: size != CERTIFICATE_BYTES))
def test_other_lengths_are_refused(start: bytes, size: int) -> None:
    with pytest.raises(MalformedError, match=f"it is {size} bytes long"):
        parse_platform_certificate(start.ljust(size, b"\0")[:size], "it")


def test_the_usage_is_the_one_that_is_meant() -> None:
    certificate = parse_platform_certificate(pek(), "the PEK")
    require_usage(certificate, KeyUsage.PEK, "the PEK")
    with pytest.raises(AuthenticityError, match="usage 0x1002, expected 0x1004"):
        require_usage(certificate, KeyUsage.CEK, "the PEK")


def test_the_one_signature_of_an_issuer_is_found_in_either_place() -> None:
    certificate = parse_platform_certificate(pek(), "the PEK")
    chip, owner = certificate.signatures
    swapped = certificate._replace(signatures=(owner, chip))
    for each in (certificate, swapped):
        assert find_signature(each, KeyUsage.CEK, "the PEK") == chip
        assert find_signature(each, KeyUsage.OCA, "the PEK") == owner
    empty = CertificateSignature(KeyUsage.NONE, 0, bytes(512))
    for signatures, count in (((empty, owner), 0), ((chip, chip), 2)):
        with pytest.raises(AuthenticityError, match=f"{count} signatures by a key of usage 0x1004, expected 1"):
            find_signature(certificate._replace(signatures=signatures), KeyUsage.CEK, "the PEK")
