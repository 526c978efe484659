"""What a PCCS answers to whom it may concern, for one simulated platform: the read API, v3 and v4. No sockets here.

The forms are a PCCS's: a CRL comes as hex text of its DER unless `encoding` asks for ``der`` or ``pem``; issuer chains
travel percent-encoded in headers. API v3 has TCB info of version 2 and no advisories, v4 has version 3.

Spec: Intel PCS API v3 and v4; Intel PCCS design guide.
"""

import re
from base64 import encodebytes
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from typing import Literal
from urllib.parse import parse_qs, quote, urlsplit

from verdictd.simulator.pki import PCK_CRL_URL, ROOT_CRL_URL
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.tees.dcap.collateral import SignedDocument, encode_signed_document

APIVersion = Literal["v3", "v4"]

_ROUTE = re.compile(r"/sgx/certification/(v3|v4)/([a-z/]+)")
_MAX_QUERY_FIELDS = 16
_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"
_PEM = "application/x-pem-file"
_CRL = "application/pkix-crl"
_TCB_INFO_CHAIN: dict[APIVersion, str] = {"v3": "SGX-TCB-Info-Issuer-Chain", "v4": "TCB-Info-Issuer-Chain"}
_TCB_INFO_VERSION: dict[APIVersion, int] = {"v3": 2, "v4": 3}
_PCK_PARAMETERS = {"qeid": 16, "cpusvn": 16, "pcesvn": 2, "pceid": 2}
"""What a PCK certificate is asked for by, and how many bytes of hex each has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PCSAnswer:
    """An HTTP answer: status, headers and body."""

    status: HTTPStatus = HTTPStatus.OK
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    platform: SimulatedPlatform
    at: datetime
    version: APIVersion
    query: dict[str, str]


class _RefusedError(Exception):
    """A request that is answered with a reason instead of collateral."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def answer(target: str, platform: SimulatedPlatform, at: datetime) -> PCSAnswer:
    """Answer a GET request.

    Args:
        target: untrusted; path and query as in the request line.
        platform: whose collateral is asked for.
        at: when; items are issued for this instant.
    """
    try:
        request, route = _parse_target(target, platform, at)
        return _ROUTES[route](request)
    except _RefusedError as refusal:
        return refuse(refusal.status, str(refusal))


def refuse(status: HTTPStatus, reason: str) -> PCSAnswer:
    """Answer with a status and its reason as text."""
    return PCSAnswer(status=status, content_type=_TEXT, body=f"{reason}\n".encode())


def _parse_target(target: str, platform: SimulatedPlatform, at: datetime) -> tuple[_Request, str]:
    try:
        parts = urlsplit(target)
        fields = parse_qs(parts.query, keep_blank_values=True, max_num_fields=_MAX_QUERY_FIELDS)
    except ValueError as error:
        raise _RefusedError(HTTPStatus.BAD_REQUEST, f"the request's URL cannot be read: {error}") from error
    repeated = [name for name, values in fields.items() if len(values) > 1]
    if repeated:
        raise _RefusedError(HTTPStatus.BAD_REQUEST, f"the parameter {repeated[0]!r:.40} is given more than once")
    match = _ROUTE.fullmatch(parts.path)
    if match is None or match[2] not in _ROUTES:
        routes = ", ".join(_ROUTES)
        raise _RefusedError(
            HTTPStatus.NOT_FOUND, f"{parts.path!r:.80} is not served; /sgx/certification/v3/ and v4/ have: {routes}"
        )
    version: APIVersion = "v3" if match[1] == "v3" else "v4"
    query = {name: values[0] for name, values in fields.items()}
    return _Request(platform=platform, at=at, version=version, query=query), match[2]


def _answer_tcb(request: _Request) -> PCSAnswer:
    fmspc, own = _hex_parameter(request, "fmspc", 6), request.platform.hardware.fmspc
    if fmspc != own:
        raise _RefusedError(
            HTTPStatus.NOT_FOUND,
            f"there is no TCB info for FMSPC {fmspc.hex()}: the simulated platform's is {own.hex()}",
        )
    spec = request.platform.tcb_info_spec(version=_TCB_INFO_VERSION[request.version])
    document = request.platform.issue_tcb_info(spec, request.at)
    chain = _chain_header(_TCB_INFO_CHAIN[request.version], document.issuer_chain)
    return PCSAnswer(content_type=_JSON, body=encode_signed_document(document, "tcbInfo"), headers=(chain,))


