"""QE identity: which quoting enclave Intel endorses, and the status of its versions.

Spec: Intel PCS API v4, "Get Quoting Enclave (QE) Identity".
"""

from datetime import datetime
from typing import NamedTuple

from verdictd.core.errors import MalformedError, UnsupportedError
from verdictd.tees.dcap.acceptance import TCBStatus
from verdictd.tees.dcap.json_reader import parse_json_document
from verdictd.tees.dcap.tcb_info import parse_status


class QETCBLevel(NamedTuple):
    """One version of the enclave: the least ISVSVN it needs, and its status."""

    isv_svn: int
    date: datetime
    status: TCBStatus
    advisory_ids: tuple[str, ...]


class QEIdentity(NamedTuple):
    """A parsed identity of a quoting enclave. Trust: unauthenticated until its signature was verified.

    Attributes:
        enclave_id: ``QE`` for SGX quotes, ``TD_QE`` for TDX.
        misc_select, misc_select_mask: 4 bytes each, as in the report.
        attributes, attributes_mask: 16 bytes each, as in the report.
        mr_signer: 32 bytes.
        isv_prod_id: the enclave's product.
        levels: in the document's order, the newest first.
    """

    enclave_id: str
    issue_date: datetime
    next_update: datetime
    evaluation_data_number: int
    misc_select: bytes
    misc_select_mask: bytes
    attributes: bytes
    attributes_mask: bytes
    mr_signer: bytes
    isv_prod_id: int
    levels: tuple[QETCBLevel, ...]


def parse_qe_identity(body: bytes) -> QEIdentity:
    """Parse the signed text of a QE identity.

    All byte strings of the document, MISCSELECT and its mask included, stand in the report's byte order.

    Raises:
        MalformedError, LimitExceededError: it does not follow its format.
        UnsupportedError: another version.
    """
    document = parse_json_document(body, "QE identity")
    version = document.integer("version", 0xFFFF)
    if version != 2:
        raise UnsupportedError(f"QE identity has version {version}, supported is 2")
    levels = tuple(
        QETCBLevel(
            isv_svn=level.object("tcb").integer("isvsvn", 0xFFFF),
            date=level.date("tcbDate"),
            status=parse_status(level),
            advisory_ids=level.texts("advisoryIDs"),
        )
        for level in document.objects("tcbLevels")
    )
    if not levels:
        raise MalformedError("QE identity has no TCB level")
    return QEIdentity(
        enclave_id=document.text("id"),
        issue_date=document.date("issueDate"),
        next_update=document.date("nextUpdate"),
        evaluation_data_number=document.integer("tcbEvaluationDataNumber", 2**32 - 1),
        misc_select=document.octets("miscselect", 4),
        misc_select_mask=document.octets("miscselectMask", 4),
        attributes=document.octets("attributes", 16),
        attributes_mask=document.octets("attributesMask", 16),
        mr_signer=document.octets("mrsigner", 32),
        isv_prod_id=document.integer("isvprodid", 0xFFFF),
        levels=levels,
    )
