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
from verdictd.tees.dcap.platform_claims import build_platform_claims, build_qe_claims, build_tcb_claims
from verdictd.tees.dcap.quote import Quote

if TYPE_CHECKING:  # whoever only reads a quote shall not wait for the libraries that verify one
    from verdictd.tees.dcap.platform import PlatformFindings


def build_claims(quote: Quote[EnclaveReport], findings: "PlatformFindings") -> dict[str, JSONValue]:
    """Collect everything appraised. What could not be established is absent or ``None``, never guessed."""
    claims = build_quote_claims(quote)
    claims["platform"] = build_platform_claims(findings)
    claims["tcb"] = build_tcb_claims(findings)
    return claims


def build_quote_claims(quote: Quote[EnclaveReport]) -> dict[str, JSONValue]:
    """Collect what a quote says of the enclave and of the quoting enclave. Trust: as much as the quote."""
    claims = build_report_claims(quote.report)
    claims["quote"] = {"version": quote.version, "qe_svn": quote.qe_svn, "pce_svn": quote.pce_svn}
    claims["qe"] = build_qe_claims(quote)
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
