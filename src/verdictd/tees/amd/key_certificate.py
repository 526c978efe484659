"""The certificate of a VCEK or VLEK, read without trusting any of it.

It has the serial number 0, for which libraries will refuse it, so that it is read here.

Spec: AMD 57230, VCEK Certificate and KDS Interface Specification, 3.1; RFC 5280, 4.1.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from verdictd.core.der import (
    BOOLEAN,
    INTEGER,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    SEQUENCE,
    Element,
    parse_unsigned,
    read_element,
    read_spans,
)
from verdictd.core.errors import MalformedError
from verdictd.tees.amd.signed import read_envelope, read_members
from verdictd.tees.dcap.x509_names import LIBRARY_ERRORS, common_name

_VERSION: Final = 0xA0
_EXTENSIONS: Final = 0xA3
_X509_V3: Final = 2
_MEMBERS: Final = 8
"""Version, serial number, algorithm, issuer, validity, subject, key, extensions: unique identifiers are not used."""
_MAX_SERIAL_BITS: Final = 160
_UTC_TIME: Final = 0x17
_GENERALIZED_TIME: Final = 0x18
_UTC_PATTERN: Final = re.compile(rb"[0-9]{12}Z")
_GENERALIZED_PATTERN: Final = re.compile(rb"[0-9]{14}Z")
_PIVOT: Final = 50
"""Years below it are of this century (RFC 5280, 4.1.2.5.1)."""
_TRUE: Final = b"\xff"
_CRITICAL_PARTS: Final = 3
_EXTENSION_TAGS: Final = [OBJECT_IDENTIFIER, OCTET_STRING]


class KeyCertificate(NamedTuple):
    """What a certificate says. Untrusted.

    Attributes:
        body: the bytes that the signature covers.
        algorithm: as it stands beside what is signed; DER.
        inner_algorithm: as it is signed.
        issuer: the DER of its name.
        common_name: the subject's.
        key: P-384.
        extensions: the value of each, by the value of its OID. None is critical.
        not_before, not_after: its validity (aware).
    """

    body: bytes
    algorithm: bytes
    inner_algorithm: Element
    signature: bytes
    serial_number: int
    issuer: bytes
    common_name: str
    key: ec.EllipticCurvePublicKey
    extensions: Mapping[bytes, bytes]
    not_before: datetime
    not_after: datetime


def parse_key_certificate(der: bytes, what: str) -> KeyCertificate:
    """Read a certificate.

    Raises:
        MalformedError: not a certificate of version 3 for a key on P-384, or with a critical extension.
    """
    members, body, algorithm, signature = read_envelope(der, what)
    if len(members) != _MEMBERS:
        raise MalformedError(f"the body of {what} has {len(members)} members, expected {_MEMBERS}")
    version, serial, inner_algorithm, issuer, validity, subject, key, extensions = members
    _require_version(version, what)
    not_before, not_after = _read_validity(validity, what)
    return KeyCertificate(
        body=body,
        algorithm=algorithm,
        inner_algorithm=inner_algorithm,
        signature=signature,
        serial_number=parse_unsigned(
            serial.expect(INTEGER, "the serial number"), "the serial number", 2**_MAX_SERIAL_BITS - 1
        ),
        issuer=issuer.expect(SEQUENCE, "the issuer").encoded,
        common_name=common_name(subject.expect(SEQUENCE, "the subject").encoded),
        key=_read_key(key, what),
        extensions=_read_extensions(extensions, what),
        not_before=not_before,
        not_after=not_after,
    )


def _require_version(element: Element, what: str) -> None:
    number = read_element(element.data, element.expect(_VERSION, "the version").value_start, element.end)
    if number.end != element.end or parse_unsigned(number, "the version", _X509_V3) != _X509_V3:
        raise MalformedError(f"{what} is not of version 3")


def _read_key(element: Element, what: str) -> ec.EllipticCurvePublicKey:
    try:
        key = load_der_public_key(element.expect(SEQUENCE, f"the key of {what}").encoded)
    except LIBRARY_ERRORS as error:
        raise MalformedError(f"the key of {what} cannot be read: {error}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise MalformedError(f"the key of {what} is not on P-384")
    return key


def _read_extensions(element: Element, what: str) -> Mapping[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    data = element.data
    for extension in read_members(element, _EXTENSIONS, f"the extensions of {what}"):
        parts = read_spans(data, extension.expect(SEQUENCE, "an extension").value_start, extension.end)
        if len(parts) == _CRITICAL_PARTS and parts[1][0] == BOOLEAN:
            state = "critical" if data[slice(*parts[1][1:])] == _TRUE else "marked in a way that is not DER"
            raise MalformedError(f"{what} has an extension that is {state}, expected none")
        if [tag for tag, _, _ in parts] != _EXTENSION_TAGS:
            raise MalformedError(f"{what} has an extension that is not a name and a value")
        name, value = (data[start:end] for _, start, end in parts)
        if name in found:
            raise MalformedError(f"{what} has an extension twice")
        found[name] = value
    return found


def _read_validity(element: Element, what: str) -> tuple[datetime, datetime]:
    times = element.expect(SEQUENCE, f"the validity of {what}").children()
    if len(times) != len(("from", "to")):
        raise MalformedError(f"the validity of {what} is not two instants")
    return _read_time(times[0], what), _read_time(times[1], what)


def _read_time(element: Element, what: str) -> datetime:
    text = element.value
    if element.tag == _UTC_TIME and _UTC_PATTERN.fullmatch(text):
        text = (b"20" if int(text[:2]) < _PIVOT else b"19") + text
    elif element.tag != _GENERALIZED_TIME or not _GENERALIZED_PATTERN.fullmatch(text):
        raise MalformedError(f"the validity of {what} is not written as RFC 5280 has it")
    month, day, hour, minute, second = (int(text[place : place + 2]) for place in range(4, 14, 2))
    try:
        return datetime(int(text[:4]), month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise MalformedError(f"the validity of {what} is no date: {error}") from error
