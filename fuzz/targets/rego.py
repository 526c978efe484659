"""The static check of policies: the text's bounds, and every syntax tree that an engine could print of a text.

The engine itself is native code that runs in a process of its own, with limits; it is not fuzzed here. Seeds hold the
trees it printed. An input is the policy's text, and the tree as JSON, which names the text by its bytes.
"""

import json
import re
from importlib.resources import files

from fuzz.parts import after_part, join, take
from fuzz.target import FuzzTarget, attempt
from verdictd.policy.engine import Dialect, RegorusEngine
from verdictd.policy.policy_check import parse_policy_text
from verdictd.policy.rego.hardening import harden_text, harden_tree
from verdictd.policy.rego.static_check import check_module
from verdictd.policy.rego.syntax_reader import read_module

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_POLICIES = {
    "small": """package policy

import rego.v1

default allow := false

allow if input.svn >= data.svn
""",
    "loops": """package policy

import rego.v1

allow if {
	some i, x in input.list
	every v in data.list { v == x }
	not contains(x, "y")
	count({y | y := input.list[_]; y > i}) == 1
}
""",
    "functions": """package policy

import rego.v1

f(x) := y if { y := x + 1 } else := 2

names contains n if {
	some n in data.names
}

map[k] := v if { v := input.map[k] }

allow if {
	f(input.a) == 3 with input.a as 2
	names == {[1, `raw`], {"k": null}}
}
""",
}


def check(data: bytes) -> None:
    """A policy is refused in the project's words, or passes and can be rewritten."""
    text, tree = take(data)
    if _SURROGATE.search(tree):  # the engine's strings are UTF-8 and have none
        return
    source = attempt(parse_policy_text, text)
    module = attempt(read_module, _with_source(tree, source or ""))
    if module is None:
        return
    report = attempt(check_module, module)
    if report is not None and source is not None:
        attempt(harden_text, source, module, report.captures)
        harden_tree(module, report.captures)


def _with_source(tree: bytes, source: str) -> str:
    contents = json.dumps({"contents": source, "file": "policy"})
    return f'[{{"source":{contents},"version":1,"ast":{tree.decode("utf-8", "replace")}}}]'


def seeds() -> dict[str, bytes]:
    shipped = files("verdictd.policy").joinpath("shipped", "sgxPolicy.rego").read_text(encoding="utf-8")
    found = {}
    for name, text in {**_POLICIES, "shipped": shipped}.items():
        dialect = Dialect.V0 if name == "shipped" else Dialect.V1
        (entry,) = json.loads(RegorusEngine().syntax_tree(text, dialect))
        tree = json.dumps(entry["ast"], separators=(",", ":"))
        found[name] = join(text.encode("utf-8"), tree.encode("utf-8"))
    return found


TARGET = FuzzTarget(
    name="rego",
    modules=(
        "verdictd.policy.policy_check",
        *(
            f"verdictd.policy.rego.{name}"
            for name in (
                "syntax_reader",
                "rule_reader",
                "rules",
                "scopes",
                "names",
                "patterns",
                "safety",
                "negations",
                "hardening",
                "static_check",
                "variables",
            )
        ),
    ),
    check=check,
    seeds=seeds,
    structure=after_part,
    max_bytes=30_000,
)
