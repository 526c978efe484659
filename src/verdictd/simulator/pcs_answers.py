"""What the simulated service answers with: an HTTP answer as a value, and how refusals become one."""

import re
from base64 import encodebytes
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
PEM = "application/x-pem-file"
CRL = "application/pkix-crl"
_SYNTAX = "InvalidRequestSyntax"


@dataclass(frozen=True, slots=True, kw_only=True)
class PCSAnswer:
    """An HTTP answer: status, headers and body."""

    status: HTTPStatus = HTTPStatus.OK
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class RefusedError(Exception):
    """A request that is answered with a reason instead of collateral."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def refuse(status: HTTPStatus, reason: str, *, headers: tuple[tuple[str, str], ...] = ()) -> PCSAnswer:
    """Answer with a status and its reason as text; of a request that is wrong in itself, in headers as well."""
    if status is HTTPStatus.BAD_REQUEST:
        message = re.sub(r"[^ -~]", "?", reason)
        headers = (*headers, ("Error-Code", _SYNTAX), ("Error-Message", message))
    return PCSAnswer(status=status, content_type=TEXT, body=f"{reason}\n".encode(), headers=headers)


def chain_header(name: str, pem: bytes) -> tuple[str, str]:
    """An issuer chain as it travels in a header: percent-encoded."""
    return name, quote(pem.decode("ascii"), safe="")


def encode_crl(der: bytes, encoding: str, *headers: tuple[str, str]) -> PCSAnswer:
    """Answer with a CRL.

    Args:
        der: the CRL.
        encoding: ``der``, ``pem``, or empty for hex text of the DER, as a PCCS has it.
        headers: to go with it.

    Raises:
        RefusedError: another encoding.
    """
    match encoding.lower():
        case "":
            return PCSAnswer(content_type=TEXT, body=der.hex().encode("ascii"), headers=headers)
        case "der":
            return PCSAnswer(content_type=CRL, body=der, headers=headers)
        case "pem":
            pem = b"-----BEGIN X509 CRL-----\n" + encodebytes(der) + b"-----END X509 CRL-----\n"
            return PCSAnswer(content_type=PEM, body=pem, headers=headers)
        case other:
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"the parameter 'encoding' is {other!r:.40}, not der or pem")