def _answer_qe_identity(request: _Request) -> PCSAnswer:
    spec = replace(request.platform.qe_identity_spec(), with_advisories=request.version == "v4")
    document: SignedDocument = request.platform.issue_qe_identity(spec, request.at)
    chain = _chain_header("SGX-Enclave-Identity-Issuer-Chain", document.issuer_chain)
    return PCSAnswer(content_type=_JSON, body=encode_signed_document(document, "enclaveIdentity"), headers=(chain,))


def _answer_pck_crl(request: _Request) -> PCSAnswer:
    ca = _parameter(request, "ca").lower()
    if ca not in {"platform", "processor"}:
        raise _RefusedError(HTTPStatus.BAD_REQUEST, f"the parameter 'ca' is {ca!r:.40}, not platform or processor")
    if ca == "processor":
        raise _RefusedError(HTTPStatus.NOT_FOUND, "the simulated platform's PCK certificate is of the platform CA")
    crl = request.platform.issue_pck_crl(request.platform.pck_crl_spec(), request.at)
    return _encode_crl(crl.der, request, _chain_header("SGX-PCK-CRL-Issuer-Chain", crl.issuer_chain))


def _answer_root_ca_crl(request: _Request) -> PCSAnswer:
    return _encode_crl(_root_ca_crl(request), request)


def _answer_crl(request: _Request) -> PCSAnswer:
    uri = _parameter(request, "uri")
    if uri == ROOT_CRL_URL:
        return PCSAnswer(content_type=_CRL, body=_root_ca_crl(request))
    if uri == PCK_CRL_URL:
        platform = request.platform
        return PCSAnswer(content_type=_CRL, body=platform.issue_pck_crl(platform.pck_crl_spec(), request.at).der)
    raise _RefusedError(
        HTTPStatus.NOT_FOUND, f"{uri!r:.200} is no CRL distribution point of the simulated platform's certificates"
    )


def _answer_pck_certificate(request: _Request) -> PCSAnswer:
    asked = {name: _hex_parameter(request, name, size) for name, size in _PCK_PARAMETERS.items()}
    hardware, pki = request.platform.hardware, request.platform.pki
    if asked["qeid"] != hardware.qe_id or asked["pceid"] != hardware.pce_id:
        raise _RefusedError(HTTPStatus.NOT_FOUND, "there is no PCK certificate for a platform with these ids")
    tcbm = hardware.cpu_svn + hardware.pce_svn.to_bytes(2, "little")
    return PCSAnswer(
        content_type=_PEM,
        body=pki.pck.pem,
        headers=(
            _chain_header("SGX-PCK-Certificate-Issuer-Chain", pki.chain("platform-ca")),
            ("SGX-TCBm", tcbm.hex().upper()),
            ("SGX-FMSPC", hardware.fmspc.hex().upper()),
            ("SGX-PCK-Certificate-CA-Type", "platform"),
        ),
    )


_ROUTES: dict[str, Callable[[_Request], PCSAnswer]] = {
    "tcb": _answer_tcb,
    "qe/identity": _answer_qe_identity,
    "pckcrl": _answer_pck_crl,
    "rootcacrl": _answer_root_ca_crl,
    "crl": _answer_crl,
    "pckcert": _answer_pck_certificate,
}


def _parameter(request: _Request, name: str) -> str:
    value = request.query.get(name)
    if not value:
        raise _RefusedError(HTTPStatus.BAD_REQUEST, f"the parameter {name!r} is missing")
    return value


def _hex_parameter(request: _Request, name: str, size: int) -> bytes:
    value = _parameter(request, name)
    if not re.fullmatch(rf"[0-9A-Fa-f]{{{2 * size}}}", value):
        raise _RefusedError(
            HTTPStatus.BAD_REQUEST, f"the parameter {name!r} is {value!r:.80}, expected {2 * size} hex digits"
        )
    return bytes.fromhex(value)


def _root_ca_crl(request: _Request) -> bytes:
    return request.platform.issue_root_ca_crl(request.platform.root_ca_crl_spec(), request.at).der


def _encode_crl(der: bytes, request: _Request, *headers: tuple[str, str]) -> PCSAnswer:
    match request.query.get("encoding", "").lower():
        case "":
            return PCSAnswer(content_type=_TEXT, body=der.hex().encode("ascii"), headers=headers)
        case "der":
            return PCSAnswer(content_type=_CRL, body=der, headers=headers)
        case "pem":
            pem = b"-----BEGIN X509 CRL-----\n" + encodebytes(der) + b"-----END X509 CRL-----\n"
            return PCSAnswer(content_type=_PEM, body=pem, headers=headers)
        case other:
            raise _RefusedError(HTTPStatus.BAD_REQUEST, f"the parameter 'encoding' is {other!r:.40}, not der or pem")


def _chain_header(name: str, pem: bytes) -> tuple[str, str]:
    return name, quote(pem.decode("ascii"), safe="")
