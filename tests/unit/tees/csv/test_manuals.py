"""The manuals of CSV, SEV and local SGX reports list exactly the checks that are made, and the claims there are."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.unit.tees.csv.inputs import Input as CSVInput
from tests.unit.tees.sev.inputs import Input as SEVInput
from verdictd.core.result import JSONValue
from verdictd.tees.csv import requirements as csv
from verdictd.tees.sev import requirements as sev
from verdictd.tees.sgx_la import verifier as sgx_la

MANUALS = Path(__file__).parents[4] / "docs" / "tees"


@pytest.mark.parametrize(
    ("name", "requirements"),
    [("csv", csv.REQUIREMENTS), ("sev", sev.REQUIREMENTS), ("sgx_la", sgx_la.REQUIREMENTS)],
)
def test_the_manual_lists_exactly_the_checks_that_are_made(name: str, requirements: Mapping[str, str]) -> None:
    manual = (MANUALS / f"{name}.md").read_text(encoding="utf-8")
    table = manual.split("<!-- checks:begin")[1].split("<!-- checks:end")[0]
    assert dict(re.findall(r"^\| `([a-z0-9_.]+)` \| (.*) \|$", table, re.MULTILINE)) == requirements


@pytest.mark.parametrize(
    ("name", "claims"), [("csv", CSVInput().appraise().claims), ("sev", SEVInput().appraise().claims)]
)
def test_the_manual_names_every_claim(name: str, claims: Mapping[str, JSONValue]) -> None:
    table = (MANUALS / f"{name}.md").read_text(encoding="utf-8").split("| claim | is |")[1]
    listed = {each for row in re.findall(r"^\| (`[^|]*`) \|", table, re.MULTILINE) for each in re.findall(r"\w+", row)}
    assert listed == set(claims)
    for nested in claims.values():
        for member in nested if isinstance(nested, dict) else ():
            assert f"`{member}`" in table
