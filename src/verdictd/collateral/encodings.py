"""The encodings in which services and files hold CRLs and chains: told apart by their content."""

import binascii
import re
from typing import Final
from urllib.parse import unquote_to_bytes

from verdictd.core.errors import LimitExceededError, MalformedError
from verdictd.core.limits import MAX_CHAIN_BYTES, MAX_CRL_BYTES

PEM_CRL: Final = b"-----BEGIN X509 CRL-----"
PEM_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"
_PEM_CRL_END: Final = b"-----END X509 CRL-----"
_ESCAPED_PEM_CERTIFICATE: Final = b"-----BEGIN%20CERTIFICATE-----"
_HEX_OF_DER = re.compile(rb"30[0-9A-Fa-f\s]*")
_LARGEST_ENCODING: Final = 3  # hex with line ends, or PEM, takes less than this many bytes for one of DER


def is_der(data: bytes) -> bool:
    """Whether bytes begin like a DER sequence of some length, as every CRL and certificate does."""
    return len(data) > 2 and data[0] == 0x30 and 0x81 <= data[1] <= 0x84


def is_hex_of_der(data: bytes) -> bool:
    """Whether bytes are hex text that begins like a DER sequence."""
    return len(data) > 8 and data.lstrip()[:2] == b"30" and _HEX_OF_DER.fullmatch(data.strip()) is not None


def decode_crl(data: bytes, what: str) -> bytes:
    """Return the DER of a CRL that comes in DER, as hex text of it, or in PEM.

    Trust: only the encoding is undone; what is inside may be anything.

    Raises:
        MalformedError: none of the three.
        LimitExceededError: larger than `MAX_CRL_BYTES`.
    """
    if len(data) > MAX_CRL_BYTES * _LARGEST_ENCODING:
        raise LimitExceededError(f"{what} is {len(data)} bytes long, more than a CRL may be")
    der = data
    if not is_der(data):
        text = data.strip()
        try:
            if text.startswith(PEM_CRL):
                body, end, rest = text[len(PEM_CRL) :].partition(_PEM_CRL_END)
                if not end or rest.strip():
                    raise MalformedError(f"{what} is not one CRL in PEM")
                der = binascii.a2b_base64(b"".join(body.split()), strict_mode=True)
            elif is_hex_of_der(text):
                der = binascii.unhexlify(b"".join(text.split()))
            else:
                raise MalformedError(f"{what} is no CRL in DER, hex or PEM: it begins with {data[:16]!r}")
        except binascii.Error as error:
            raise MalformedError(f"{what} is no CRL in PEM or hex: {error}") from error
    if len(der) > MAX_CRL_BYTES:
        raise LimitExceededError(f"{what} is {len(der)} bytes long, the limit is {MAX_CRL_BYTES}")
    return der


def decode_issuer_chain(text: bytes, what: str) -> bytes:
    """Return a PEM chain that may be percent-encoded, as it is in HTTP headers.

    Raises:
        MalformedError: there is no certificate in it.
        LimitExceededError: larger than `MAX_CHAIN_BYTES`.
    """
    if len(text) > MAX_CHAIN_BYTES * _LARGEST_ENCODING:
        raise LimitExceededError(f"{what} is {len(text)} bytes long, more than a chain may be")
    pem = unquote_to_bytes(text) if _ESCAPED_PEM_CERTIFICATE in text else text
    if PEM_CERTIFICATE not in pem:
        raise MalformedError(f"{what} holds no certificate in PEM")
    if len(pem) > MAX_CHAIN_BYTES:
        raise LimitExceededError(f"{what} is {len(pem)} bytes long, the limit is {MAX_CHAIN_BYTES}")
    return pem


def is_issuer_chain(text: bytes) -> bool:
    """Whether text holds certificates in PEM, percent-encoded or not."""
    return PEM_CERTIFICATE in text or _ESCAPED_PEM_CERTIFICATE in text
