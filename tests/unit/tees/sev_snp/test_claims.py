"""What is found is said as JSON, and the manual says what is said."""

import json
import re
from pathlib import Path

from tests.unit.tees.sev_snp.inputs import CHIP_ID, MEASUREMENT, REPORT_DATA, make_input, platform
from verdictd.core.result import JSONValue
from verdictd.tees.sev_snp.claims import build_policy_input, build_reference_fields
from verdictd.tees.sev_snp.requirements import REQUIREMENTS

MANUAL = (Path(__file__).parents[4] / "docs" / "tees" / "sev_snp.md").read_text(encoding="utf-8")
GIVEN = make_input().saying(
    host_data=b"\x07",
    guest_svn=9,
    current_version=(1, 55, 29),
    launch_mitigations=3,
    current_mitigations=11,
    platform_info=0x67,
)


def member(claims: JSONValue, name: str) -> JSONValue:
    assert isinstance(claims, dict)
    return claims[name]


def test_claims_are_json_and_say_what_the_report_says() -> None:
    claims = dict(GIVEN.appraise().claims)
    assert json.loads(json.dumps(claims)) == claims
    assert claims["measurement"] == MEASUREMENT.hex()
    assert claims["report_data"] == REPORT_DATA.hex()
    assert claims["host_data"] == "07" + "00" * 31
    assert (claims["version"], claims["guest_svn"], claims["vmpl"], claims["debug"]) == (5, 9, 0, False)
    assert claims["cpuid"] == {"family": 0x19, "model": 1, "stepping": 1}
    assert claims["mitigations"] == {"launch": "0000000000000003", "current": "000000000000000b"}
    assert member(claims["firmware"], "current") == {"major": 1, "minor": 55, "build": 29}
    assert member(claims["tcb"], "reported") == {"fmc": 0, "bootloader": 4, "tee": 1, "snp": 24, "microcode": 219}
    assert claims["key"] == {
        "type": "vcek",
        "product_name": "Milan-B0",
        "chip_id": CHIP_ID.hex(),
        "csp_id": None,
        "root": "simulated",
    }
    assert member(claims["policy"], "value") == "0000000000030000"
    assert member(claims["policy"], "smt_allowed") is True
    platform_info = {"smt_enabled", "tsme_enabled", "ecc_enabled", "alias_check_complete", "iommu_write_safe"}
    assert {name for name, bit in dict(claims["platform_info"]).items() if bit is True} == platform_info  # type: ignore[arg-type]


def test_claims_of_a_vlek_name_the_cloud_provider() -> None:
    claims = make_input(platform("vlek"), version=3).appraise().claims
    assert claims["signing_key"] == "VLEK"
    assert (member(claims["key"], "csp_id"), member(claims["key"], "chip_id")) == ("CN=tee-sim.invalid", None)
    assert claims["mitigations"] == {"launch": None, "current": None}


def test_what_is_not_established_is_not_guessed() -> None:
    claims = make_input(version=2).endorsed(chain=None).appraise().claims
    assert (claims["product"], claims["tcb"], claims["key"], claims["cpuid"]) == (None, None, None, None)
    assert make_input().saying(flags=3 << 2).appraise().claims["signing_key"] is None
    assert make_input().saying(version=4).appraise().claims == {}


def test_the_input_of_a_policy() -> None:
    claims = GIVEN.appraise().claims
    assert build_policy_input(claims, {"key_0": b"\1"}) == {"snp": dict(claims), "claims": {"key_0": "01"}}
    assert build_reference_fields(claims) == {
        "measurement": [claims["measurement"]],
        "hostData": [claims["host_data"]],
        "idKeyDigest": ["00" * 48],
    }


def test_the_manual_lists_exactly_the_checks_that_are_made() -> None:
    table = MANUAL.split("<!-- checks:begin")[1].split("<!-- checks:end")[0]
    assert dict(re.findall(r"^\| `([a-z0-9_.]+)` \| (.*) \|$", table, re.MULTILINE)) == REQUIREMENTS


def test_the_manual_names_every_claim() -> None:
    claims = GIVEN.appraise().claims
    table = MANUAL.split("| claim | is |")[1]
    listed = {each for row in re.findall(r"^\| (`[^|]*`) \|", table, re.MULTILINE) for each in re.findall(r"\w+", row)}
    assert listed == set(claims)
    for nested in claims.values():
        for name in nested if isinstance(nested, dict) else ():
            assert f"`{name}`" in table


def test_the_manual_names_every_setting() -> None:
    table = MANUAL.split("| setting (`SNPAcceptance`)")[1].split("## Claims")[0]
    listed = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert listed == [*GIVEN.acceptance.__dataclass_fields__]
