from base64 import encodebytes
from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.collateral.endorser import Endorser
from verdictd.collateral.encodings import decode_crl, decode_issuer_chain
from verdictd.core.errors import LimitExceededError, MalformedError
from verdictd.core.limits import MAX_CHAIN_BYTES, MAX_CRL_BYTES
from verdictd.tees.dcap.collateral import RevocationList


def der_of(endorser: Endorser) -> bytes:
    raw = endorser.pck_crl().raw
    assert isinstance(raw, RevocationList)
    return raw.der


def pem_of(der: bytes) -> bytes:
    return b"-----BEGIN X509 CRL-----\n" + encodebytes(der) + b"-----END X509 CRL-----\n"


def test_a_crl_is_read_in_every_encoding(endorser: Endorser) -> None:
    der = der_of(endorser)
    encodings = [
        der,
        der.hex().encode(),
        der.hex().upper().encode() + b"\r\n",
        b"  " + b"\n".join(der.hex().encode()[at : at + 64] for at in range(0, 2 * len(der), 64)),
        pem_of(der),
        pem_of(der).replace(b"\n", b"\r\n"),
        b"\n" + pem_of(der).strip(),
    ]
    assert {decode_crl(encoding, "it") for encoding in encodings} == {der}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html><body>Bad gateway</body></html>",
        b'{"crl": "30820a"}',
        b"No cache data for this platform.",
        b"308201ag" * 4,
        b"30820120300",
        b"-----BEGIN X509 CRL-----\nMIIB",
        b"-----BEGIN X509 CRL-----\n????\n-----END X509 CRL-----\n",
        b"-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\nand more",
        b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
    ],
)
def test_what_is_no_crl_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_crl(data, "it")


@pytest.mark.parametrize("encode", [bytes, lambda der: der.hex().encode(), pem_of])
def test_a_crl_that_is_too_large_is_refused(encode: type[bytes]) -> None:
    largest = b"\x30\x84" + bytes(MAX_CRL_BYTES - 2)
    assert decode_crl(encode(largest), "it") == largest
    with pytest.raises(LimitExceededError):
        decode_crl(encode(largest + b"\0"), "it")


def test_more_than_any_encoding_can_take_is_refused_unread() -> None:
    with pytest.raises(LimitExceededError):
        decode_crl(b"x" * (3 * MAX_CRL_BYTES + 1), "it")


@given(
    st.binary(max_size=300)
    | st.binary(max_size=100).map(lambda data: b"30" + data.hex().encode())
    | st.binary().map(pem_of)
)
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    for decode in (decode_crl, decode_issuer_chain):
        with suppress(MalformedError, LimitExceededError):
            assert isinstance(decode(data, "it"), bytes)


def test_a_chain_is_read_with_or_without_percent_encoding(endorser: Endorser) -> None:
    pem = endorser.platform.pki.chain("tcb-signing")
    assert decode_issuer_chain(quote(pem.decode(), safe="").encode(), "it") == pem
    assert decode_issuer_chain(quote(pem.decode(), safe="+/=").encode(), "it") == pem
    assert decode_issuer_chain(pem, "it") == pem


def test_a_chain_without_a_certificate_or_too_large_is_refused() -> None:
    with pytest.raises(MalformedError):
        decode_issuer_chain(b"-----BEGIN%20PRIVATE%20KEY-----", "it")
    begin = b"-----BEGIN CERTIFICATE-----"
    with pytest.raises(LimitExceededError):
        decode_issuer_chain(begin + b"A" * MAX_CHAIN_BYTES, "it")
    with pytest.raises(LimitExceededError):
        decode_issuer_chain(b"%20" * (MAX_CHAIN_BYTES + 1), "it")
