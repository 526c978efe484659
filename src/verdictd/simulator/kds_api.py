"""What a simulated AMD's key distribution service answers. No sockets here.

Spec: AMD publication 57230, VCEK Certificate and KDS Interface Specification, chapter 4; 58217 for VLEK.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final

from verdictd.simulator.amd_certificates import AMDTCB, AMDKeyType, AMDProduct, issue_amd_crl, issue_endorsement_key
from verdictd.simulator.amd_pki import AMDPKI
from verdictd.simulator.amd_store import AMD_PRODUCTS
from verdictd.simulator.crl_builder import BACKDATED
from verdictd.simulator.pcs_answers import CRL, PEM, PCSAnswer, RefusedError, refuse
from verdictd.simulator.pcs_request import read_query

KDS_PATHS: Final = ("/vcek/", "/vlek/")
UNKNOWN_CHIP: Final = b"\xff" * 8
"""How the id of a chip begins that the vendor does not know."""
_PATH: Final = re.compile(r"/(?P<key>vcek|vlek)/v1/(?P<product>[A-Za-z]+)/(?P<what>[A-Za-z0-9_]+)")
_SVN: Final = re.compile(r"[0-9]{1,3}")
_DER: Final = "application/pkix-cert"
_CRL_LIFETIME: Final = timedelta(days=365)
_SVNS: Final = {
    "blSPL": "bootloader",
    "teeSPL": "tee",
    "snpSPL": "snp",
    "ucodeSPL": "microcode",
    "fmcSPL": "fmc",
}


def answer_kds(
    target: str, find_pki: Callable[[AMDProduct], AMDPKI], at: datetime, *, lifetime: timedelta | None = None
) -> PCSAnswer:
    """Answer a GET request.

    Args:
        target: untrusted; path and query as in the request line.
        find_pki: gives the PKI of a product.
        at: when; what is issued is dated a little before this instant.
        lifetime: how long it is good; ``None`` for as long as genuine ones.
    """
    try:
        path, query = read_query(target)
        match = _PATH.fullmatch(path)
        product = next((known for known in AMD_PRODUCTS if match and match["product"] == known), None)
        if match is None or product is None:
            raise RefusedError(
                HTTPStatus.NOT_FOUND,
                f"{path!r:.80} is not served; /vcek/v1/ and /vlek/v1/ have {', '.join(AMD_PRODUCTS)}",
            )
        key_type: AMDKeyType = "vlek" if match["key"] == "vlek" else "vcek"
        ends = None if lifetime is None else at + lifetime
        match match["what"]:
            case "cert_chain":
                return PCSAnswer(content_type=PEM, body=find_pki(product).chain(key_type))
            case "crl":
                return _answer_crl(find_pki(product), at, ends)
            case name:
                chip_id, tcb = _chip_id(name, key_type, product), _tcb(query, product)
                pki = find_pki(product)
                spec = pki.spec(key_type, chip_id, tcb, (at - BACKDATED).replace(microsecond=0))
                der = issue_endorsement_key(replace(spec, not_after=ends or spec.not_after), pki.issuer(key_type).key)
                return PCSAnswer(content_type=_DER, body=der)
    except RefusedError as refusal:
        return refuse(refusal.status, str(refusal))


def _answer_crl(pki: AMDPKI, at: datetime, ends: datetime | None) -> PCSAnswer:
    this_update = at - BACKDATED
    der = issue_amd_crl(
        pki.ark.certificate.subject,
        pki.ark.key,
        number=1,
        this_update=this_update,
        next_update=ends or this_update + _CRL_LIFETIME,
    )
    return PCSAnswer(content_type=CRL, body=der)


def _chip_id(name: str, key_type: AMDKeyType, product: AMDProduct) -> bytes:
    if key_type == "vlek":
        if name != "cert":
            raise RefusedError(HTTPStatus.NOT_FOUND, f"{name!r:.40} is not served: a VLEK is at 'cert'")
        return b""
    size = 8 if product == "Turin" else 64
    if not re.fullmatch(rf"[0-9A-Fa-f]{{{2 * size}}}", name):
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"the chip id is {name!r:.40}, expected {2 * size} hex digits")
    chip_id = bytes.fromhex(name)
    if not any(chip_id) or chip_id.startswith(UNKNOWN_CHIP):
        raise RefusedError(HTTPStatus.NOT_FOUND, "there is no chip with this id")
    return chip_id


def _tcb(query: dict[str, str], product: AMDProduct) -> AMDTCB:
    svns: dict[str, int] = {}
    for parameter, name in _SVNS.items():
        if parameter == "fmcSPL" and product != "Turin":
            continue
        value = query.get(parameter, "0")
        if not _SVN.fullmatch(value) or int(value) > 255:
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"the parameter {parameter!r} is {value!r:.40}, not 0 to 255")
        svns[name] = int(value)
    return AMDTCB(**svns)
