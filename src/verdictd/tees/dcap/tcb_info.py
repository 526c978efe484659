"""TCB info: which TCB levels exist for a family of platforms (FMSPC), and the status of each.

Spec: Intel PCS API v4, "Get TCB Info" (version 3 of the structure), and v3 of the API (version 2 of the structure).
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from verdictd.core.errors import MalformedError, UnsupportedError
from verdictd.tees.dcap.acceptance import LEVEL_STATUSES, TCBStatus
from verdictd.tees.dcap.json_reader import JSONObject, parse_json_document

COMPONENTS = 16
_SGX, _TDX = "sgxtcbcomponents", "tdxtcbcomponents"
_ComponentsParser = Callable[[JSONObject], bytes]
_MODULE_ID = re.compile(r"TDX_([0-9A-F]{2})", re.IGNORECASE)
_STATUSES = {status.value: status for status in LEVEL_STATUSES}


class TCBLevel(NamedTuple):
    """One level: the least SVNs a platform needs to be at it, and its status.

    Attributes:
        components: 16 component SVNs, a byte each.
        pce_svn: the PCE's SVN.
        date: since when the level has been at its status (the date of the last change known to Intel).
        status: the level's status.
        advisory_ids: Intel's advisories for platforms at this level.
        tdx_components: of TDX: 16 SVNs of the TD's TCB, a byte each; empty for SGX.
    """

    components: bytes
    pce_svn: int
    date: datetime
    status: TCBStatus
    advisory_ids: tuple[str, ...]
    tdx_components: bytes = b""


class TDXModuleLevel(NamedTuple):
    """One level of a TDX module: the least ISVSVN it needs, and its status."""

    isv_svn: int
    date: datetime
    status: TCBStatus
    advisory_ids: tuple[str, ...]


class TDXModule(NamedTuple):
    """A TDX module that Intel endorses.

    Attributes:
        mr_signer: 48 bytes.
        attributes, attributes_mask: 8 bytes each.
        levels: in the document's order, the newest first; none for the module of version 0.
    """

    mr_signer: bytes
    attributes: bytes
    attributes_mask: bytes
    levels: tuple[TDXModuleLevel, ...] = ()


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
        tdx_modules: of TDX, by version: the byte 1 of a TD's TCB SVN.
        tdx_component_names: of TDX: like `component_names`.
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
    tdx_modules: Mapping[int, TDXModule] = MappingProxyType({})
    tdx_component_names: tuple[str, ...] = ()

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
    is_tdx = tee_id == "TDX"
    if is_tdx:
        levels = tuple(map(_with_tdx_components, levels, entries))
    return TCBInfo(
        tee_id=tee_id,
        version=version,
        issue_date=document.date("issueDate"),
        next_update=document.date("nextUpdate"),
        fmspc=document.octets("fmspc", 6),
        pce_id=document.octets("pceId", 2),
        evaluation_data_number=document.integer("tcbEvaluationDataNumber", 2**32 - 1),
        levels=levels,
        component_names=_component_names(entries[0], _SGX) if version == 3 else ("",) * COMPONENTS,
        tdx_modules=_parse_modules(document) if is_tdx else MappingProxyType({}),
        tdx_component_names=_component_names(entries[0], _TDX) if is_tdx else (),
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


def _with_tdx_components(level: TCBLevel, entry: JSONObject) -> TCBLevel:
    return level._replace(tdx_components=_components(entry.object("tcb"), _TDX))


def _components_v3(tcb: JSONObject) -> bytes:
    return _components(tcb, _SGX)


def _components(tcb: JSONObject, name: str) -> bytes:
    try:  # all at once: this is the bulk of the document
        components = bytes([entry["svn"] for entry in tcb.list(name)])
    except (TypeError, KeyError, ValueError) as error:
        raise MalformedError(f"{tcb.where} has one of {name} whose svn is not 0 to 255") from error
    if len(components) != COMPONENTS:
        raise MalformedError(f"{tcb.where} has {len(components)} {name}, expected {COMPONENTS}")
    return components


def _components_v2(tcb: JSONObject) -> bytes:
    return bytes(tcb.integer(f"sgxtcbcomp{number:02}svn", 255) for number in range(1, COMPONENTS + 1))


def _component_names(level: JSONObject, name: str) -> tuple[str, ...]:
    tcb = level.object("tcb")
    names = tuple([entry.get("type", "") for entry in tcb.list(name)])
    if {*map(type, names)} != {str}:
        raise MalformedError(f"{tcb.where} has one of {name} whose type is not text")
    return names


def _parse_modules(document: JSONObject) -> Mapping[int, TDXModule]:
    """Read the modules: that of version 0 stands by itself, the others, if there are any, in a list."""
    modules = {0: _parse_module(document.object("tdxModule"))}
    for entry in document.objects("tdxModuleIdentities") if "tdxModuleIdentities" in document.members else ():
        name = _MODULE_ID.fullmatch(entry.text("id"))
        if name is None:
            continue  # of a kind that no quote names
        version = int(name[1], 16)
        if version in modules:
            raise MalformedError(f"TCB info has two TDX modules of version {version}")
        levels = tuple([_parse_module_level(level) for level in entry.objects("tcbLevels")])
        if not levels:
            raise MalformedError(f"TCB info has no TCB level for the TDX module of version {version}")
        modules[version] = _parse_module(entry)._replace(levels=levels)
    return MappingProxyType(modules)


def _parse_module(entry: JSONObject) -> TDXModule:
    return TDXModule(
        mr_signer=entry.octets("mrsigner", 48),
        attributes=entry.octets("attributes", 8),
        attributes_mask=entry.octets("attributesMask", 8),
    )


def _parse_module_level(level: JSONObject) -> TDXModuleLevel:
    return TDXModuleLevel(
        isv_svn=level.object("tcb").integer("isvsvn", 0xFFFF),
        date=level.date("tcbDate"),
        status=parse_status(level),
        advisory_ids=level.texts("advisoryIDs"),
    )
