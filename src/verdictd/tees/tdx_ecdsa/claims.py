"""What a TDX appraisal found, as JSON for policies and people, below `tdx` in a policy's input.

Byte strings and 64-bit fields are lower-case hex, the latter in the report's byte order; small integers are numbers.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from verdictd.core.result import JSONValue
from verdictd.tees.dcap.platform_claims import build_platform_claims, build_qe_claims, build_tcb_claims
from verdictd.tees.dcap.quote import Quote
from verdictd.tees.tdx_ecdsa import td_report
from verdictd.tees.tdx_ecdsa.event_log_claims import build_event_log_claims
from verdictd.tees.tdx_ecdsa.replay import ReplayedLog
from verdictd.tees.tdx_ecdsa.td_report import TDReport

if TYPE_CHECKING:  # whoever only reads a quote shall not wait for the libraries that verify one
    from verdictd.tees.dcap.platform import PlatformFindings

_REFERENCE_FIELDS: Final = ("mr_td", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "mr_config_id", "mr_owner", "mr_owner_config")


def build_claims(
    quote: Quote[TDReport], findings: "PlatformFindings", log: ReplayedLog | None = None
) -> dict[str, JSONValue]:
    """Collect everything appraised. What could not be established is absent or ``None``, never guessed."""
    claims = build_quote_claims(quote)
    claims["platform"] = build_platform_claims(findings)
    claims["tcb"] = build_tcb_claims(findings)
    claims["event_log"] = None if log is None else build_event_log_claims(log)
    return claims


def build_quote_claims(quote: Quote[TDReport]) -> dict[str, JSONValue]:
    """Collect what a quote says of the TD and of the quoting enclave. Trust: as much as the quote."""
    claims = build_report_claims(quote.report)
    claims["quote"] = {"version": quote.version}
    claims["qe"] = build_qe_claims(quote)
    return claims


def build_report_claims(report: TDReport) -> dict[str, JSONValue]:
    """Collect what the TDX module measured of the TD."""
    bits = report.attribute_bits
    svn2, service_td = report.tee_tcb_svn2, report.mr_service_td
    return {
        "mr_td": report.mr_td.hex(),
        "rtmr0": report.rtmr0.hex(),
        "rtmr1": report.rtmr1.hex(),
        "rtmr2": report.rtmr2.hex(),
        "rtmr3": report.rtmr3.hex(),
        "mr_config_id": report.mr_config_id.hex(),
        "mr_owner": report.mr_owner.hex(),
        "mr_owner_config": report.mr_owner_config.hex(),
        "mr_service_td": None if service_td is None else service_td.hex(),
        "report_data": report.report_data.hex(),
        "debug": report.is_debug,
        "sept_ve_disable": bool(bits & td_report.ATTRIBUTE_SEPT_VE_DISABLE),
        "migratable": bool(bits & td_report.ATTRIBUTE_MIGRATABLE),
        "pks": bool(bits & td_report.ATTRIBUTE_PKS),
        "key_locker": bool(bits & td_report.ATTRIBUTE_KEY_LOCKER),
        "perfmon": bool(bits & td_report.ATTRIBUTE_PERFMON),
        "td_attributes": report.td_attributes.hex(),
        "xfam": report.xfam.hex(),
        "mr_seam": report.mr_seam.hex(),
        "mr_signer_seam": report.mr_signer_seam.hex(),
        "seam_attributes": report.seam_attributes.hex(),
        "tee_tcb_svn": report.tee_tcb_svn.hex(),
        "tee_tcb_svn2": None if svn2 is None else svn2.hex(),
    }


def build_reference_fields(claims: Mapping[str, JSONValue]) -> dict[str, JSONValue]:
    """Reference values that this evidence, and no other TD, meets."""
    return {name: [claims[name]] for name in _REFERENCE_FIELDS}


def build_policy_input(claims: Mapping[str, JSONValue], custom_claims: Mapping[str, bytes]) -> dict[str, JSONValue]:
    """The `input` of a policy: everything appraised, and the peer's custom claims."""
    return {"tdx": dict(claims), "claims": {name: value.hex() for name, value in custom_claims.items()}}
