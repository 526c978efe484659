"""Routes that hand out what the vendor publishes for everybody: TCB info, identities, CRLs, and lists of them."""

import json
from dataclasses import replace
from http import HTTPStatus

from verdictd.simulator.evaluation_numbers import encode_evaluation_numbers, encode_signed_numbers, recovery_days
from verdictd.simulator.family import FAMILIES, family_fmspc, find_family
from verdictd.simulator.pcs_answers import CRL, JSON, PCSAnswer, RefusedError, chain_header, encode_crl
from verdictd.simulator.pcs_request import APIVersion, PCSRequest
from verdictd.simulator.pki import PCK_CRL_URL, PROCESSOR_CRL_URL, ROOT_CRL_URL
from verdictd.simulator.quoting_enclave import EnclaveId
from verdictd.simulator.tdx_levels import tdx_tcb_info_spec
from verdictd.tees.dcap.collateral import RevocationList, encode_signed_document

_TCB_INFO_CHAIN: dict[APIVersion, str] = {"v3": "SGX-TCB-Info-Issuer-Chain", "v4": "TCB-Info-Issuer-Chain"}
_TCB_INFO_VERSION: dict[APIVersion, int] = {"v3": 2, "v4": 3}
_PLATFORM_KINDS = ("all", "client", "E3", "E5")


def answer_tcb_info(request: PCSRequest) -> PCSAnswer:
    """Answer ``tcb``, of SGX and TDX."""
    own, fmspc = request.platform.hardware.fmspc, request.octets("fmspc", 6)
    family = find_family(own, fmspc)
    if family is None or (request.tee == "tdx" and not FAMILIES[family].has_tdx):
        tee = "TDX TCB info" if request.tee == "tdx" else "TCB info"
        raise RefusedError(
            HTTPStatus.NOT_FOUND,
            f"there is no {tee} for FMSPC {fmspc.hex()}: the simulated platform's is {own.hex()}",
        )
    spec = request.platform.tcb_info_spec(version=_TCB_INFO_VERSION[request.version], publication=request.publication())
    if request.tee == "tdx":
        spec = tdx_tcb_info_spec(spec, created_at=request.platform.created_at)
    spec = replace(spec, fmspc=fmspc, issue_date=request.issue_date, next_update=request.next_update)
    document = request.platform.issue_tcb_info(spec, request.at)
    chain = chain_header(_TCB_INFO_CHAIN[request.version], document.issuer_chain)
    return PCSAnswer(content_type=JSON, body=encode_signed_document(document, "tcbInfo"), headers=(chain,))


def answer_qe_identity(request: PCSRequest) -> PCSAnswer:
    """Answer ``qe/identity``, of SGX and TDX."""
    return _answer_identity(request, "TD_QE" if request.tee == "tdx" else "QE")


def answer_qve_identity(request: PCSRequest) -> PCSAnswer:
    """Answer ``qve/identity``."""
    return _answer_identity(request, "QVE")


def _answer_identity(request: PCSRequest, enclave_id: EnclaveId) -> PCSAnswer:
    spec = replace(
        request.platform.qe_identity_spec(enclave_id, request.publication()),
        with_advisories=request.version == "v4",
        issue_date=request.issue_date,
        next_update=request.next_update,
    )
    document = request.platform.issue_qe_identity(spec, request.at)
    chain = chain_header("SGX-Enclave-Identity-Issuer-Chain", document.issuer_chain)
    return PCSAnswer(content_type=JSON, body=encode_signed_document(document, "enclaveIdentity"), headers=(chain,))


def answer_evaluation_numbers(request: PCSRequest) -> PCSAnswer:
    """Answer ``tcbevaluationdatanumbers``, of SGX and TDX."""
    text = encode_evaluation_numbers(
        request.tee.upper(),
        recovery_days(request.platform),
        issue_date=request.issue_date,
        next_update=request.next_update,
    )
    document = request.platform.sign_document(text)
    chain = chain_header("TCB-Evaluation-Data-Numbers-Issuer-Chain", document.issuer_chain)
    return PCSAnswer(content_type=JSON, body=encode_signed_numbers(document), headers=(chain,))


def answer_fmspcs(request: PCSRequest) -> PCSAnswer:
    """Answer ``fmspcs``."""
    asked = request.parameters.get("platform") or "all"
    if asked not in _PLATFORM_KINDS:
        raise RefusedError(
            HTTPStatus.BAD_REQUEST,
            f"the parameter 'platform' is {asked!r:.40}, not one of {', '.join(_PLATFORM_KINDS)}",
        )
    first = request.platform.hardware.fmspc
    entries = [
        {"fmspc": family_fmspc(first, index).hex().upper(), "platform": family.kind}
        for index, family in enumerate(FAMILIES)
        if asked in {"all", family.kind}
    ]
    return PCSAnswer(content_type=JSON, body=json.dumps(entries, separators=(",", ":")).encode("ascii"))


def answer_pck_crl(request: PCSRequest) -> PCSAnswer:
    """Answer ``pckcrl``."""
    match request.parameter("ca").lower():
        case "platform":
            crl = _platform_crl(request)
        case "processor":
            crl = _processor_crl(request)
        case other:
            raise RefusedError(
                HTTPStatus.BAD_REQUEST, f"the parameter 'ca' is {other!r:.40}, not platform or processor"
            )
    chain = chain_header("SGX-PCK-CRL-Issuer-Chain", crl.issuer_chain)
    return encode_crl(crl.der, request.parameters.get("encoding", ""), chain)


def answer_root_ca_crl(request: PCSRequest) -> PCSAnswer:
    """Answer ``rootcacrl``."""
    return encode_crl(_root_ca_crl(request).der, request.parameters.get("encoding", ""))


def answer_root_ca_crl_file(request: PCSRequest) -> PCSAnswer:
    """Answer the path of the root certificate's distribution point."""
    return PCSAnswer(content_type=CRL, body=_root_ca_crl(request).der)


def answer_crl(request: PCSRequest) -> PCSAnswer:
    """Answer ``crl``."""
    uri = request.parameter("uri")
    crls = {ROOT_CRL_URL: _root_ca_crl, PCK_CRL_URL: _platform_crl, PROCESSOR_CRL_URL: _processor_crl}
    if uri not in crls:
        raise RefusedError(
            HTTPStatus.NOT_FOUND, f"{uri!r:.200} is no CRL distribution point of the simulated platform's certificates"
        )
    return PCSAnswer(content_type=CRL, body=crls[uri](request).der)


def _platform_crl(request: PCSRequest) -> RevocationList:
    spec = replace(request.platform.pck_crl_spec(), next_update=request.next_update)
    return request.platform.issue_pck_crl(spec, request.at)


def _processor_crl(request: PCSRequest) -> RevocationList:
    spec = replace(request.platform.processor_crl_spec(), next_update=request.next_update)
    return request.platform.issue_processor_crl(spec, request.at)


def _root_ca_crl(request: PCSRequest) -> RevocationList:
    spec = replace(request.platform.root_ca_crl_spec(), next_update=request.next_update)
    return request.platform.issue_root_ca_crl(spec, request.at)
