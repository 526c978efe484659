"""What the simulated vendor's service answers to whom it may concern: as Intel's PCS, and as a PCCS. No sockets here.

Where the two differ, the PCCS's form is the default: a CRL comes as hex text of its DER unless `encoding` asks for
``der`` or ``pem``, and a PCK certificate is asked for with ``qeid``. Issuer chains travel percent-encoded in headers.
API v3 has TCB info of version 2 and no advisories, v4 has version 3.

Spec: Intel PCS API v3 and v4; Intel PCCS design guide.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import NamedTuple

from verdictd.simulator.pcs_answers import PCSAnswer, RefusedError, refuse
from verdictd.simulator.pcs_certificates import (
    answer_configured_pck_certificates,
    answer_pck_certificate,
    answer_pck_certificates,
)
from verdictd.simulator.pcs_collateral import (
    answer_crl,
    answer_evaluation_numbers,
    answer_fmspcs,
    answer_pck_crl,
    answer_qe_identity,
    answer_qve_identity,
    answer_root_ca_crl,
    answer_root_ca_crl_file,
    answer_tcb_info,
)
from verdictd.simulator.pcs_request import TEE, APIVersion, Method, PCSRequest, read_body, read_query
from verdictd.simulator.platform import SimulatedPlatform

_PATH = re.compile(r"/(?P<tee>sgx|tdx)/certification/(?P<version>v3|v4)/(?P<route>[a-z/]+)")


class _Route(NamedTuple):
    """A path below the API's prefix.

    Attributes:
        answer: what answers it.
        takes_post: whether it may be asked with POST as well.
        is_new: whether API v3 has it not.
        takes_key: whether it is for subscribers, where the service was told to have any.
    """

    answer: Callable[[PCSRequest], PCSAnswer]
    takes_post: bool = False
    is_new: bool = False
    takes_key: bool = False


_SGX_ROUTES: Mapping[str, _Route] = {
    "tcb": _Route(answer_tcb_info),
    "qe/identity": _Route(answer_qe_identity),
    "qve/identity": _Route(answer_qve_identity),
    "pckcrl": _Route(answer_pck_crl),
    "rootcacrl": _Route(answer_root_ca_crl),
    "crl": _Route(answer_crl),
    "pckcert": _Route(answer_pck_certificate, takes_post=True, takes_key=True),
    "pckcerts": _Route(answer_pck_certificates, takes_post=True, is_new=True, takes_key=True),
    "pckcerts/config": _Route(answer_configured_pck_certificates, takes_post=True, is_new=True, takes_key=True),
    "fmspcs": _Route(answer_fmspcs, is_new=True),
    "tcbevaluationdatanumbers": _Route(answer_evaluation_numbers, is_new=True),
}
_TDX_ROUTES: Mapping[str, _Route] = {
    "tcb": _Route(answer_tcb_info, is_new=True),
    "qe/identity": _Route(answer_qe_identity, is_new=True),
    "tcbevaluationdatanumbers": _Route(answer_evaluation_numbers, is_new=True),
}
_ROOT_CRL_PATHS = frozenset({"/SimulatedSGXRootCA.der", "/IntelSGXRootCA.der"})
"""What the root certificate's distribution point names, and what the genuine one's does."""


def answer(
    target: str,
    platform: SimulatedPlatform,
    at: datetime,
    *,
    method: Method = "GET",
    body: bytes = b"",
    lifetime: timedelta | None = None,
    is_subscriber: bool = True,
) -> PCSAnswer:
    """Answer a request.

    Args:
        target: untrusted; path and query as in the request line.
        platform: whose vendor is asked.
        at: when; items are issued for this instant.
        method: of the request.
        body: untrusted; of a POST request.
        lifetime: how long the items are good; ``None`` for as long as genuine ones.
        is_subscriber: whether the client has brought a subscription key, or needs none.
    """
    try:
        path, parameters = read_query(target)
        tee, version, route = _find_route(path)
        if method == "POST":
            if not route.takes_post:
                raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, f"{path!r:.80} is asked for with GET")
            parameters = read_body(body)
        if route.takes_key and not is_subscriber:
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "the header Ocp-Apim-Subscription-Key is missing or wrong")
        return route.answer(
            PCSRequest(
                platform=platform,
                at=at,
                lifetime=lifetime,
                version=version,
                tee=tee,
                method=method,
                parameters=parameters,
            )
        )
    except RefusedError as refusal:
        return refuse(refusal.status, str(refusal))


def _find_route(path: str) -> tuple[TEE, APIVersion, _Route]:
    if path in _ROOT_CRL_PATHS:
        return "sgx", "v4", _Route(answer_root_ca_crl_file)
    match = _PATH.fullmatch(path)
    if match is not None:
        tee: TEE = "tdx" if match["tee"] == "tdx" else "sgx"
        version: APIVersion = "v3" if match["version"] == "v3" else "v4"
        route = (_TDX_ROUTES if tee == "tdx" else _SGX_ROUTES).get(match["route"])
        if route is not None and not (route.is_new and version == "v3"):
            return tee, version, route
    raise RefusedError(
        HTTPStatus.NOT_FOUND,
        f"{path!r:.80} is not served; /sgx/certification/v3/ and v4/ have: {', '.join(_SGX_ROUTES)}; "
        f"/tdx/certification/v4/ has: {', '.join(_TDX_ROUTES)}",
    )
