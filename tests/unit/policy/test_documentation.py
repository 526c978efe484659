"""The examples of docs/policies.md are run, and its list of functions is the list."""

import json
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.unit.policy.rego import check, evaluate
from verdictd.core.result import JSONValue
from verdictd.policy.pair import parse_reference
from verdictd.policy.rego.builtins import ALLOWED, REFUSED

TEXT = (Path(__file__).parents[3] / "docs" / "policies.md").read_text(encoding="utf-8")
EXAMPLES = {
    title: (policy, reference)
    for title, policy, reference in re.findall(
        r"### Example: ([^\n]*)\n.*?```rego\n(.*?)```\s*```json\n(.*?)```", TEXT, re.DOTALL
    )
}
ENCLAVE = "zqs/chEBBNrInHlSCDO+0eV/pnlAB5qieF3M0hKfekA="
SIGNER = "g9cZ533qyhRw9rr2Kk13QwPImdtpAg+ccO4d/AjHzp4="


def given(*, date: JSONValue = "2024-03-13", enclave: str = ENCLAVE, **changes: JSONValue) -> dict[str, JSONValue]:
    return {
        "mrEnclave": enclave,
        "mrSigner": SIGNER,
        "productId": 0,
        "svn": 0,
        "sgx": {"tcb": {"date": date}},
        "claims": {"stage": "70726f64"},
        **changes,
    }


@pytest.mark.parametrize(
    ("title", "evidence", "allowed"),
    [
        ("a minimum TCB date", given(), True),
        ("a minimum TCB date", given(date="2024-01-01"), True),
        ("a minimum TCB date", given(date="2023-12-31"), False),
        ("a minimum TCB date", given(date=None), False),
        ("a minimum TCB date", given(date=["9"]), False),
        ("a minimum TCB date", given(enclave="other"), False),
        ("a minimum TCB date", given(sgx={}), False),
        ("a custom claim", given(), True),
        ("a custom claim", given(claims={"stage": "73746167696e67"}), True),
        ("a custom claim", given(claims={"stage": "74657374"}), False),
        ("a custom claim", given(claims={}), False),
        ("a custom claim", given(mrSigner="other"), False),
    ],
)
def test_examples_decide_as_described(title: str, evidence: dict[str, JSONValue], *, allowed: bool) -> None:
    policy, reference = EXAMPLES[title]
    values = parse_reference(reference.encode())
    assert set(check(policy).report.members_read) == values.keys()
    assert evaluate(policy, evidence, json.loads(reference))["allow"] is allowed


def test_there_are_two_examples() -> None:
    assert EXAMPLES.keys() == {"a minimum TCB date", "a custom claim"}


def test_the_warning_about_claims_left_out_is_right() -> None:
    policy = 'package policy\n\nallow {\n    not input.claims.stage == "74657374"\n}\n'
    assert evaluate(policy, given(claims={}))["allow"] is True
    assert "allow" not in evaluate(policy, given(claims={"stage": "74657374"}))


def test_every_allowed_function_is_in_the_table_and_no_refused_one() -> None:
    table = TEXT.partition("### Functions")[2].partition("\n## ")[0]
    patterns = re.findall(
        r"`([\w.*]+)`", " ".join(row.split("|")[2] for row in table.splitlines() if row.count("|") == 3)
    )
    patterns.remove("json.remove")
    assert not [name for name in ALLOWED if name != "trace" and not any(fnmatch(name, p) for p in patterns)]
    wide = {"json.remove", "json.match_schema", "json.verify_schema"}
    assert not [name for name in REFUSED.keys() - wide if any(fnmatch(name, p) for p in patterns)]
    assert not [p for p in patterns if not any(fnmatch(name, p) for name in ALLOWED)]
