"""What a local SGX report says, as JSON for policies and people: the same names as of an SGX quote."""

from collections.abc import Mapping

from verdictd.core.result import JSONValue
from verdictd.tees.dcap.enclave_report import EnclaveReport
from verdictd.tees.sgx_ecdsa.claims import build_evidence_fields, build_reference_fields, build_report_claims

__all__ = ["build_claims", "build_policy_input", "build_reference_fields"]


def build_claims(body: EnclaveReport) -> dict[str, JSONValue]:
    """Collect what the CPU measured of the enclave."""
    return build_report_claims(body)


def build_policy_input(claims: Mapping[str, JSONValue], custom_claims: Mapping[str, bytes]) -> dict[str, JSONValue]:
    """The `input` of a policy: the original's four fields, everything appraised, and the peer's custom claims."""
    return {
        **build_evidence_fields(claims),
        "sgx_la": dict(claims),
        "claims": {name: value.hex() for name, value in custom_claims.items()},
    }
