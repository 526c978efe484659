"""Policies for tests, checked and evaluated in this process."""

import json
from textwrap import dedent

from verdictd.core.result import JSONValue
from verdictd.policy.engine import RegorusEngine
from verdictd.policy.policy_check import CheckedPolicy, check_policy

ENGINE = RegorusEngine()

V0 = "package policy\n\ndefault allow = false\n\n"
V1 = "package policy\n\nimport rego.v1\n\ndefault allow := false\n\n"


def check(text: str) -> CheckedPolicy:
    return check_policy(text.encode("utf-8"), ENGINE)


def evaluate(text: str, given: object = None, reference: object = None) -> dict[str, JSONValue]:
    """The values of all the rules of a policy that passes the check."""
    checked = check(text)
    prepared = ENGINE.prepare(checked.text, checked.dialect, json.dumps({} if reference is None else reference))
    result = json.loads(prepared.evaluate(json.dumps({} if given is None else given)))
    rules = result["result"][0]["expressions"][0]["value"]
    assert isinstance(rules, dict)
    return rules


def policy(text: str, header: str = V1) -> str:
    return header + dedent(text)
