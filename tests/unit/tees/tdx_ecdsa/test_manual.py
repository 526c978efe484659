"""The manual of TDX lists exactly the checks that are made, and the claims there are."""

import re
from pathlib import Path

from tests.unit.tees.tdx_ecdsa.logs import with_log
from verdictd.tees.tdx_ecdsa.verifier import REQUIREMENTS

MANUAL = (Path(__file__).parents[4] / "docs" / "tees" / "tdx_ecdsa.md").read_text(encoding="utf-8")


def names_of(table: str) -> set[str]:
    """What the first column names."""
    return {each for row in re.findall(r"^\| (`[^|]*`) \|", table, re.MULTILINE) for each in re.findall(r"\w+", row)}


def test_the_manual_lists_exactly_the_checks_that_are_made() -> None:
    table = MANUAL.split("<!-- checks:begin")[1].split("<!-- checks:end")[0]
    assert dict(re.findall(r"^\| `([a-z0-9_.]+)` \| (.*) \|$", table, re.MULTILINE)) == REQUIREMENTS


def test_the_manual_names_every_claim() -> None:
    table, of_the_log = MANUAL.split("| claim | is |")[1].split("| in `event_log` | is |")
    claims = with_log().appraise().claims
    assert names_of(table) == set(claims)
    for name, nested in claims.items():
        for member in nested if isinstance(nested, dict) and name != "event_log" else ():
            assert f"`{member}`" in table
    log = claims["event_log"]
    assert isinstance(log, dict)
    assert names_of(of_the_log) == set(log)
    for item in log.values():
        for member in item if isinstance(item, dict) else ():
            assert f"`{member}`" in of_the_log
