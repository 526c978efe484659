"""What was found of the platform behind a quote, as JSON for policies and people; the same for SGX and TDX."""

from typing import TYPE_CHECKING

from verdictd.core.result import JSONValue
from verdictd.tees.dcap.quote import Quote

if TYPE_CHECKING:  # whoever only reads a quote shall not wait for the libraries that verify one
    from verdictd.tees.dcap.platform import PlatformFindings


def build_qe_claims(quote: Quote[object]) -> dict[str, JSONValue]:
    """Collect what a quote says of the quoting enclave. Trust: as much as the quote."""
    qe = quote.qe_report
    return {
        "mr_enclave": qe.mr_enclave.hex(),
        "mr_signer": qe.mr_signer.hex(),
        "isv_prod_id": qe.isv_prod_id,
        "isv_svn": qe.isv_svn,
    }


def build_platform_claims(findings: "PlatformFindings") -> JSONValue:
    """Collect what the PCK certificate says; ``None`` where it does not hold."""
    if findings.pck is None:
        return None
    platform = findings.pck.platform
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


def build_tcb_claims(findings: "PlatformFindings") -> JSONValue:
    """Collect the platform's TCB levels and their status."""
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
