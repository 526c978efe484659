"""A small writer of DER (ITU-T X.690) for what no library writes: Intel's SGX extension, AMD's extensions.

It shares no code with the reader in `verdictd.core.der`, so that each checks the other.
"""

_BOOLEAN, _INTEGER, _OCTET_STRING, _OBJECT_IDENTIFIER, _ENUMERATED, _SEQUENCE = 0x01, 0x02, 0x04, 0x06, 0x0A, 0x30
_IA5_STRING = 0x16


def encode_sequence(*elements: bytes) -> bytes:
    """SEQUENCE of elements that are encoded already."""
    return _encode(_SEQUENCE, b"".join(elements))


def encode_integer(number: int) -> bytes:
    """INTEGER that is not negative, in its shortest form."""
    return _encode(_INTEGER, _magnitude(number))


def encode_enumerated(number: int) -> bytes:
    """ENUMERATED that is not negative, in its shortest form."""
    return _encode(_ENUMERATED, _magnitude(number))


def encode_octets(octets: bytes) -> bytes:
    """OCTET STRING."""
    return _encode(_OCTET_STRING, octets)


def encode_ia5_string(text: str) -> bytes:
    """IA5String; ASCII alone."""
    return _encode(_IA5_STRING, text.encode("ascii"))


def encode_boolean(value: bool) -> bytes:  # noqa: FBT001 - it is the value that is encoded
    """BOOLEAN; true is 0xff, as DER wants it."""
    return _encode(_BOOLEAN, b"\xff" if value else b"\x00")


def encode_object_identifier(dotted: str) -> bytes:
    """OBJECT IDENTIFIER from its dotted form."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    return _encode(_OBJECT_IDENTIFIER, b"".join(_base_128(arc) for arc in (40 * first + second, *rest)))


def _encode(tag: int, value: bytes) -> bytes:
    size = len(value)
    if size < 0x80:
        return bytes((tag, size)) + value
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + value


def _magnitude(number: int) -> bytes:
    return number.to_bytes(number.bit_length() // 8 + 1, "big")


def _base_128(arc: int) -> bytes:
    octets = [arc & 0x7F]
    while arc := arc >> 7:
        octets.append(0x80 | (arc & 0x7F))
    return bytes(reversed(octets))
