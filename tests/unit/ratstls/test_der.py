import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.ratstls.forge import oid, tlv
from verdictd.core.der import INTEGER, OCTET_STRING, SEQUENCE
from verdictd.core.errors import MalformedError
from verdictd.ratstls import der


def read(data: bytes) -> der.DERElement:
    reader = der.DERReader(data)
    element = reader.read_any("it")
    reader.finish("it")
    return element


@pytest.mark.parametrize("length", [0, 1, 0x7F, 0x80, 0xFF, 0x100, 0xFFFF, 0x10000])
def test_reads_back_what_was_written_at_every_width_of_length(length: int) -> None:
    written = tlv(0x04, bytes(length))
    element = read(written)
    assert (element.raw, element.content, element.tag) == (written, bytes(length), 0x04)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("", id="nothing"),
        pytest.param("04", id="no length"),
        pytest.param("0401", id="cut off"),
        pytest.param("048000", id="indefinite"),
        pytest.param("0485000000000100", id="five length bytes"),
        pytest.param("0482", id="length cut off"),
        pytest.param("04810100", id="length below 128 in the long form"),
        pytest.param("048200" + "80" + "00" * 128, id="length with a leading zero"),
        pytest.param("04ff00", id="reserved length"),
        pytest.param("1f0100", id="tag of more than one byte"),
        pytest.param("040000", id="trailing byte"),
    ],
)
def test_refuses_what_is_not_der(data: str) -> None:
    with pytest.raises(MalformedError):
        read(bytes.fromhex(data))


def test_an_element_may_not_reach_beyond_its_container() -> None:
    inner = der.DERReader(bytes.fromhex("3003 0402aa bb cc")).read(SEQUENCE, "outer").reader()
    with pytest.raises(MalformedError, match="claims 2 bytes, 1 are there"):
        inner.read_any("inner")


def test_names_the_field_and_both_tags() -> None:
    with pytest.raises(MalformedError, match="serial: expected DER tag 0x02, found 0x04"):
        der.DERReader(b"\x04\x00").read(INTEGER, "serial")


@given(st.binary(max_size=64))
def test_any_bytes_give_elements_or_our_error(data: bytes) -> None:
    reader = der.DERReader(data)
    rebuilt = b""
    try:
        while not reader.exhausted:
            rebuilt += reader.read_any("it").raw
    except MalformedError:
        return
    assert rebuilt == data


@given(st.integers(-(2**500), 2**500))
def test_integers(number: int) -> None:
    size = (number if number >= 0 else ~number).bit_length() // 8 + 1
    content = number.to_bytes(size, "big", signed=True)
    assert der.parse_integer(read(tlv(2, content)), "it") == number
    padded = (b"\xff" if number < 0 else b"\x00") + content
    with pytest.raises(MalformedError):
        der.parse_integer(read(tlv(2, padded)), "it")


@pytest.mark.parametrize("content", [b"", bytes(65)])
def test_refuses_integers_of_odd_sizes(content: bytes) -> None:
    with pytest.raises(MalformedError):
        der.parse_integer(read(tlv(2, content)), "it")


@pytest.mark.parametrize(
    ("encoded", "text"),
    [
        ("06092a864886f84d8a3906", "1.2.840.113741.1337.6"),
        ("060b06092a864886f84d8a3906", "0.6.9.42.840.113741.1337.6"),
        ("0606678105050409", "2.23.133.5.4.9"),
        ("0603883703", "2.999.3"),
    ],
)
def test_object_identifiers(encoded: str, text: str) -> None:
    assert der.parse_object_identifier(read(bytes.fromhex(encoded)), "it") == text


@given(st.lists(st.integers(0, 2**70), min_size=0, max_size=4), st.integers(0, 2), st.integers(0, 39))
def test_object_identifiers_read_back(rest: list[int], first: int, second: int) -> None:
    text = ".".join(map(str, (first, second, *rest)))
    assert der.parse_object_identifier(read(oid(text)), "it") == text


@pytest.mark.parametrize("content", [b"", b"\x2a\x80", b"\x2a\x80\x01", b"\x80\x01", b"\x01" * 65])
def test_refuses_object_identifiers(content: bytes) -> None:
    with pytest.raises(MalformedError):
        der.parse_object_identifier(read(tlv(6, content)), "it")


@pytest.mark.parametrize(("content", "value"), [(b"\x00", False), (b"\xff", True)])
def test_booleans(content: bytes, value: bool) -> None:
    assert der.parse_boolean(read(tlv(1, content)), "it") is value


@pytest.mark.parametrize("content", [b"", b"\x01", b"\xff\xff"])
def test_refuses_booleans(content: bytes) -> None:
    with pytest.raises(MalformedError):
        der.parse_boolean(read(tlv(1, content)), "it")


def test_bit_strings() -> None:
    assert der.parse_bit_string(read(tlv(3, b"\x00abc")), "it") == b"abc"
    for content in (b"", b"\x01\x80"):
        with pytest.raises(MalformedError):
            der.parse_bit_string(read(tlv(3, content)), "it")


@pytest.mark.parametrize(
    ("tag", "text", "value"),
    [
        (der.UTC_TIME, b"230222161022Z", datetime(2023, 2, 22, 16, 10, 22, tzinfo=UTC)),
        (der.UTC_TIME, b"491231235959Z", datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (der.UTC_TIME, b"500101000000Z", datetime(1950, 1, 1, tzinfo=UTC)),
        (der.GENERALIZED_TIME, b"20210401000000Z", datetime(2021, 4, 1, tzinfo=UTC)),
        (der.GENERALIZED_TIME, b"99991231235959Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_times(tag: int, text: bytes, value: datetime) -> None:
    assert der.parse_time(read(tlv(tag, text)), "it") == value


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        (der.UTC_TIME, b"2302221610Z"),
        (der.UTC_TIME, b"230222161022+0100"),
        (der.UTC_TIME, b"230231161022Z"),
        (der.UTC_TIME, b"20230222161022Z"),
        (der.GENERALIZED_TIME, b"00000101000000Z"),
        (der.GENERALIZED_TIME, b"20230222161022.5Z"),
        (der.GENERALIZED_TIME, b"20230222161059Z\n"),
        (OCTET_STRING, b"230222161022Z"),
    ],
)
def test_refuses_times(tag: int, text: bytes) -> None:
    with pytest.raises(MalformedError):
        der.parse_time(read(tlv(tag, text)), "it")


def pem(label: str, data: bytes) -> bytes:
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (label.encode(), base64.encodebytes(data), label.encode())


@given(st.binary(max_size=200))
def test_pem_reads_back(data: bytes) -> None:
    assert der.decode_pem(b"\n " + pem("X509 CRL", data), "X509 CRL") == data
    assert der.decode_pem(pem("X509 CRL", data).replace(b"\n", b"\r\n"), "X509 CRL") == data


@pytest.mark.parametrize(
    "text",
    [
        pem("CERTIFICATE", b"abc") * 2,
        pem("PRIVATE KEY", b"abc"),
        pem("CERTIFICATE", b"abc") + b"x",
        b"x" + pem("CERTIFICATE", b"abc"),
        pem("CERTIFICATE", b"abc").replace(b"YWJj", b"YWJ"),
        pem("CERTIFICATE", b"abc").replace(b"END CERTIFICATE", b"END X509 CRL"),
        b"",
    ],
)
def test_pem_is_one_block_with_its_label(text: bytes) -> None:
    with pytest.raises(MalformedError):
        der.decode_pem(text, "CERTIFICATE")
