"""TCB info: both versions of the document, every field strictly."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdictd.core.errors import MalformedError, UnsupportedError, VerdictdError
from verdictd.tees.dcap.acceptance import LEVEL_STATUSES, TCBStatus
from verdictd.tees.dcap.tcb_info import TCBInfo, TDXModule, parse_tcb_info

SVNS = list(range(100, 116))


def components(svns: list[Any], version: int = 3) -> dict[str, Any]:
    if version == 2:
        return {f"sgxtcbcomp{number:02}svn": svn for number, svn in enumerate(svns, 1)}
    return {"sgxtcbcomponents": [{"svn": svn, "category": "BIOS", "type": f"kind {svn}"} for svn in svns]}


def level(version: int = 3, **changes: Any) -> dict[str, Any]:
    members = {
        "tcb": components(SVNS, version) | {"pcesvn": 13},
        "tcbDate": "2025-06-01T00:00:00Z",
        "tcbStatus": "SWHardeningNeeded",
        "advisoryIDs": ["INTEL-SA-00334", "INTEL-SA-00615"],
    }
    return members | changes


def members(version: int = 3) -> dict[str, Any]:
    document = {
        "id": "SGX",
        "version": version,
        "issueDate": "2026-01-01T00:00:00Z",
        "nextUpdate": "2026-01-31T00:00:00Z",
        "fmspc": "00606A000000",
        "pceId": "0000",
        "tcbType": 0,
        "tcbEvaluationDataNumber": 17,
        "tcbLevels": [level(version)],
    }
    if version == 2:
        del document["id"]
    return document


def module(**changes: Any) -> dict[str, Any]:
    return {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8} | changes


def tdx_members(**changes: Any) -> dict[str, Any]:
    only = level(3)
    only["tcb"]["tdxtcbcomponents"] = [{"svn": svn, "type": f"td {svn}"} for svn in range(16)]
    module_level = {"tcb": {"isvsvn": 2}, "tcbDate": "2025-06-01T00:00:00Z", "tcbStatus": "OutOfDate"}
    identity = module(id="TDX_03", mrsigner="11" * 48, tcbLevels=[module_level])
    return {"tdxModule": module(), "tdxModuleIdentities": [identity], "tcbLevels": [only]} | changes


def parse(version: int = 3, /, **changes: Any) -> TCBInfo:
    return parse_tcb_info(json.dumps(members(version) | changes).encode())


@pytest.mark.parametrize("version", [2, 3])
def test_every_field_is_read(version: int) -> None:
    info = parse(version)
    assert (info.version, info.tee_id) == (version, "SGX")
    assert (info.issue_date, info.next_update) == (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 31, tzinfo=UTC))
    assert (info.fmspc, info.pce_id) == (bytes.fromhex("00606a000000"), bytes(2))
    assert info.evaluation_data_number == 17
    (only,) = info.levels
    assert (only.components, only.pce_svn) == (bytes(SVNS), 13)
    assert (only.date, only.status) == (datetime(2025, 6, 1, tzinfo=UTC), TCBStatus.SW_HARDENING_NEEDED)
    assert only.advisory_ids == ("INTEL-SA-00334", "INTEL-SA-00615")
    assert info.component_names == (tuple(f"kind {svn}" for svn in SVNS) if version == 3 else ("",) * 16)
    assert info.names_advisories is (version == 3)


@pytest.mark.parametrize("version", [2, 3])
def test_levels_keep_their_order(version: int) -> None:
    levels = [level(version, tcbStatus=str(status)) for status in LEVEL_STATUSES]
    assert [each.status for each in parse(version, tcbLevels=levels).levels] == list(LEVEL_STATUSES)


def test_a_level_without_advisories_has_none() -> None:
    bare = level()
    del bare["advisoryIDs"]
    assert parse(tcbLevels=[bare]).levels[0].advisory_ids == ()


def test_a_component_without_type_has_no_name() -> None:
    bare = level(tcb={"sgxtcbcomponents": [{"svn": 1}] * 16, "pcesvn": 1})
    assert parse(tcbLevels=[bare]).component_names == ("",) * 16


def test_it_says_which_tee_it_is_for() -> None:
    assert parse(id="SGX").tee_id == "SGX"
    assert parse(id="TDX", **tdx_members()).tee_id == "TDX"


@pytest.mark.parametrize(("version", "name"), [(version, name) for version in (2, 3) for name in members(version)])
def test_no_member_may_be_absent(version: int, name: str) -> None:
    document = members(version)
    del document[name]
    with pytest.raises(MalformedError, match=name):
        parse_tcb_info(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 1}, "version 1, supported are 2 and 3"),
        ({"version": 4}, "version 4, supported are 2 and 3"),
        ({"tcbType": 1}, "tcbType 1, supported is 0"),
        ({"id": "SEV"}, "'SEV', known are SGX and TDX"),
        ({"id": "sgx"}, "'sgx'"),
        ({"id": ""}, "''"),
        ({"tcbLevels": [level(tcbStatus="Trusted")]}, r"tcbLevels\[0\]: the status 'Trusted' is not known"),
        ({"tcbLevels": [level(), level(tcbStatus="")]}, r"tcbLevels\[1\]: the status '' is not known"),
    ],
)
def test_what_is_not_supported_says_so(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        parse(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": "3"},
        {"version": 3.0},
        {"version": True},
        {"tcbType": "0"},
        {"tcbType": None},
        {"tcbType": False},
        {"id": 1},
        {"issueDate": 0},
        {"issueDate": "2026-01-01T00:00:00"},
        {"nextUpdate": "soon"},
        {"fmspc": "00606A0000"},
        {"fmspc": "00606A00000000"},
        {"fmspc": "00606A00000g"},
        {"fmspc": "00 606A0000"},
        {"pceId": "00"},
        {"pceId": 0},
        {"tcbEvaluationDataNumber": -1},
        {"tcbEvaluationDataNumber": 2**32},
        {"tcbEvaluationDataNumber": "17"},
        {"tcbLevels": []},
        {"tcbLevels": None},
        {"tcbLevels": {"0": level()}},
        {"tcbLevels": [None]},
        {"tcbLevels": [level(tcb=None)]},
        {"tcbLevels": [level(tcb=components(SVNS))]},
        {"tcbLevels": [level(tcb={"pcesvn": 1})]},
        {"tcbLevels": [level(tcb=components(SVNS) | {"pcesvn": 65536})]},
        {"tcbLevels": [level(tcb=components(SVNS) | {"pcesvn": -1})]},
        {"tcbLevels": [level(tcb=components(SVNS[:15]) | {"pcesvn": 1})]},
        {"tcbLevels": [level(tcb=components([*SVNS, 1]) | {"pcesvn": 1})]},
        {"tcbLevels": [level(tcb={"sgxtcbcomponents": "x" * 16, "pcesvn": 1})]},
        {"tcbLevels": [level(tcb={"sgxtcbcomponents": [1] * 16, "pcesvn": 1})]},
        {"tcbLevels": [level(tcb={"sgxtcbcomponents": [[]] * 16, "pcesvn": 1})]},
        {"tcbLevels": [level(tcb={"sgxtcbcomponents": ["svn"] * 16, "pcesvn": 1})]},
        {"tcbLevels": [level(tcb={"sgxtcbcomponents": [{}] * 16, "pcesvn": 1})]},
        {"tcbLevels": [level(tcb={"sgxtcbcomponents": [{"svn": 1, "type": 1}] * 16, "pcesvn": 1})]},
        {"tcbLevels": [level(tcbDate="2025-06-01")]},
        {"tcbLevels": [level(tcbStatus=None)]},
        {"tcbLevels": [level(advisoryIDs="INTEL-SA-00334")]},
        {"tcbLevels": [level(advisoryIDs=[1])]},
        {"tcbLevels": [level(advisoryIDs=None)]},
        {"tcbLevels": [level(), level(2)]},
    ],
    ids=str,
)
def test_no_member_may_be_of_another_kind(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedError, match="TCB info"):
        parse(**changes)


def test_whole_ranges_are_read() -> None:
    for number in (0, 2**32 - 1):
        assert parse(tcbEvaluationDataNumber=number).evaluation_data_number == number
    for svn in (0, 65535):
        assert parse(tcbLevels=[level(tcb=components(SVNS) | {"pcesvn": svn})]).levels[0].pce_svn == svn
    for svns in ([0] * 16, [255] * 16):
        for version in (2, 3):
            tcb = components(svns, version) | {"pcesvn": 1}
            assert parse(version, tcbLevels=[level(version, tcb=tcb)]).levels[0].components == bytes(svns)


@pytest.mark.parametrize("svn", [-1, 256, 10**30, "1", 1.0, 1.5, None, [1], {"svn": 1}])
@pytest.mark.parametrize("number", range(16))
@pytest.mark.parametrize("version", [2, 3])
def test_every_svn_is_0_to_255(version: int, number: int, svn: object) -> None:
    svns: list[Any] = [*SVNS[:number], svn, *SVNS[number + 1 :]]
    with pytest.raises(MalformedError, match="svn"):
        parse(version, tcbLevels=[level(version, tcb=components(svns, version) | {"pcesvn": 1})])


@pytest.mark.parametrize("number", range(16))
def test_no_component_of_version_2_may_be_absent(number: int) -> None:
    tcb = components(SVNS, 2) | {"pcesvn": 1}
    del tcb[f"sgxtcbcomp{number + 1:02}svn"]
    with pytest.raises(MalformedError, match=f"sgxtcbcomp{number + 1:02}svn"):
        parse(2, tcbLevels=[level(2, tcb=tcb)])


def test_version_2_is_never_for_tdx() -> None:
    """It has no member for it. One that is there all the same is not of the format, and changes nothing."""
    assert parse(2, id="TDX").tee_id == "SGX"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@given(st.sampled_from([*members()]), json_values, st.sampled_from([2, 3]))
def test_any_member_of_any_kind_gives_a_value_or_our_error(name: str, value: Any, version: int) -> None:
    try:
        parse(version, **{name: value})
    except VerdictdError as error:
        assert error.message  # noqa: PT017 - every error says something


@given(st.sampled_from(["tcb", "tcbDate", "tcbStatus", "advisoryIDs"]), json_values)
def test_any_member_of_a_level_too(name: str, value: Any) -> None:
    try:
        parse(tcbLevels=[level(**{name: value})])
    except VerdictdError as error:
        assert "tcbLevels" in error.message  # noqa: PT017 - it says where


# --- what only TDX has ---


def test_what_only_tdx_has_is_read() -> None:
    info = parse(id="TDX", **tdx_members())
    assert info.levels[0].tdx_components == bytes(range(16))
    assert info.tdx_component_names == tuple(f"td {svn}" for svn in range(16))
    assert info.tdx_modules[0] == TDXModule(bytes(48), bytes(8), b"\xff" * 8)
    assert info.tdx_modules[3].mr_signer == b"\x11" * 48
    (only,) = info.tdx_modules[3].levels
    assert (only.isv_svn, only.status, only.advisory_ids) == (2, TCBStatus.OUT_OF_DATE, ())


def test_of_sgx_nothing_of_that_is_read() -> None:
    info = parse(id="SGX", **tdx_members(tdxModule=7, tdxModuleIdentities=7))
    assert (info.levels[0].tdx_components, info.tdx_modules, info.tdx_component_names) == (b"", {}, ())


def test_older_tcb_info_has_no_identities_of_modules() -> None:
    members = tdx_members()
    del members["tdxModuleIdentities"]
    assert list(parse(id="TDX", **members).tdx_modules) == [0]


def test_the_id_of_a_module_is_read_in_any_case_and_others_are_passed_over() -> None:
    identities = [tdx_members()["tdxModuleIdentities"][0] | {"id": name} for name in ("tdx_0a", "TDX_1", "TDX_GG", "X")]
    assert sorted(parse(id="TDX", **tdx_members(tdxModuleIdentities=identities)).tdx_modules) == [0, 10]


@pytest.mark.parametrize(
    "changes",
    [
        {"tdxModule": None},
        {"tdxModule": module(mrsigner="00")},
        {"tdxModule": module(attributes=7)},
        {"tdxModuleIdentities": {}},
        {"tdxModuleIdentities": tdx_members()["tdxModuleIdentities"] * 2},
        {"tdxModuleIdentities": [module(id="TDX_00", tcbLevels=[])]},
        {"tdxModuleIdentities": [module(id="TDX_01", tcbLevels=[])]},
        {"tdxModuleIdentities": [module(id="TDX_01", tcbLevels=[{}])]},
        {"tdxModuleIdentities": [module(tcbLevels=[])]},
        {"tcbLevels": [level(3)]},
        {"tcbLevels": [level(3, tcb=level(3)["tcb"] | {"tdxtcbcomponents": [{"svn": 1}] * 15})]},
        {"tcbLevels": [level(3, tcb=level(3)["tcb"] | {"tdxtcbcomponents": [{"svn": 256}] * 16})]},
        {"tcbLevels": [level(3, tcb=level(3)["tcb"] | {"tdxtcbcomponents": [{"svn": 1, "type": 7}] * 16})]},
    ],
)
def test_what_is_wrong_with_it_is_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        parse(id="TDX", **tdx_members(**changes))


def test_a_status_that_no_level_has_is_refused() -> None:
    for status in set(TCBStatus) - set(LEVEL_STATUSES):
        with pytest.raises(UnsupportedError):
            parse(tcbLevels=[level(3, tcbStatus=str(status))])
