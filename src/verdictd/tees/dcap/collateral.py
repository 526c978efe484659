"""Intel's collateral (Endorsements, in the words of RFC 9334) as received: raw, with its source, not yet trusted.

The signature of TCB info and QE identity covers the exact text of the inner JSON value, so that text is kept as bytes
and never re-encoded.
"""

import json
import re
from dataclasses import dataclass
from typing import Literal

from verdictd.core.errors import LimitExceededError, MalformedError
from verdictd.core.limits import MAX_SIGNED_DOCUMENT_BYTES

DocumentMember = Literal["tcbInfo", "enclaveIdentity"]

_SPACE = r"[ \t\r\n]*"  # what JSON calls white space; \s is more
_SIGNATURE_TAIL = re.compile(
    rf'{_SPACE},{_SPACE}"signature"{_SPACE}:{_SPACE}"([0-9A-Fa-f]{{128}})"{_SPACE}\}}{_SPACE}\Z'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedDocument:
    """TCB info or QE identity: raw text, signature and the chain of its signer. Nothing is verified.

    Attributes:
        body: the exact bytes that the signature covers (the value of ``tcbInfo`` or ``enclaveIdentity``).
        signature: 64 bytes, r ‖ s, ECDSA P-256 over SHA-256.
        issuer_chain: PEM certificates, in any order; signer, (intermediates,) root.
        source: where it came from, for the operator (a file name, a URL without secrets, ``peer``).
    """

    body: bytes
    signature: bytes
    issuer_chain: bytes
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationList:
    """A CRL in DER, with the PEM chain of its issuer where one came along (empty otherwise). Nothing is verified."""

    der: bytes
    issuer_chain: bytes
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Collateral:
    """What is needed beside a quote to judge it. An item that is missing is ``None``, and its checks then refuse."""

    tcb_info: SignedDocument | None = None
    qe_identity: SignedDocument | None = None
    pck_crl: RevocationList | None = None
    root_ca_crl: RevocationList | None = None


def parse_signed_document(
    response: bytes, member: DocumentMember, *, issuer_chain: bytes, source: str
) -> SignedDocument:
    """Split a PCS answer ``{"<member>":{…},"signature":"<hex>"}`` without touching the signed text.

    Raises:
        MalformedError: not that shape. A NUL or any other byte before or after it is refused as well.
        LimitExceededError: longer than `MAX_SIGNED_DOCUMENT_BYTES`.
    Spec:
        Intel PCS API v4, "Get TCB Info": the signature is calculated over the tcbInfo body without whitespace.
    """
    if len(response) > MAX_SIGNED_DOCUMENT_BYTES:
        raise LimitExceededError(
            f"{member} from {source} is {len(response)} bytes long, the limit is {MAX_SIGNED_DOCUMENT_BYTES}"
        )
    try:
        text = response.decode("utf-8")
        opening = re.match(rf'{_SPACE}\{{{_SPACE}"{member}"{_SPACE}:{_SPACE}', text)
        if opening is None or text[opening.end() : opening.end() + 1] != "{":
            raise MalformedError(f'{member} from {source} does not begin with {{"{member}":{{')
        _, end = json.JSONDecoder().raw_decode(text, opening.end())
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"{member} from {source} is not JSON: {error}") from error
    tail = _SIGNATURE_TAIL.match(text, end)
    if tail is None:
        raise MalformedError(f'{member} from {source} does not end with ,"signature":"<128 hex digits>"}}')
    return SignedDocument(
        body=text[opening.end() : end].encode("utf-8"),
        signature=bytes.fromhex(tail.group(1)),
        issuer_chain=issuer_chain,
        source=source,
    )


def encode_signed_document(document: SignedDocument, member: DocumentMember) -> bytes:
    """Write a document as the PCS serves it; the inverse of `parse_signed_document`."""
    return b'{"%s":%s,"signature":"%s"}' % (
        member.encode("ascii"),
        document.body,
        document.signature.hex().encode("ascii"),
    )
