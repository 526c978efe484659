"""DER by itself: the reader of elements, and the reader of a certificate's fields."""

from cryptography import x509

from fuzz.parts import at_start, selector
from fuzz.simulated import encode_der, platform
from fuzz.target import FuzzTarget, attempt
from verdictd.core import der
from verdictd.core.errors import MalformedError
from verdictd.ratstls import der as fields
from verdictd.simulator.der_encoding import encode_integer, encode_object_identifier

_MAXIMUM = 2**2048


def check(data: bytes) -> None:
    """What is read is what is there, and is written the same again."""
    element = attempt(der.read_single, data)
    if element is not None:
        assert element.encoded == data == encode_der(element.tag, element.value)
        children = attempt(element.children)
        if children is not None:
            assert b"".join(child.encoded for child in children) == element.value
        number = attempt(der.parse_unsigned, element, "it", _MAXIMUM)
        if number is not None and element.tag == der.INTEGER:
            assert encode_integer(number) == data
    choice, rest = selector(data, 6)
    reader = fields.DERReader(rest)
    while not reader.exhausted:
        found = attempt(reader.read_any, "it")
        if found is None:
            return
        _check_field(choice, found)


def _check_field(choice: int, found: fields.DERElement) -> None:
    if choice == 0:
        attempt(fields.parse_boolean, found, "it")
    elif choice == 1:
        attempt(fields.parse_bit_string, found, "it")
    elif choice == 2:
        attempt(fields.parse_time, found, "it")
    elif choice == 3:
        number = attempt(fields.parse_integer, found, "it")
        assert number is None or number == int.from_bytes(found.content, "big", signed=True)
    elif choice == 4:
        dotted = attempt(fields.parse_object_identifier, found, "it")
        if dotted is not None:
            assert encode_object_identifier(dotted)[2:] == found.content
    elif attempt(fields.decode_pem, found.content, "CERTIFICATE") is None:
        try:
            found.reader().finish("it")
        except MalformedError:
            return


def seeds() -> dict[str, bytes]:
    certificate = platform().pki.pck.certificate
    extension = certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier("1.2.840.113741.1.13.1"))
    values = encode_integer(300) + encode_object_identifier("1.2.840.113741.1.13.1")
    times = encode_der(0x17, b"260601120000Z") + encode_der(0x18, b"20490601120000Z")
    return {
        "integer": encode_integer(65537),
        "boolean": b"\x00" + encode_der(0x01, b"\xff"),
        "bits": b"\x01" + encode_der(0x03, b"\x00\x01"),
        "times": b"\x02" + times,
        "integers": b"\x03" + values,
        "oids": b"\x04" + encode_object_identifier("2.23.133.5.4.9"),
        "pem": b"\x05" + encode_der(0x04, platform().pki.pck.pem),
        "extension": extension.value.public_bytes(),
    }


TARGET = FuzzTarget(
    name="der", modules=("verdictd.core.der", "verdictd.ratstls.der"), check=check, seeds=seeds, structure=at_start
)
