import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.unit.simulator.oracle import AT
from tests.vectors import needs_vectors, vector
from verdictd.simulator.collateral_file import encode_collateral_file
from verdictd.simulator.documents import encode_qe_identity, encode_tcb_info
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.tees.dcap.collateral import Collateral, encode_signed_document, parse_signed_document
from verdictd.tees.dcap.qe_identity import parse_qe_identity
from verdictd.tees.dcap.tcb_info import parse_tcb_info

ISSUED = datetime(2026, 3, 1, 11, 50, tzinfo=UTC)
GENUINE_V3 = "dcap-cases/collateral/1596a03c26e16384.json"
GENUINE_V2 = "dcap-cases/collateral/7f8a98a6c806dfd1.json"


@pytest.mark.parametrize("version", [2, 3])
def test_tcb_info_says_what_its_spec_says(platform: SimulatedPlatform, version: int) -> None:
    spec = platform.tcb_info_spec(version=version)
    parsed = parse_tcb_info(encode_tcb_info(spec, AT))
    assert (parsed.version, parsed.tee_id) == (version, "SGX")
    assert (parsed.fmspc, parsed.pce_id) == (platform.hardware.fmspc, platform.hardware.pce_id)
    assert parsed.evaluation_data_number == spec.evaluation_data_number
    assert (parsed.issue_date, parsed.next_update) == (ISSUED, ISSUED + timedelta(days=30))
    assert [
        (level.components, level.pce_svn, level.date, level.status, level.advisory_ids) for level in parsed.levels
    ] == [
        (level.components, level.pce_svn, level.date, level.status, level.advisory_ids if version == 3 else ())
        for level in spec.levels
    ]


def test_qe_identity_says_what_its_spec_says(platform: SimulatedPlatform) -> None:
    spec = replace(platform.qe_identity_spec(), misc_select=bytes.fromhex("00000102"))
    parsed = parse_qe_identity(encode_qe_identity(spec, AT))
    assert (parsed.enclave_id, parsed.evaluation_data_number) == ("QE", spec.evaluation_data_number)
    assert parsed.misc_select == bytes.fromhex("00000102")  # hex text shows the bytes as they stand in the report
    assert (parsed.attributes, parsed.attributes_mask) == (spec.attributes, spec.attributes_mask)
    assert (parsed.mr_signer, parsed.isv_prod_id) == (spec.mr_signer, 1)
    assert [level.isv_svn for level in parsed.levels] == [11, 9]
    assert parsed.levels[1].advisory_ids == ("INTEL-SA-00615",)


def test_dates_can_be_set(platform: SimulatedPlatform) -> None:
    early, late = datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2040, 1, 2, tzinfo=UTC)
    info = parse_tcb_info(encode_tcb_info(replace(platform.tcb_info_spec(), issue_date=early, next_update=late), AT))
    assert (info.issue_date, info.next_update) == (early, late)
    identity = parse_qe_identity(encode_qe_identity(replace(platform.qe_identity_spec(), issue_date=early), AT))
    assert (identity.issue_date, identity.next_update) == (early, early + timedelta(days=30))


def test_advisories_of_the_quoting_enclave_can_be_left_out(platform: SimulatedPlatform) -> None:
    told = replace(platform.qe_identity_spec(), with_advisories=False)
    assert b"advisoryIDs" not in encode_qe_identity(told, AT)
    assert b"advisoryIDs" in encode_qe_identity(platform.qe_identity_spec(), AT)


def _shape(value: Any) -> Any:
    """Names of members in their order and types of values; of a list, its first element stands for all."""
    if isinstance(value, dict):
        return [(name, _shape(member)) for name, member in value.items()]
    if isinstance(value, list):
        return [_shape(value[0])] if value else []
    return type(value).__name__


def _genuine(path: str, member: str) -> Any:
    return json.loads(json.loads(vector(path))[member])


@needs_vectors
def test_tcb_info_of_version_3_has_the_genuine_shape(platform: SimulatedPlatform) -> None:
    # Genuine TCB info of another server: its newest level has advisories too.
    spec = platform.tcb_info_spec()
    spec = replace(spec, levels=(replace(spec.levels[0], advisory_ids=("INTEL-SA-00615",)),))
    assert _shape(json.loads(encode_tcb_info(spec, AT))) == _shape(_genuine(GENUINE_V3, "tcb_info"))


@needs_vectors
def test_components_are_described_as_genuine_ones(platform: SimulatedPlatform) -> None:
    def kinds(document: Any) -> list[list[str]]:
        return [
            [f"{name}={entry[name]}" for name in ("category", "type") if name in entry]
            for entry in document["tcbLevels"][0]["tcb"]["sgxtcbcomponents"]
        ]

    ours = json.loads(encode_tcb_info(platform.tcb_info_spec(), AT))
    assert kinds(ours) == kinds(_genuine(GENUINE_V3, "tcb_info"))


@needs_vectors
def test_tcb_info_of_version_2_has_the_genuine_shape(platform: SimulatedPlatform) -> None:
    ours = json.loads(encode_tcb_info(platform.tcb_info_spec(version=2), AT))
    assert _shape(ours) == _shape(_genuine(GENUINE_V2, "tcb_info"))


@needs_vectors
def test_qe_identity_has_the_genuine_shape_and_masks(platform: SimulatedPlatform) -> None:
    ours, genuine = (
        json.loads(encode_qe_identity(platform.qe_identity_spec(), AT)),
        _genuine(GENUINE_V3, "qe_identity"),
    )
    assert _shape(ours) == _shape(genuine)
    assert _shape(ours["tcbLevels"][1]) == _shape(genuine["tcbLevels"][1])
    same = ("id", "version", "miscselect", "miscselectMask", "attributes", "attributesMask", "mrsigner", "isvprodid")
    assert {name: ours[name] for name in same} == {name: genuine[name] for name in same}


@needs_vectors
def test_text_is_written_as_compactly_as_the_genuine_one(platform: SimulatedPlatform) -> None:
    genuine = json.loads(vector(GENUINE_V3))["tcb_info"]
    assert json.dumps(json.loads(genuine), separators=(",", ":")) == genuine
    ours = encode_tcb_info(platform.tcb_info_spec(), AT).decode("ascii")
    assert json.dumps(json.loads(ours), separators=(",", ":")) == ours


def test_signed_text_survives_the_service_s_envelope(platform: SimulatedPlatform) -> None:
    document = platform.issue_tcb_info(platform.tcb_info_spec(), AT)
    envelope = encode_signed_document(document, "tcbInfo")
    again = parse_signed_document(envelope, "tcbInfo", issuer_chain=document.issuer_chain, source=document.source)
    assert again == document


@needs_vectors
def test_collateral_file_has_the_members_of_recorded_ones(platform: SimulatedPlatform) -> None:
    ours = json.loads(encode_collateral_file(platform.collateral(AT)))
    genuine = json.loads(vector(GENUINE_V3))
    assert list(ours) == list(genuine)
    assert _shape(ours) == _shape(genuine)


@pytest.mark.parametrize("missing", ["tcb_info", "qe_identity", "pck_crl", "root_ca_crl"])
def test_collateral_file_is_not_written_incomplete(platform: SimulatedPlatform, missing: str) -> None:
    items = {name: getattr(platform.collateral(AT), name) for name in Collateral.__dataclass_fields__}
    with pytest.raises(ValueError, match="missing"):
        encode_collateral_file(Collateral(**items | {missing: None}))
