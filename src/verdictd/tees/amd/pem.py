"""PEM as AMD's service serves it (RFC 7468): certificates and nothing else."""

import re
from binascii import Error, a2b_base64
from typing import Final

from verdictd.core.errors import LimitExceededError, MalformedError
from verdictd.core.limits import MAX_CHAIN_BYTES, MAX_CHAIN_CERTIFICATES

_BLOCK: Final = re.compile(rb"\s*-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----\s*")


def decode_pem(pem: bytes, what: str) -> list[bytes]:
    """Return the DER of the certificates in a PEM text, in its order.

    Raises:
        MalformedError: it holds something else, or nothing.
        LimitExceededError: it is too long, or holds too many.
    """
    if len(pem) > MAX_CHAIN_BYTES:
        raise LimitExceededError(f"{what} is {len(pem)} bytes long, the limit is {MAX_CHAIN_BYTES}")
    ders: list[bytes] = []
    offset = 0
    while offset < len(pem):
        block = _BLOCK.match(pem, offset)
        if block is None:
            raise MalformedError(f"{what} holds something that is no PEM certificate, at byte {offset}")
        if len(ders) == MAX_CHAIN_CERTIFICATES:
            raise LimitExceededError(f"{what} holds more than {MAX_CHAIN_CERTIFICATES} certificates")
        try:
            ders.append(a2b_base64(b"".join(block[1].split()), strict_mode=True))
        except Error as error:
            raise MalformedError(f"{what} holds a certificate that is not base64: {error}") from error
        offset = block.end()
    if not ders:
        raise MalformedError(f"{what} holds no certificate")
    return ders
