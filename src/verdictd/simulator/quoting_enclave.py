"""The simulated quoting enclave: its identity as the vendor endorses it, and the quotes it makes.

Fields and masks are those of Intel's quoting enclave. What tells the two apart is whose key signs its report. The
vendor endorses two more enclaves, of which there is nothing but the identity.
"""

import hashlib
from datetime import datetime
from typing import Literal

from verdictd.simulator.documents import QEIdentitySpec
from verdictd.simulator.hardware import Hardware
from verdictd.simulator.quote_builder import QuoteParts, ReportBody, ReportSpec
from verdictd.simulator.tcb_levels import qe_levels

EnclaveId = Literal["QE", "QVE", "TD_QE"]
"""Quoting enclave, quote verification enclave, quoting enclave for TDs."""

_MR_SIGNER = bytes.fromhex("8c4f5775d796503e96137f77c68a829a0056ac8ded70140b081b094490c57bff")
_MR_ENCLAVE = hashlib.sha256(b"tee-sim: the quoting enclave").digest()
_TD_QE_MR_SIGNER = bytes.fromhex("dc9e2a7c6f948f17474e34a7fc43ed030f7c1563f1babddf6340c82e0e54a8c5")
_ISV_PROD_ID = 1
_ISV_SVN = 11
_TOLD_OF: dict[EnclaveId, tuple[bytes, int, int]] = {
    "QE": (_MR_SIGNER, _ISV_PROD_ID, _ISV_SVN),
    "QVE": (_MR_SIGNER, 2, 3),
    "TD_QE": (_TD_QE_MR_SIGNER, 2, 4),
}
"""MRSIGNER, ISVPRODID and the newest ISVSVN of each."""
_ATTRIBUTES = bytes.fromhex("1500000000000000e700000000000000")
"""INIT, MODE64BIT and PROVISION_KEY; XFRM as on a server."""
_ENDORSED_ATTRIBUTES = bytes.fromhex("11000000000000000000000000000000")
_ATTRIBUTES_MASK = bytes.fromhex("fbffffffffffffff0000000000000000")
_AUTH_DATA = bytes(range(32))


def qe_identity_spec(
    enclave_id: EnclaveId = "QE", *, evaluation_data_number: int, created_at: datetime
) -> QEIdentitySpec:
    """What the vendor's identity of an enclave says; the platform's quoting enclave is up to date."""
    mr_signer, isv_prod_id, isv_svn = _TOLD_OF[enclave_id]
    return QEIdentitySpec(
        enclave_id=enclave_id,
        evaluation_data_number=evaluation_data_number,
        misc_select=bytes(4),
        misc_select_mask=b"\xff" * 4,
        attributes=_ENDORSED_ATTRIBUTES,
        attributes_mask=_ATTRIBUTES_MASK,
        mr_signer=mr_signer,
        isv_prod_id=isv_prod_id,
        levels=qe_levels(isv_svn, created_at=created_at),
    )


def unsigned_quote(
    report: ReportBody, *, hardware: Hardware, pck_chain: bytes, version: int, enclave_id: EnclaveId = "QE"
) -> QuoteParts:
    """The parts of a quote of a workload's report, to be signed.

    Args:
        report: of the workload.
        hardware: the platform.
        pck_chain: PEM, the PCK certificate first.
        version: 3, 4 or 5. Later ones than 3 keep the header's two SVNs reserved.
        enclave_id: which quoting enclave makes it.

    Raises:
        ValueError: another version.
    """
    if version not in {3, 4, 5}:
        raise ValueError(f"the quote version must be 3, 4 or 5, not {version}")
    mr_signer, isv_prod_id, isv_svn = _TOLD_OF[enclave_id]
    return QuoteParts(
        version=version,
        qe_svn=_ISV_SVN if version == 3 else 0,
        pce_svn=hardware.pce_svn if version == 3 else 0,
        user_data=hardware.qe_id + bytes(4),
        report=report,
        qe_report=ReportSpec(
            cpu_svn=hardware.cpu_svn,
            attributes=_ATTRIBUTES,
            mr_enclave=_MR_ENCLAVE,
            mr_signer=mr_signer,
            isv_prod_id=isv_prod_id,
            isv_svn=isv_svn,
        ),
        qe_auth_data=_AUTH_DATA,
        certification_data=pck_chain + b"\0",
    )
