"""AMD's own certificates are read as they are written; any bytes are one, or an error of ours."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.tees.sev.inputs import ask_ark, sim
from verdictd.core.errors import MalformedError, UnsupportedError
from verdictd.tees.psp.certificate import KeyUsage
from verdictd.tees.sev.vendor_certificate import parse_vendor_certificate, split_vendor_certificates

ARK = 832


def changed(offset: int, *octets: int) -> bytes:
    data = bytearray(sim().ark_certificate)
    data[offset : offset + len(octets)] = octets
    return bytes(data)


def test_what_was_written_is_read() -> None:
    ask, ark = split_vendor_certificates(ask_ark())
    assert len(ark) == ARK
    parsed = parse_vendor_certificate(ask, "the ASK")
    assert (parsed.issuer_id, parsed.key_id) == sim().key_ids
    assert parsed.usage == KeyUsage.VENDOR_SIGNING
    assert parsed.key.public_numbers() == sim().ask.public_key().public_numbers()
    assert parsed.signed + parsed.signature == ask


def test_without_its_signature_it_is_the_same_key() -> None:
    whole, bare = (parse_vendor_certificate(ask_ark()[:size], "it") for size in (832, 576))
    assert whole.fingerprint == bare.fingerprint
    assert bare.signature == b""


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "0 bytes long, shorter"),
        (bytes(64), "0 bits"),
        (changed(0, 2), "version 2"),
        (changed(56, 0, 4), "bits, expected 2048 or 4096"),
        (changed(60, 0, 4), "1024 bits"),
        (changed(64, 3, 0, 0), "exponent 65537"),
        (changed(64 + 511, 0), "not an RSA key of 2048 bits"),
        (changed(64 + 256, 0), "not an RSA key of 2048 bits"),
    ],
)
def test_what_is_none_is_refused(data: bytes, found: str) -> None:
    with pytest.raises((MalformedError, UnsupportedError), match=found):
        parse_vendor_certificate(data, "it")


@pytest.mark.parametrize("size", [575, 577, 831, 833])
def test_other_lengths_are_refused(size: int) -> None:
    with pytest.raises(MalformedError, match=f"it is {size} bytes long"):
        parse_vendor_certificate(sim().ark_certificate.ljust(size, b"\0")[:size], "it")


@settings(deadline=None)
@given(st.integers(0, 832), st.binary(max_size=900))
def test_any_bytes_are_a_certificate_or_an_error_of_ours(genuine: int, data: bytes) -> None:
    damaged = ask_ark()[:genuine] + data
    for parse in (lambda: parse_vendor_certificate(damaged, "it"), lambda: split_vendor_certificates(damaged)):
        try:
            parse()
        except (MalformedError, UnsupportedError):
            continue
        assert len(damaged) >= 576
