"""The shipped policies for guests let in what their reference values name, and nobody where these name nothing."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from tests.unit.policy.rego import ENGINE, check
from tests.unit.tees.csv.inputs import Input as CSVInput
from tests.unit.tees.sev.inputs import Input as SEVInput
from verdictd.core.result import JSONValue
from verdictd.policy.engine import Dialect
from verdictd.policy.pair_files import load_shipped
from verdictd.tees.csv import claims as csv
from verdictd.tees.sev import claims as sev


@dataclass(frozen=True)
class Shipped:
    """A policy and its reference, and how an appraisal's claims become an input and a reference for it."""

    names: tuple[str, str]
    member: str
    claims: Callable[[], Mapping[str, JSONValue]]
    policy_input: Callable[[Mapping[str, JSONValue], Mapping[str, bytes]], dict[str, JSONValue]]
    reference: Callable[[Mapping[str, JSONValue]], dict[str, JSONValue]]


SHIPPED = (
    Shipped(
        ("csvPolicy.rego", "csvData"),
        "measure",
        lambda: CSVInput().appraise().claims,
        csv.build_policy_input,
        csv.build_reference_fields,
    ),
    Shipped(
        ("sevPolicy.rego", "sevData"),
        "launchDigest",
        lambda: SEVInput().appraise().claims,
        sev.build_policy_input,
        sev.build_reference_fields,
    ),
)
each = pytest.mark.parametrize("shipped", SHIPPED, ids=lambda shipped: shipped.names[0])


def decide(shipped: Shipped, reference: object, given: object | None = None) -> object:
    checked = check(load_shipped(shipped.names[0]).decode())
    given = shipped.policy_input(shipped.claims(), {}) if given is None else given
    prepared = ENGINE.prepare(checked.text, checked.dialect, json.dumps(reference))
    result = json.loads(prepared.evaluate(json.dumps(given)))
    return result["result"][0]["expressions"][0]["value"]["allow"]


@each
def test_reference_values_of_the_evidence_let_it_in(shipped: Shipped) -> None:
    reference = shipped.reference(shipped.claims())
    assert list(reference) == [shipped.member]
    assert decide(shipped, reference) is True
    values = reference[shipped.member]
    assert isinstance(values, list)
    assert decide(shipped, {shipped.member: ["another", *values]}) is True


@each
def test_the_shipped_reference_lets_nobody_in(shipped: Shipped) -> None:
    shipped_reference = json.loads(load_shipped(shipped.names[1]))
    assert shipped_reference == {shipped.member: []}
    assert decide(shipped, shipped_reference) is False


@each
@pytest.mark.parametrize("values", [["another"], [None], "", None, {}, True])
def test_other_values_refuse(shipped: Shipped, values: object) -> None:
    assert decide(shipped, {shipped.member: values}) is False
    assert decide(shipped, {}) is False


@each
def test_a_list_of_another_type_refuses_though_it_holds_the_value(shipped: Shipped) -> None:
    (value,) = json.loads(json.dumps(shipped.reference(shipped.claims())))[shipped.member]
    assert decide(shipped, {shipped.member: {"0": value}}) is False
    assert decide(shipped, {shipped.member: value}) is False


@each
def test_an_input_without_the_field_refuses(shipped: Shipped) -> None:
    reference = shipped.reference(shipped.claims())
    assert decide(shipped, reference, {"claims": {}}) is False


@each
def test_they_are_written_for_the_original_engine(shipped: Shipped) -> None:
    checked = check(load_shipped(shipped.names[0]).decode())
    assert checked.dialect is Dialect.V0
    assert checked.report.members_read == (shipped.member,)
