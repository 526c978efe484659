"""The rules of Intel's service for each parameter. What passes is upper-cased or decoded.

Spec: Intel PCCS, service/services/validatorService.js and service/utils/apputil.js.
"""

import re
from collections.abc import Mapping
from typing import Final, Literal

from verdictd.collateral.pccs_urls import APIVersion, Update
from verdictd.pccs.model import Edition
from verdictd.pccs.web.http.refusals import RequestRefusedError, refuse_parameter
from verdictd.tees.dcap.pck import PCKCAType

MAX_QE_ID_DIGITS: Final = 260
MAX_URI_CHARACTERS: Final = 2048
MAX_EVALUATION_NUMBER: Final = 0xFFFFFFFF
_HEX: Final = re.compile(r"[0-9A-Fa-f]+")
_NUMBER: Final = re.compile(r"[0-9]{1,10}")
_ROOT_CRL: Final = re.compile(
    r"https://(?:[a-zA-Z0-9-]*certificates\.trustedservices\.intel\.com|certprx\.adsdcsp\.com)/IntelSGXRootCA\..*"
)
_PCK_CRL: Final = re.compile(
    r"https://(?:[a-zA-Z0-9-]*\.?api\.trustedservices\.intel\.com|[a-zA-Z0-9-]+\.az\.sgx(?:prod|np)\.adsdcsp\.com)"
    r"/sgx/certification/v[1-9][0-9]*/pckcrl\?.*"
)
_V3_HAS_ENDED: Final = 410


def read_hex(parameters: Mapping[str, str], name: str, digits: int) -> bytes:
    """Return a parameter of so many hex digits.

    Raises:
        RequestRefusedError: 400.
    """
    text = parameters.get(name)
    if text is None or len(text) != digits or not _HEX.fullmatch(text):
        raise refuse_parameter(name, f"{digits} hex digits", text)
    return bytes.fromhex(text)


def read_fmspc(parameters: Mapping[str, str]) -> bytes:
    """Return ``fmspc``, 6 bytes.

    Raises:
        RequestRefusedError: 400.
    """
    return read_hex(parameters, "fmspc", 12)


def read_qe_id(text: str | None, name: str) -> str:
    """Return the id of a quoting enclave in upper case.

    Raises:
        RequestRefusedError: 400.
    """
    if not text or len(text) > MAX_QE_ID_DIGITS or not _HEX.fullmatch(text):
        raise refuse_parameter(name, f"1 to {MAX_QE_ID_DIGITS} hex digits", text)
    return text.upper()


def read_edition(parameters: Mapping[str, str], version: APIVersion) -> Edition:
    """Return which publication is asked for, by ``update`` or ``tcbEvaluationDataNumber``.

    Raises:
        RequestRefusedError: 400; 410 for what version 3 of the API never had.
    """
    number = parameters.get("tcbEvaluationDataNumber")
    if number is not None and version == 4:
        if "update" in parameters:
            raise RequestRefusedError(
                "the parameters update and tcbEvaluationDataNumber exclude each other",
                status=400,
                problem="invalid-parameter",
                remedy="give one of them",
            )
        if not _NUMBER.fullmatch(number) or not 0 < int(number) <= MAX_EVALUATION_NUMBER:
            raise refuse_parameter("tcbEvaluationDataNumber", f"a number from 1 to {MAX_EVALUATION_NUMBER}", number)
        return Edition(version, int(number))
    update: Update = read_update(parameters)
    if version == 3 and (number is not None or update != "standard"):
        raise RequestRefusedError(
            "version 3 of the API has the standard update alone",
            status=_V3_HAS_ENDED,
            problem="no-cache-data",
            remedy="ask /v4/ for it",
        )
    return Edition(version, update)


def read_update(parameters: Mapping[str, str]) -> Literal["standard", "early"]:
    """Return ``update``: ``standard`` or ``early``, in any case; ``standard`` where it is not there.

    Raises:
        RequestRefusedError: 400.
    """
    text = parameters.get("update", "standard")
    if text.lower() == "standard":
        return "standard"
    if text.lower() == "early":
        return "early"
    raise refuse_parameter("update", "standard or early", text)


def read_updates(parameters: Mapping[str, str]) -> tuple[str, ...]:
    """Return the updates that ``update`` names: one, or both for ``all``.

    Raises:
        RequestRefusedError: 400.
    """
    if parameters.get("update", "").lower() == "all":
        return ("standard", "early")
    return (read_update(parameters),)


def read_pck_ca(parameters: Mapping[str, str]) -> PCKCAType:
    """Return ``ca``: ``processor`` or ``platform``, in any case.

    Raises:
        RequestRefusedError: 400.
    """
    text = parameters.get("ca")
    match (text or "").lower():
        case "processor":
            return "processor"
        case "platform":
            return "platform"
        case _:
            raise refuse_parameter("ca", "processor or platform", text)


def read_crl_uri(parameters: Mapping[str, str]) -> str:
    """Return ``uri``: one of Intel's distribution points of CRLs.

    Raises:
        RequestRefusedError: 400.
    """
    uri = parameters.get("uri")
    if not uri or len(uri) > MAX_URI_CHARACTERS:
        raise refuse_parameter("uri", f"an address of at most {MAX_URI_CHARACTERS} characters", uri)
    if not uri.isascii() or not uri.isprintable() or not (_ROOT_CRL.fullmatch(uri) or _PCK_CRL.fullmatch(uri)):
        raise refuse_parameter("uri", "the address of one of Intel's CRLs, as its certificates name it", uri)
    return uri
