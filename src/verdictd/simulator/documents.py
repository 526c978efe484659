"""Writes TCB info and QE identity as Intel's service does: compact JSON whose exact text is signed.

Each document is described by a spec whose every field can be replaced. Hex is upper case and members stand in the
order in which Intel writes them.
"""

import json
from dataclasses import dataclass
from datetime import datetime

from verdictd.simulator.crl_builder import BACKDATED, LIFETIME

_COMPONENT_KINDS = {
    0: ("BIOS", "Early Microcode Update"),
    1: ("OS/VMM", "SGX Late Microcode Update"),
    2: ("OS/VMM", "TXT SINIT"),
    3: ("BIOS", ""),
}
"""What Intel says of a server platform's components, by index: category, and type where there is one."""

_TDX_COMPONENT_KINDS = {0: "TDX Module", 1: "TDX Module", 2: "TDX Late Microcode Update"}
"""The same of a TD's components, whose category is OS/VMM."""

_Object = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class TCBLevelSpec:
    """One level of TCB info.

    Attributes:
        components: the least SVN of each component that a platform at this level has; a byte each, 16 of them.
        pce_svn: the least PCESVN.
        date: since when the level has its status.
        status: as Intel spells it.
        advisory_ids: left out of the document where there are none, and in version 2 always.
        tdx_components: the least SVN of each component of the TD's TCB, 16 of them; empty where ``id`` is ``SGX``.
    """

    components: bytes
    pce_svn: int
    date: datetime
    status: str
    advisory_ids: tuple[str, ...] = ()
    tdx_components: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class QELevelSpec:
    """One level of an enclave or TDX module: its least ISVSVN, and the status of that."""

    isv_svn: int
    date: datetime
    status: str
    advisory_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TDXModuleSpec:
    """A TDX module as the vendor endorses it.

    Attributes:
        module_id: ``TDX_`` and its major version in two hex digits; empty for version 0, which has no name nor levels.
        mr_signer: 48 bytes.
        attributes, attributes_mask: 8 bytes each.
        levels: the newest first.
    """

    module_id: str = ""
    mr_signer: bytes = bytes(48)
    attributes: bytes = bytes(8)
    attributes_mask: bytes = b"\xff" * 8
    levels: tuple[QELevelSpec, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TCBInfoSpec:
    """Everything TCB info is to say. Nothing is checked.

    Attributes:
        version: 3 as API v4 serves it, or 2 as API v3 does, which has neither `tee_id` nor advisories.
        tee_id: member ``id``.
        levels: the newest first.
        tdx_module, tdx_module_identities: of TDX's TCB info: the module of version 0, and the others.
        issue_date, next_update: ``None`` for a little before the instant of issue, and 30 days later.
    """

    version: int = 3
    tee_id: str = "SGX"
    fmspc: bytes
    pce_id: bytes
    tcb_type: int = 0
    evaluation_data_number: int
    levels: tuple[TCBLevelSpec, ...]
    tdx_module: TDXModuleSpec | None = None
    tdx_module_identities: tuple[TDXModuleSpec, ...] = ()
    issue_date: datetime | None = None
    next_update: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QEIdentitySpec:
    """Everything a QE identity is to say. Nothing is checked.

    Attributes:
        enclave_id: member ``id``: ``QE``, ``QVE`` or ``TD_QE``.
        misc_select, misc_select_mask: 4 bytes each, as hex text shows them.
        attributes, attributes_mask: 16 bytes each.
        mr_signer: 32 bytes.
        levels: the newest first.
        with_advisories: whether advisories are told; API v3 does not.
        issue_date, next_update: ``None`` for a little before the instant of issue, and 30 days later.
    """

    enclave_id: str = "QE"
    version: int = 2
    evaluation_data_number: int
    misc_select: bytes
    misc_select_mask: bytes
    attributes: bytes
    attributes_mask: bytes
    mr_signer: bytes
    isv_prod_id: int
    levels: tuple[QELevelSpec, ...]
    with_advisories: bool = True
    issue_date: datetime | None = None
    next_update: datetime | None = None


def encode_tcb_info(spec: TCBInfoSpec, at: datetime) -> bytes:
    """Write the text of TCB info as of `at`.

    Spec:
        Intel PCS API v4 and v3, "Get TCB Info".
    """
    document: _Object = {"id": spec.tee_id} if spec.version >= 3 else {}
    document |= {
        "version": spec.version,
        **_encode_dates(spec, at),
        "fmspc": spec.fmspc.hex().upper(),
        "pceId": spec.pce_id.hex().upper(),
        "tcbType": spec.tcb_type,
        "tcbEvaluationDataNumber": spec.evaluation_data_number,
        **_encode_modules(spec),
        "tcbLevels": [
            {
                "tcb": _encode_components(level.components, spec.version)
                | {"pcesvn": level.pce_svn}
                | _encode_tdx_components(level.tdx_components),
                **_encode_judgement(level, with_advisories=spec.version >= 3),
            }
            for level in spec.levels
        ],
    }
    return _encode(document)


def encode_qe_identity(spec: QEIdentitySpec, at: datetime) -> bytes:
    """Write the text of a QE identity as of `at`.

    Spec:
        Intel PCS API v4 and v3, "Get Quoting Enclave Identity".
    """
    return _encode(
        {
            "id": spec.enclave_id,
            "version": spec.version,
            **_encode_dates(spec, at),
            "tcbEvaluationDataNumber": spec.evaluation_data_number,
            "miscselect": spec.misc_select.hex().upper(),
            "miscselectMask": spec.misc_select_mask.hex().upper(),
            "attributes": spec.attributes.hex().upper(),
            "attributesMask": spec.attributes_mask.hex().upper(),
            "mrsigner": spec.mr_signer.hex().upper(),
            "isvprodid": spec.isv_prod_id,
            "tcbLevels": _encode_svn_levels(spec.levels, with_advisories=spec.with_advisories),
        }
    )


def encode_instant(instant: datetime) -> str:
    """Write an instant in UTC as Intel's documents do: 2026-01-31T00:00:00Z."""
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"


def _encode_dates(spec: TCBInfoSpec | QEIdentitySpec, at: datetime) -> _Object:
    issue_date = at - BACKDATED if spec.issue_date is None else spec.issue_date
    next_update = issue_date + LIFETIME if spec.next_update is None else spec.next_update
    return {"issueDate": encode_instant(issue_date), "nextUpdate": encode_instant(next_update)}


def _encode_components(components: bytes, version: int) -> _Object:
    if version < 3:
        return {f"sgxtcbcomp{number:02}svn": svn for number, svn in enumerate(components, 1)}
    return {"sgxtcbcomponents": [_encode_component(index, svn) for index, svn in enumerate(components)]}


def _encode_component(index: int, svn: int) -> _Object:
    category, kind = _COMPONENT_KINDS.get(index, ("", ""))
    return {"svn": svn, **({"category": category} if category else {}), **({"type": kind} if kind else {})}


def _encode_tdx_components(components: bytes) -> _Object:
    entries: list[_Object] = []
    for index, svn in enumerate(components):
        kind = _TDX_COMPONENT_KINDS.get(index)
        entries.append({"svn": svn, **({"category": "OS/VMM", "type": kind} if kind else {})})
    return {"tdxtcbcomponents": entries} if entries else {}


def _encode_modules(spec: TCBInfoSpec) -> _Object:
    if spec.tdx_module is None:
        return {}
    return {
        "tdxModule": _encode_module(spec.tdx_module),
        "tdxModuleIdentities": [
            {
                "id": module.module_id,
                **_encode_module(module),
                "tcbLevels": _encode_svn_levels(module.levels, with_advisories=True),
            }
            for module in spec.tdx_module_identities
        ],
    }


def _encode_module(module: TDXModuleSpec) -> _Object:
    return {
        "mrsigner": module.mr_signer.hex().upper(),
        "attributes": module.attributes.hex().upper(),
        "attributesMask": module.attributes_mask.hex().upper(),
    }


def _encode_svn_levels(levels: tuple[QELevelSpec, ...], *, with_advisories: bool) -> list[_Object]:
    return [
        {"tcb": {"isvsvn": level.isv_svn}, **_encode_judgement(level, with_advisories=with_advisories)}
        for level in levels
    ]


def _encode_judgement(level: TCBLevelSpec | QELevelSpec, *, with_advisories: bool) -> _Object:
    judgement: _Object = {"tcbDate": encode_instant(level.date), "tcbStatus": str(level.status)}
    if with_advisories and level.advisory_ids:
        judgement["advisoryIDs"] = list(level.advisory_ids)
    return judgement


def _encode(document: _Object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode("ascii")
