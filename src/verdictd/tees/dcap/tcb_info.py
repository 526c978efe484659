"""TCB info: which TCB levels exist for a family of platforms (FMSPC), and the status of each.

Spec: Intel PCS API v4, "Get TCB Info" (version 3 of the structure), and v3 of the API (version 2 of the structure).
"""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from verdictd.core.errors import MalformedError, UnsupportedError
from verdictd.tees.dcap.acceptance import TCBStatus
from verdictd.tees.dcap.json_reader import JSONObject, parse_json_document

COMPONENTS = 16
_ComponentsParser = Callable[[JSONObject], bytes]
_STATUSES = {status.value: status for status in TCBStatus}


class TCBLevel(NamedTuple):
    """One level: the least SVNs a platform needs to be at it, and its status.

    Attributes:
        components: 16 component SVNs, a byte each.
        pce_svn: the PCE's SVN.
        date: since when the level has been at its status (the date of the last change known to Intel).
        status: the level's status.
        advisory_ids: Intel's advisories for platforms at this level.
    """

    components: bytes
    pce_svn: int
    date: datetime
    status: TCBStatus
    advisory_ids: tuple[str, ...]


class TCBInfo(NamedTuple):
    """A parsed TCB info document. Trust: unauthenticated until its signature was verified.

    Attributes:
        tee_id: ``SGX`` or ``TDX`` (version 2 knows SGX alone and does not say so).
        version: 2 or 3.
        issue_date, next_update: when it was issued, and when the next one is due.
        fmspc: 6 bytes.
        pce_id: 2 bytes.
        evaluation_data_number: raised by Intel with each TCB recovery.
        levels: in the document's order, the newest first. The first one that a platform reaches is its level.
        component_names: for each of the 16 components its type where TCB info names it, else empty.
    """

    tee_id: str
    version: int
    issue_date: datetime
    next_update: datetime
    fmspc: bytes
    pce_id: bytes
    evaluation_data_number: int
    levels: tuple[TCBLevel, ...]
    component_names: tuple[str, ...]

    @property
    def names_advisories(self) -> bool:
        """Whether levels name the advisories that apply at them: version 2, of API v3, does not."""
        return self.version >= 3


def parse_tcb_info(body: bytes) -> TCBInfo:
    """Parse the signed text of TCB info.

    Raises:
        MalformedError, LimitExceededError: it does not follow its format.
        UnsupportedError: another version, or a type of TCB whose levels are compared in another way.
    """
    document = parse_json_document(body, "TCB info")
    version = document.integer("version", 0xFFFF)
    if version not in {2, 3}:
        raise UnsupportedError(f"TCB info has version {version}, supported are 2 and 3")
    tcb_type = document.integer("tcbType", 0xFFFF)
    if tcb_type != 0:
        raise UnsupportedError(f"TCB info has tcbType {tcb_type}, supported is 0")
    tee_id = document.text("id") if version == 3 else "SGX"
    if tee_id not in {"SGX", "TDX"}:
        raise UnsupportedError(f"TCB info has the id {tee_id!r:.20}, known are SGX and TDX")
    parse_components = _components_v3 if version == 3 else _components_v2
    entries = document.objects("tcbLevels")
    levels = tuple([_parse_level(entry, parse_components) for entry in entries])
    if not levels:
        raise MalformedError("TCB info has no TCB level")
    return TCBInfo(
        tee_id=tee_id,
        version=version,
        issue_date=document.date("issueDate"),
        next_update=document.date("nextUpdate"),
        fmspc=document.octets("fmspc", 6),
        pce_id=document.octets("pceId", 2),
        evaluation_data_number=document.integer("tcbEvaluationDataNumber", 2**32 - 1),
        levels=levels,
        component_names=_component_names_v3(entries[0].object("tcb")) if version == 3 else ("",) * COMPONENTS,
    )


def parse_status(entry: JSONObject) -> TCBStatus:
    """Read ``tcbStatus``. A status that is not known is refused: it could mean anything."""
    text = entry.text("tcbStatus")
    status = _STATUSES.get(text)
    if status is None:
        raise UnsupportedError(f"{entry.where}: the status {text!r:.60} is not known")
    return status


def _parse_level(level: JSONObject, parse_components: _ComponentsParser) -> TCBLevel:
    tcb = level.object("tcb")
    return TCBLevel(
        components=parse_components(tcb),
        pce_svn=tcb.integer("pcesvn", 0xFFFF),
        date=level.date("tcbDate"),
        status=parse_status(level),
        advisory_ids=level.texts("advisoryIDs"),
    )


def _components_v3(tcb: JSONObject) -> bytes:
    try:  # all at once: this is the bulk of the document
        components = bytes([entry["svn"] for entry in tcb.list("sgxtcbcomponents")])
    except (TypeError, KeyError, ValueError) as error:
        raise MalformedError(f"{tcb.where} has an SGX TCB component whose svn is not 0 to 255") from error
    if len(components) != COMPONENTS:
        raise MalformedError(f"{tcb.where} has {len(components)} SGX TCB components, expected {COMPONENTS}")
    return components


def _components_v2(tcb: JSONObject) -> bytes:
    return bytes(tcb.integer(f"sgxtcbcomp{number:02}svn", 255) for number in range(1, COMPONENTS + 1))


def _component_names_v3(tcb: JSONObject) -> tuple[str, ...]:
    names = tuple([entry.get("type", "") for entry in tcb.list("sgxtcbcomponents")])
    if {*map(type, names)} != {str}:
        raise MalformedError(f"{tcb.where} has an SGX TCB component whose type is not text")
    return names
