"""What ``not`` and ``every`` mean: as in Open Policy Agent 1.20.2, whose answers stand here."""

import pytest

from tests.unit.policy.rego import ENGINE, check, evaluate
from verdictd.policy.engine import Dialect
from verdictd.policy.policy_check import CheckedPolicy
from verdictd.policy.rego.hardening import harden_text, harden_tree
from verdictd.policy.rego.static_check import check_module
from verdictd.policy.rego.syntax_reader import read_module

HEADER = """package policy

f(x) := x if x == 1
known contains 3
undefined if input.never
"""
GIVEN = {"n": 1, "l": [1, 2], "m": {"a": 1}, "s": "x"}
REFERENCE = {"d": 1, "l": []}

NEGATIONS = {
    "not input.miss": True,
    "not input.miss.a.b": True,
    "not undefined": True,
    "not input.miss == 1": True,
    "not 1 == input.miss": True,
    "not input.miss = 1": True,
    "not input.miss == input.other": True,
    "not input.miss == 1 with input.other as 2": True,
    "not known[1]": True,
    "not input.l[0] == 2": True,
    "not f(input.miss) with input.miss as 2": True,
    "not count([x | x := input.miss]) == 1": True,
    "not input.miss != 1": None,
    "not input.miss > 1": None,
    "not 1 < input.miss": None,
    "not undefined > 1": None,
    "not f(input.miss)": None,
    "not f(undefined)": None,
    "not f([input.miss])": None,
    "not f(input.miss) == 1": None,
    "not 1 == f(input.miss)": None,
    "not f(f(input.miss))": None,
    "not f(input.miss) with input.other as 2": None,
    "not data.d[input.miss]": None,
    "not data.l[undefined] == 1": None,
    "not input.l[input.miss]": None,
    "not input.miss in input.l": None,
    'not "a" in input.miss': None,
    "not input.n + input.miss == 2": None,
    "not [input.miss] == [1]": None,
    'not {"a": input.miss} == {}': None,
    "not {input.miss} == {1}": None,
    "not [x | x := undefined] == []": None,
    "not startswith(input.s, data.prefix)": None,
    "some z in [5]; not input.l[z]": True,
    "y = 5; z = y; not input.l[z]": True,
    "not input.l[z]; z = 5": True,
    "walk(input.s, [_, z]); not data.denied[z]": True,
    "count([1, 1], z); not input.l[z] == 1": True,
    "z = 0; not [1, 2][z] == 2": True,
    "z = 1; not [1, 2][z] == 2": None,
    "z := [0, 1]; not {[0, 1]: true}[[0, 1]]": None,
    "not not_a_rule_but_declared; not_a_rule_but_declared = false": True,
}

LOOPS = {
    "every x in [1, 2] { x = 1 }": None,
    "every x in [1, 2] { 1 = x }": None,
    "every x in [1] { x = 1 }": True,
    "every x in [2] { y = 1; x = y }": None,
    "y := 1; every x in [2] { y = x }": None,
    'every k, x in {"a": 1} { k = "b"; x = 1 }': None,
    'every k, x in {"a": 1} { k = "a"; x = 1 }': True,
    "every x in [[1, 2]] { x = [1, y]; y == 2 }": True,
    "every x in [[1, 2]] { x = [2, y]; y == 2 }": None,
    "every n in [5] { count([1], n) }": None,
    "every n in [1] { count([1], n) }": True,
    "every n in [5] { {[1, 2]}[[1, n]] }": None,
    "every z in [2] { not input.l[z] == 1; z > 0 }": True,
    "every z in [0] { not input.l[z] == 1; z >= 0 }": None,
    "every k in [7] { [input.l[k] | true] == []; k > 0 }": True,
    "every k in [7] { [input.l[k] | true] == [1]; k > 0 }": None,
    "every k in [0] { count([1 | input.l[k] == 1]) == 1 }": True,
    "every k in [2] { input.l[z] == k }; z = 0": None,
    "every k in [1] { input.l[z] == k }; z = 0": True,
    "every k in [1] { z == k }; z = 1": True,
    "y = 0; z = y; every k in [2] { input.l[z] == k }": None,
    "count([], z); every k in [2] { input.l[z] == k }": None,
    "every k in [2] { every q in [k] { input.l[z] == q } }; z = 0": None,
    "every k in [1] { every k in [k] { k = 1 } }": True,
    "every k in [1] { every k in [k] { k = 2 } }": None,
    "count([1 | z := 0; every q in [2] { input.l[z] == q }]) == 1": None,
    "every x in input.miss { x == 1 }": None,
    "every x in [] { x == 1 }": True,
    "every _ in [1] { true }": True,
    "every _, x in [1] { x == 1 }": True,
}


@pytest.mark.parametrize("body", [*NEGATIONS, *LOOPS])
@pytest.mark.parametrize(
    "shape", ["allow if {{ {} }}", "allow if count([1 | {}]) == 1", "allow if help\nhelp if {{ {} }}"]
)
def test_means_what_it_means_in_opa(body: str, shape: str) -> None:
    rules = evaluate(HEADER + shape.format(body), GIVEN, REFERENCE)
    assert rules.get("allow") is {**NEGATIONS, **LOOPS}[body]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("not input.svn < data.minimum", "__operand_27_0 := input.svn; __operand_27_1 := data.minimum; "),
        ("not input.x", ""),
        ("not input.x == 1", ""),
    ],
)
def test_guards_stand_before_the_negation(condition: str, expected: str) -> None:
    text = f"package policy\n\nallow if {{ {condition} }}\n"
    assert check(text).text == f"package policy\n\nallow if {{ {expected}{condition} }}\n"


def test_body_without_braces_gets_some() -> None:
    hardened = check("package policy\n\nallow if not f(input.x)\n\nf(x) if x == 1\n").text
    assert hardened.splitlines()[2] == "allow if { __operand_25_0 := input.x; not f(input.x) }"


def test_negations_inside_negations_and_lines() -> None:
    text = """package policy

allow if {
    not count([x | some x in input.l; not f(
        input.x, # with a comment, and a } in it
    )]) == count({1 |
        not input.z < data.z with data.z as input.w
    })
}

f(x) if x == 1
"""
    assert evaluate(text, {"l": [1, 2], "x": 2, "z": 2, "w": 1}).get("allow") is True
    assert evaluate(text, {"l": [1, 2], "x": 2, "z": 2}).get("allow") is True
    assert evaluate(text, {"l": [1], "x": 2, "z": 2, "w": 1}).get("allow") is None


def test_text_that_the_engine_reads_otherwise_is_not_used() -> None:
    # The span of an operand in the engine's tree is moved, as by a fault in the engine.
    text = "package policy\n\nallow if { not f(input.x) }\n\nf(x) if x == 1\n"
    tree = ENGINE.syntax_tree(text, Dialect.V1)
    module = read_module(tree)
    captures = check_module(module).captures
    good = harden_text(text, module, captures)
    assert read_module(ENGINE.syntax_tree(good, Dialect.V1)) == harden_tree(module, captures)
    moved = good.replace(":= input.x", ":= input.y")
    assert moved != good
    assert read_module(ENGINE.syntax_tree(moved, Dialect.V1)) != harden_tree(module, captures)


def test_policy_without_negations_and_loops_is_left_alone() -> None:
    text = "package policy\n\nallow {\n  input.x == data.x[_] # a comment\n}\n"
    checked = check(text)
    assert isinstance(checked, CheckedPolicy)
    assert checked.text == text
