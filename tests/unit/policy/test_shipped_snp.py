"""The shipped policy for SEV-SNP lets in what its reference values name, and nobody where these name nothing."""

import json

import pytest

from tests.unit.policy.rego import ENGINE, check
from tests.unit.tees.sev_snp.inputs import make_input
from verdictd.policy.engine import Dialect
from verdictd.policy.pair_files import load_shipped
from verdictd.tees.sev_snp.claims import build_policy_input, build_reference_fields

CLAIMS = make_input().appraise().claims
REFERENCE = build_reference_fields(CLAIMS)
SHIPPED = json.loads(load_shipped("snpData"))


def decide(reference: object, given: object | None = None) -> object:
    checked = check(load_shipped("snpPolicy.rego").decode())
    prepared = ENGINE.prepare(checked.text, checked.dialect, json.dumps(reference))
    result = json.loads(prepared.evaluate(json.dumps(build_policy_input(CLAIMS, {}) if given is None else given)))
    return result["result"][0]["expressions"][0]["value"]["allow"]


def test_reference_values_of_the_evidence_let_it_in() -> None:
    assert REFERENCE.keys() == SHIPPED.keys()
    assert decide(REFERENCE) is True
    assert decide(SHIPPED | {"measurement": REFERENCE["measurement"]}) is True


def test_the_shipped_reference_lets_nobody_in() -> None:
    assert SHIPPED == {"measurement": [], "hostData": [], "idKeyDigest": []}
    assert decide(SHIPPED) is False


@pytest.mark.parametrize("member", list(SHIPPED))
@pytest.mark.parametrize("value", [["another"], [None], "", None, {}, True])
def test_other_values_refuse(member: str, value: object) -> None:
    assert decide({**REFERENCE, member: value}) is False
    assert decide({name: values for name, values in REFERENCE.items() if name != member}) is False


@pytest.mark.parametrize("name", ["measurement", "host_data", "id_key_digest"])
def test_an_input_without_a_field_refuses(name: str) -> None:
    given = {"snp": {claim: value for claim, value in CLAIMS.items() if claim != name}}
    assert decide(REFERENCE, given) is False
    assert decide(REFERENCE, {"claims": {}}) is False


def test_it_is_written_for_the_original_engine() -> None:
    checked = check(load_shipped("snpPolicy.rego").decode())
    assert checked.dialect is Dialect.V0
    assert sorted(checked.report.members_read) == sorted(SHIPPED)
