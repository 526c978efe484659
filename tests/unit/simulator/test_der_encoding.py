import pytest
from cryptography import x509
from hypothesis import example, given
from hypothesis import strategies as st

from verdictd.core.der import BOOLEAN, ENUMERATED, INTEGER, OBJECT_IDENTIFIER, parse_unsigned, read_single
from verdictd.simulator.der_encoding import (
    encode_boolean,
    encode_enumerated,
    encode_integer,
    encode_object_identifier,
    encode_octets,
    encode_sequence,
)


@given(st.integers(0, 2**70))
@example(0)
@example(127)
@example(128)
@example(255)
@example(256)
def test_numbers_are_written_in_their_shortest_form(number: int) -> None:
    assert parse_unsigned(read_single(encode_integer(number)).expect(INTEGER, "it"), "it", 2**70) == number
    assert parse_unsigned(read_single(encode_enumerated(number)).expect(ENUMERATED, "it"), "it", 2**70) == number


@given(st.binary(max_size=300))
@example(bytes(127))
@example(bytes(128))
@example(bytes(255))
@example(bytes(256))
@example(bytes(65536))
def test_lengths_are_written_in_their_shortest_form(octets: bytes) -> None:
    assert read_single(encode_octets(octets)).value == octets


def test_known_encodings() -> None:
    assert encode_octets(bytes(128))[:3] == b"\x04\x81\x80"
    assert encode_integer(128) == b"\x02\x02\x00\x80"
    assert encode_boolean(True) == b"\x01\x01\xff"
    assert encode_boolean(False) == b"\x01\x01\x00"
    assert read_single(encode_boolean(True)).tag == BOOLEAN
    assert encode_sequence(encode_integer(1), encode_octets(b"x")) == b"\x30\x06\x02\x01\x01\x04\x01x"


@pytest.mark.parametrize(
    ("dotted", "encoded"),
    [
        ("1.2.840.113741.1.13.1", "2a864886f84d010d01"),
        ("1.2.840.113741.1.13.1.2.18", "2a864886f84d010d010212"),
        ("2.5.29.31", "551d1f"),
        ("2.999.3", "883703"),
    ],
)
def test_object_identifiers(dotted: str, encoded: str) -> None:
    element = read_single(encode_object_identifier(dotted)).expect(OBJECT_IDENTIFIER, "it")
    assert element.value.hex() == encoded
    assert x509.ObjectIdentifier(dotted).dotted_string == dotted
