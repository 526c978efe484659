"""What an SGX appraisal found, as JSON for policies and people, and the forms the user's steps need.

Byte strings and 64-bit fields are lower-case hex; small integers are numbers. The four fields of the original policies
(`mrEnclave`, `mrSigner` in base64, `productId`, `svn`) stand at the top level of a policy's input, all else below
`sgx` and `claims`.
"""

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING

from verdictd.core.result import JSONValue
from verdictd.tees.dcap.enclave_report import EnclaveReport
from verdictd.tees.dcap.quote import Quote

if TYPE_CHECKING:  # whoever only reads a quote shall not wait for the libraries that verify one
    from verdictd.tees.dcap.pck import PlatformIdentity
    from verdictd.tees.dcap.platform import PlatformFindings


def build_claims(quote: Quote, findings: "PlatformFindings") -> dict[str, JSONValue]:
    """Collect everything appraised. What could not be established is absent or ``None``, never guessed."""
    claims = build_quote_claims(quote)
    claims["platform"] = _build_platform_claims(findings.pck.platform) if findings.pck else None
    claims["tcb"] = _build_tcb_claims(findings)
    return claims


def build_quote_claims(quote: Quote) -> dict[str, JSONValue]:
    """Collect what a quote says of the enclave and of the quoting enclave. Trust: as much as the quote."""
    claims = build_report_claims(quote.report)
    qe = quote.qe_report
    claims["quote"] = {"version": quote.version, "qe_svn": quote.qe_svn, "pce_svn": quote.pce_svn}
    claims["qe"] = {
        "mr_enclave": qe.mr_enclave.hex(),
        "mr_signer": qe.mr_signer.hex(),
        "isv_prod_id": qe.isv_prod_id,
        "isv_svn": qe.isv_svn,
    }
    return claims


def build_report_claims(report: EnclaveReport) -> dict[str, JSONValue]:
    """Collect what the CPU measured of the enclave, KSS fields included."""
    return {
        "mr_enclave": report.mr_enclave.hex(),
        "mr_signer": report.mr_signer.hex(),
        "isv_prod_id": report.isv_prod_id,
        "isv_svn": report.isv_svn,
        "report_data": report.report_data.hex(),
        "debug": report.is_debug,
        "attributes": report.attributes[:8].hex(),
        "xfrm": report.attributes[8:].hex(),
        "misc_select": report.misc_select.hex(),
        "cpu_svn": report.cpu_svn.hex(),
        "config_id": report.config_id.hex(),
        "config_svn": report.config_svn,
        "isv_ext_prod_id": report.isv_ext_prod_id.hex(),
        "isv_family_id": report.isv_family_id.hex(),
    }


def build_evidence_fields(claims: Mapping[str, JSONValue]) -> dict[str, JSONValue]:
    """The four fields that the original's policies judge, as `verdict show --as evidence` writes them."""
    return {
        "mrEnclave": _hex_to_base64(claims["mr_enclave"]),
        "mrSigner": _hex_to_base64(claims["mr_signer"]),
        "productId": claims["isv_prod_id"],
        "svn": claims["isv_svn"],
    }


def build_reference_fields(claims: Mapping[str, JSONValue]) -> dict[str, JSONValue]:
    """Reference values that this evidence, and no other enclave or signer, meets."""
    fields = build_evidence_fields(claims)
    return {**fields, "mrEnclave": [fields["mrEnclave"]], "mrSigner": [fields["mrSigner"]]}


def build_policy_input(claims: Mapping[str, JSONValue], custom_claims: Mapping[str, bytes]) -> dict[str, JSONValue]:
    """The `input` of a policy: the original's four fields, everything appraised, and the peer's custom claims."""
    return {
        **build_evidence_fields(claims),
        "sgx": dict(claims),
        "claims": {name: value.hex() for name, value in custom_claims.items()},
    }


def _hex_to_base64(text: JSONValue) -> str:
    return base64.b64encode(bytes.fromhex(str(text))).decode("ascii")


def _build_platform_claims(platform: "PlatformIdentity") -> dict[str, JSONValue]:
    instance = platform.platform_instance_id
    return {
        "fmspc": platform.fmspc.hex(),
        "pce_id": platform.pce_id.hex(),
        "ppid": platform.ppid.hex(),
        "platform_instance_id": None if instance is None else instance.hex(),
        "sgx_type": platform.sgx_type,
        "configuration": list(platform.configuration),
        "components": list(platform.components),
        "pce_svn": platform.pce_svn,
    }


def _build_tcb_claims(findings: "PlatformFindings") -> dict[str, JSONValue]:
    level, qe_level = findings.level, findings.qe_level
    return {
        "status": findings.status,
        "platform_status": level.status if level else None,
        "qe_status": qe_level.status if qe_level else None,
        "date": level.date.date().isoformat() if level else None,
        "qe_date": qe_level.date.date().isoformat() if qe_level else None,
        "advisory_ids": list(findings.advisory_ids),
        "evaluation_data_number": findings.evaluation_data_number,
    }
