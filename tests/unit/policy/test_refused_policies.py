"""Each policy here has one fault, and passes without it."""

import re

import pytest

from tests.unit.policy.rego import ENGINE, V0, V1, check, policy
from verdictd.core.errors import MalformedError, PolicyError
from verdictd.policy.engine import Dialect

# What is refused, the same without the fault, and what the message must say.
V1_FAULTS = {
    "unknown function": ("allow if nosuch(input.x)", "allow if count(input.x)", "function nosuch is not known"),
    "unknown function in a rule that nothing reaches": (
        "allow if input.x == 1\nunused if nosuch(1)",
        "allow if input.x == 1\nunused if count([1])",
        "function nosuch is not known",
    ),
    "unknown function after a condition that never holds": (
        "allow if { false; nosuch(1) }",
        "allow if { false; count([1]) }",
        "function nosuch is not known",
    ),
    "unknown function below not": ("allow if not nosuch(1)", "allow if not count([1])", "not known"),
    "unknown function in a comprehension": (
        "allow if count([x | x := nosuch(1)]) == 0",
        "allow if count([x | x := count([1])]) == 0",
        "not known",
    ),
    "unknown function in every": (
        "allow if every x in [1] { nosuch(x) }",
        "allow if every x in [1] { is_number(x) }",
        "not known",
    ),
    "unknown function in the value of a rule": ("allow := nosuch(1)", "allow := is_number(1)", "not known"),
    "unknown function in an else": (
        "allow if false else := nosuch(1) if true",
        "allow if false else := is_number(1) if true",
        "not known",
    ),
    "call in the value of a with": (
        "allow if input.x == 1 with input.x as count([1])",
        "allow if { n := count([1]); input.x == 1 with input.x as n }",
        "the value of a `with` is computed here",
    ),
    "rule in the value of a with": (
        "a := 1\nallow if input.x == 1 with input.x as [a]",
        "a := 1\nallow if { n := a; input.x == 1 with input.x as [n] }",
        "the value of a `with` is computed here",
    ),
    "rule by its full name in the value of a with": (
        "a := 1\nallow if input.x == 1 with input.x as data.policy.a",
        "a := 1\nallow if input.x == 1 with input.x as data.other.a",
        "the value of a `with` is computed here",
    ),
    "rule by an import in the value of a with": (
        "import data.policy.a as b\na := 1\nallow if input.x == 1 with input.x as b",
        "import data.other.a as b\na := 1\nallow if input.x == 1 with input.x as b",
        "the value of a `with` is computed here",
    ),
    "unknown function in the key of a partial set": (
        "deny contains nosuch(1)\nallow if count(deny) == 0",
        "deny contains abs(1)\nallow if count(deny) == 0",
        "not known",
    ),
    "unknown function in an index": ("allow if input.x[nosuch(1)]", "allow if input.x[abs(1)]", "not known"),
    "a function of another package": ("allow if data.lib.f(1)", "allow if data.lib.f == 1", "data.lib.f is not known"),
    "a function by an import": (
        "import data.lib\nallow if lib.f(1)",
        "import data.lib\nallow if lib.f == 1",
        "data.lib.f is not known",
    ),
    "a function that OPA has": ('allow if re_match("a", "a")', 'allow if regex.match("a", "a")', "use regex.match"),
    "an operator's function name": ("allow if plus(1, 1) == 2", "allow if 1 + 1 == 2", "plus is not known"),
    "a call of a variable": ("allow if { f := 1; f(2) }", "allow if { f := 1; f == 2 }", "f is a variable"),
    "a call of a rule": ("r := 1\nallow if r(2)", "r := 1\nallow if r == 2", "r is a value and not a function"),
    "a call on input": ("allow if input.f(2)", "allow if input.f == 2", "input.f is not known"),
    "a call below a rule's name": (
        "time := {}\nallow if time.clock(1)",
        "times := {}\nallow if time.clock(1)",
        "time.clock is not known",
    ),
    "http.send": ('allow if http.send({"url": "x"})', 'allow if is_object({"url": "x"})', "uses the network"),
    "http.send below not": (
        'allow if not http.send({"url": "x"})',
        'allow if not is_set({"url": "x"})',
        "uses the network",
    ),
    "a name looked up": ('allow if net.lookup_ip_addr("x")', 'allow if net.cidr_is_valid("x")', "uses the network"),
    "the environment": ("allow if opa.runtime().env.HOME", "allow if input.env.HOME", "reads the environment"),
    "the clock": ("allow if time.now_ns() > 0", "allow if time.parse_ns(`x`, `y`) > 0", "reads the clock"),
    "chance": ('allow if rand.intn("x", 2) == 1', 'allow if indexof("x", "y") == 1', "uses chance"),
    "chance in a UUID": ('allow if uuid.rfc4122("x")', 'allow if uuid.parse("x")', "uses chance"),
    "the log": ("allow if print(1)", "allow if is_number(1)", "writes to the log"),
    "a schema from elsewhere": ("allow if json.match_schema({}, {})", "allow if json.is_valid({})", "elsewhere"),
    "too many arguments": ("allow if { x := count([1], 2, 3) }", "allow if { x := count([1]) }", "with 3 arguments"),
    "too few arguments": ("allow if concat(`,`)", "allow if concat(`,`, [])", "with 1 arguments, expected 2"),
    "an argument too many where a value is used": (
        "allow if { x := count([1], 1) }",
        "allow if count([1], 1)",
        "with 2 arguments, expected 1",
    ),
    "a user's function with too many arguments": (
        "f(a) := a\nallow if f(1, 2, 3)",
        "f(a, b, c) := a\nallow if f(1, 2, 3)",
        "f is called with 3 arguments, expected 1",
    ),
    "a user's function by its full name, wrong arguments": (
        "f(a) := a\nallow if data.policy.f(1, 2, 3)",
        "f(a) := a\nallow if data.policy.f(1)",
        "with 3 arguments, expected 1",
    ),
    "a function defined with two numbers of parameters": (
        "f(a) := 1\nf(a, b) := 2\nallow if f(1) == 1",
        "f(a) := 1\nf(a) := 1\nallow if f(1) == 1",
        "has 2 parameters here and 1 above",
    ),
    "undefined variable": ("allow if x == 1", "allow if { x := 1; x == 1 }", "variable x is unsafe"),
    "undefined variable below not": ("allow if not x", "allow if { x := 1; not x }", "variable x is unsafe"),
    "unsafe variable below not": (
        "allow if not input.list[i] == 1",
        "allow if { some i; input.list[i]; not input.list[i] == 1 }",
        "variable i is unsafe",
    ),
    "wildcard below not": (
        "allow if not input.list[_] == 1",
        "allow if count([1 | input.list[_] == 1]) == 0",
        "wildcard _ gets no value",
    ),
    "wildcard alone below not": ("allow if not input.list[_]", "allow if input.list[_]", "wildcard _"),
    "variable declared by some and never given a value": (
        "allow if { some i; not input.list[i] }",
        "allow if { some i; input.list[i]; not input.list[i] == 2 }",
        "variable i is unsafe",
    ),
    "variable that only a negation would give": (
        "allow if { not input.x == y; y > 1 }",
        "allow if { y := 2; not input.x == y; y > 1 }",
        "variable y is unsafe",
    ),
    "unsafe variable in the head": ("f(a) := y if a\nallow if f(1)", "f(a) := a if a\nallow if f(1)", "y is unsafe"),
    "unsafe variable in the key of a set": (
        "s contains x if input.x\nallow if s",
        "s contains x if { x := input.x }\nallow if s",
        "x is unsafe",
    ),
    "unsafe variable in an else": (
        "allow if { x := 1; x == 2 } else := x if true",
        "allow if { x := 1; x == 2 } else := x if { x := true }",
        "x is unsafe",
    ),
    "unsafe variable in what a comprehension collects": (
        "allow if count([y | x := 1; x]) == 1",
        "allow if count([y | x := 1; y = x]) == 1",
        "y is unsafe",
    ),
    "unsafe variable in a comprehension": (
        "allow if count([1 | x > 1]) == 1",
        "allow if count([1 | x := 2; x > 1]) == 1",
        "x is unsafe",
    ),
    "unsafe variable in every": (
        "allow if every v in input.list { v > y }",
        "allow if { y := 1; every v in input.list { v > y } }",
        "y is unsafe",
    ),
    "unsafe domain of every": (
        "allow if every v in xs { v > 1 }",
        "allow if { xs := [2]; every v in xs { v > 1 } }",
        "xs is unsafe",
    ),
    "variable of a comprehension used outside": (
        "allow if { [v | some v in [1]] == [1]; v == 1 }",
        "allow if { [v | some v in [1]] == [1]; some w in [1]; w == 1 }",
        "v is unsafe",
    ),
    "unsafe argument": ("allow if count(xs) == 1", "allow if { xs := [1]; count(xs) == 1 }", "xs is unsafe"),
    "wildcard as an argument": ("allow if count(_) == 1", "allow if count([1], _)", "wildcard _"),
    "unsafe collection": ("allow if 1 in xs", "allow if { xs := [1]; 1 in xs }", "xs is unsafe"),
    "unsafe member": ("allow if x in [1]", "allow if { some x in [1] }", "x is unsafe"),
    "unsafe base of a reference": ("allow if x.y == 1", "allow if { x := input; x.y == 1 }", "x is unsafe"),
    "unsafe key in a pattern": ("allow if {k: 1} = input", 'allow if {"k": 1} = input', "k is unsafe"),
    "variables that wait for one another": ("allow if { x = y; y = x }", "allow if { x = y; y = 1 }", "is unsafe"),
    "unsafe value of a with": (
        "allow if input.x with input.x as y",
        "allow if { y := 1; input.x with input.x as y }",
        "y is unsafe",
    ),
    "a pattern that can match nothing": ("allow if { [x] = 1; x }", "allow if { [x] = [1]; x }", "x is unsafe"),
    "name of a function as a value": ("allow if not count", "allow if { count := 1; not count }", "count is unsafe"),
    "a value is assigned below not": ("allow if not x := 1", "allow if { x := 2; not x == 1 }", "declared below `not`"),
    "declared twice": ("allow if { x := 1; x := 1 }", "allow if { x := 1; x = 1 }", "declared a second time"),
    "declared twice by some": ("allow if { some x; x := 1 }", "allow if { some x; x = 1 }", "declared a second time"),
    "used before it is declared": ("allow if { y := x; x := 1 }", "allow if { y = x; x = 1 }", "before it is declared"),
    "used by itself": ("allow if { x := x }", "allow if { x := 1 }", "before it is declared"),
    "used in a closure before it is declared": (
        "allow if { [1 | x == 1] == [1]; x := 1 }",
        "allow if { x := 1; [1 | x == 1] == [1] }",
        "before it is declared",
    ),
    "parameter declared again": (
        "f(a) if { a := 1 }\nallow if f(1)",
        "f(a) if { b := a }\nallow if f(1)",
        "parameter a is declared a second time",
    ),
    "two parameters of one name": (
        "f(a, a) := a\nallow if f(1, 2)",
        "f(a, b) := a\nallow if f(1, 2)",
        "two parameters a",
    ),
    "parameter named input": ("f(input) := 1\nallow if f(1)", "f(given) := 1\nallow if f(1)", "the name input"),
    "parameter that is a reference": ("f(input.x) := 1\nallow if f(1)", "f([x]) := 1\nallow if f(1)", "not a pattern"),
    "every over data": (
        "allow if every data in [1] { data == 1 }",
        "allow if every item in [1] { item == 1 }",
        "the name data",
    ),
    "every variable that is not used": (
        "allow if every x in [1] { true }",
        "allow if every _ in [1] { true }",
        "not used",
    ),
    "some variable that is not used": ("allow if { some x; true }", "allow if { some x; x = 1 }", "not used"),
    "some over a rule's name": (
        "x := 1\nallow if { some x in [1]; x == 1 }",
        "y := 1\nallow if { some x in [1]; x == 1 }",
        "name of something else",
    ),
    "assignment to a reference": ("allow if input.x := 1", "allow if input.x == 1", "not a variable"),
    "assignment to a constant": ("allow if { [1, x] := [1, 2] }", "allow if { [_, x] := [1, 2] }", "not a variable"),
    "recursion": ("allow if allow", "allow if input.allow", "allow depends on itself: allow -> allow"),
    "mutual recursion": (
        "allow if a\na if b\nb if a",
        "allow if a\na if b\nb if input.a",
        "depends on itself",
    ),
    "recursion in rules that nothing reaches": (
        "allow if input.x\na if not b\nb if not a",
        "allow if input.x\na if not b\nb if not input.x",
        "depends on itself",
    ),
    "recursion of a function": (
        "f(x) := 1 if x == 0\nf(x) := f(x - 1) if x > 0\nallow if f(1) == 1",
        "f(x) := 1 if x == 0\nf(x) := 1 if x > 0\nallow if f(1) == 1",
        "f depends on itself",
    ),
    "recursion by the full name": (
        "allow if data.policy.allow",
        "allow if data.other.allow",
        "allow depends on itself",
    ),
    "recursion by an import": (
        "import data.policy.allow as mine\nallow if mine",
        "import data.other.allow as mine\nallow if mine",
        "allow depends on itself",
    ),
    "recursion through a closure": (
        "allow if count([1 | allow]) == 0",
        "allow if count([1 | input.allow]) == 0",
        "allow depends on itself",
    ),
    "the whole of data": ("allow if count(data) == 1", "allow if count(data.x) == 1", "data is referred to as a whole"),
    "data by a variable": (
        "allow if { some k; data[k] == 1 }",
        "allow if { some k; data.x[k] == 1 }",
        "data is referred to as a whole",
    ),
    "the whole package": ("allow if data.policy", "allow if data.policies", "data.policy is referred to as a whole"),
    "the package by a variable": (
        "a := 1\nallow if { some k; data.policy[k] == 1 }",
        'a := 1\nallow if data.policy["a"] == 1',
        "data.policy is referred to as a whole",
    ),
    "import of data": ("import data\nallow if input", "import data.x\nallow if input", "import of data"),
    "import of the package": (
        "import data.policy\nallow if input",
        "import data.x as policy\nallow if input",
        "import of data.policy",
    ),
    "rule that is not there": (
        "allow if data.policy.nosuch",
        "allow if data.policy.such\nsuch := 1",
        "there is no rule nosuch",
    ),
    "rule that is not there, below not": (
        "allow if not data.policy.nosuch",
        "allow if not data.policy.such\nsuch if input.x",
        "there is no rule nosuch",
    ),
    "rule that is not there, by its bare name": (
        "allow if not nosuch",
        "allow if not such\nsuch if input.x",
        "nosuch is unsafe",
    ),
    "function that is not called": ("f(x) := x\nallow if f", "f(x) := x\nallow if f(1)", "referred to and not called"),
    "two imports of one name": (
        "import data.a.x\nimport data.b.x\nallow if x",
        "import data.a.x\nimport data.b.x as y\nallow if x",
        "a name that something else has",
    ),
    "import of a rule's name": ("import data.x\nx := 1\nallow if x", "import data.y\nx := 1\nallow if x", "else has"),
    "import named input": ("import data.x as input\nallow if true", "import data.x as y\nallow if true", "else has"),
    "import of another language": ("import rego.v2\nallow if true", "import input.v2\nallow if true", "rego.v2"),
    "name defined in two ways": (
        "a := 1\na(x) := 2\nallow if a == 1",
        "a := 1\nb(x) := 2\nallow if a == 1",
        "a is a function here and a value above",
    ),
    "name of a set and of a value": (
        "a contains 1\na := 2\nallow if a",
        "a contains 1\nb := 2\nallow if a",
        "a is a value here and a partial set above",
    ),
    "two defaults": (
        "default a := 1\ndefault a := 2\nallow if a == 1",
        "default a := 1\ndefault b := 2\nallow if a == 1",
        "a has 2 defaults",
    ),
    "default of a partial set": (
        "default a := 1\na contains 1\nallow if a",
        "default b := 1\na contains 1\nallow if a",
        "here and",
    ),
    "default that is computed": (
        "default a := [x | some x in input.x]\nallow if a",
        "default a := [1, {`x`: -1}]\nallow if a",
        "not a constant",
    ),
    "rule head of many parts": ("a.b.c := 1\nallow if a.b", "a.b := 1\nallow if a.b", "too many parts"),
    "function head of many parts": ("a.f(x) := 1\nallow if true", "f(x) := 1\nallow if true", "too many parts"),
    "with over a function": (
        "f(x) := x\ng(x) := 2\nallow if f(1) == 2 with f as g",
        "f(x) := x\ng(x) := 2\nallow if f(1) == 2 with input.f as 1",
        "`with` may replace",
    ),
    "with over a builtin": (
        "allow if count([]) == 5 with count as 5",
        "allow if count([]) == 5 with data.count as 5",
        "`with` may replace",
    ),
    "with over a rule": (
        "r := 1\nallow if r == 2 with data.policy.r as 2",
        "r := 1\nallow if r == 2 with data.other.r as 2",
        "`with` may replace",
    ),
    "with over all of data": (
        "allow if data.x with data as {}",
        "allow if data.x with data.x as {}",
        "`with` may replace",
    ),
    "minus before a variable": ("allow if { x := 1; -x < 0 }", "allow if { x := 1; 0 - x < 0 }", "the sign -"),
    "in as a value": (
        "allow := input.x in data.list",
        "allow if input.x in data.list",
        "`in` is used as a value",
    ),
    "in compared": (
        "allow if (input.x in data.list) == false",
        "allow if not input.x in data.list",
        "`in` is used as a value",
    ),
    "object pattern of a parameter": (
        'f({"a": x}) := x\nallow if f(input)',
        "f(o) := o.a\nallow if f(input)",
        "an object is a pattern here",
    ),
    "object pattern in an equation": (
        'allow if { x := input; x = {"a": y}; y }',
        'allow if { x := input; x = {"a": 1} }',
        "an object is a pattern here",
    ),
    "object pattern below an array": (
        'allow if { [{"a": 1}, y] = input.x; y }',
        "allow if { [x, y] = input.x; y == x.a }",
        "an object is a pattern here",
    ),
    "object pattern of some": (
        'allow if { some {"a": 1} in input.x }',
        "allow if { some x in input.x; x.a == 1 }",
        "an object is a pattern here",
    ),
    "object pattern of an output": (
        'allow if walk(input, [_, {"a": 1}])',
        "allow if { walk(input, [_, x]); x.a == 1 }",
        "an object is a pattern here",
    ),
    "index in the value of a rule with else": (
        "allow := data.x[k] if { k := input.k } else := false",
        "allow := x if { k := input.k; x := data.x[k] } else := false",
        "k is an index in the value",
    ),
    "value of a function with else that may be undefined": (
        "f(x) if { x == 1 } else := data.missing\nallow if f(2)",
        "f(x) if { x == 1 } else := y if { y := data.missing }\nallow if f(2)",
        "a value that may be undefined",
    ),
    "rule as the value of a function with else": (
        "a if input.never\nf(x) := a if { x == 2 } else := 3\nallow if f(2)",
        "a if input.never\nf(x) := y if { x == 2; y := a } else := 3\nallow if f(2)",
        "a value that may be undefined",
    ),
    "a name that loops need": ("__loop_x := 1\nallow if true", "__loo_x := 1\nallow if true", "__loop_"),
    "a name the guards need": ("__operand_1 := 1\nallow if true", "__operan_1 := 1\nallow if true", "__operand_"),
}

V0_FAULTS = {
    "a v1 body where `if` is no keyword": (
        "allow if { input.x == 1 }\ndeny { input.y }",
        "allow { input.x == 1 }\ndeny { input.y }",
        "neither a body nor a value",
    ),
    "a v1 set where `if` is no keyword": (
        'deny["x"] if { input.x == 1 }\nallow { count(deny) == 0 }',
        'deny["x"] { input.x == 1 }\nallow { count(deny) == 0 }',
        "must not have the name if",
    ),
    "a rule that is only named": ("deny { input.x }\nallow", "deny { input.x }\nallow = true", "neither a body"),
    "rule named in": ("in { input.x }\nallow { true }", "on { input.x }\nallow { true }", "must not have the name in"),
    "rule named input": ("input = 1 { true }\nallow { true }", "put = 1 { true }\nallow { true }", "the name input"),
    "variable named data": ("allow { data := 1; data == 1 }", "allow { item := 1; item == 1 }", "the name data"),
    "unsafe below not": ("allow { not input.list[_] == 1 }", "allow { input.list[_] == 1 }", "wildcard _"),
    "unknown function": ("allow { nosuch(1) }", "allow { count([1]) }", "function nosuch is not known"),
    "recursion": ("allow { not deny }\ndeny { not allow }", "allow { not deny }\ndeny { not input.x }", "on itself"),
}


@pytest.mark.parametrize(("fault", "repaired", "message"), V1_FAULTS.values(), ids=V1_FAULTS.keys())
def test_one_fault_is_refused_v1(fault: str, repaired: str, message: str) -> None:
    header = "package policy\n\nimport rego.v1\n\n"
    check(header + repaired)
    with pytest.raises(PolicyError, match=re.escape(message)):
        check(header + fault)


@pytest.mark.parametrize(("fault", "repaired", "message"), V0_FAULTS.values(), ids=V0_FAULTS.keys())
def test_one_fault_is_refused_v0(fault: str, repaired: str, message: str) -> None:
    check("package policy\n\n" + repaired)
    with pytest.raises(PolicyError, match=re.escape(message)):
        check("package policy\n\n" + fault)


def test_refusal_says_where() -> None:
    with pytest.raises(PolicyError, match=r"^line 7, column 10: the function nosuch is not known"):
        check(policy("allow if nosuch(1)"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (V1, None),
        ("package policy\n\nimport rego.v1\n\nden if true\n", "no rule allow"),
        ("package policy\n\nimport rego.v1\n\nallow contains 1\n", "allow is a partial set"),
        ("package policy\n\nimport rego.v1\n\nallow(x) := true\n", "allow is a function"),
        ("package policy\n\nimport rego.v1\n\nallow[x] := 1 if some x in [1]\n", "allow is a partial object"),
        ("package policy.sub\n\nimport rego.v1\n\nallow if true\n", "of package policy.sub"),
        ("package other\n\nallow = true\n", "of package other"),
    ],
)
def test_package_and_decision_rule(text: str, message: str | None) -> None:
    if message is None:
        check(text)
        return
    with pytest.raises(PolicyError, match=re.escape(message)):
        check(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (V0 + "allow {\n    input.x ==\n}\n", "line 5, column 7: expecting }"),
        (V1 + "allow if {\n    input.x ==\n}\n", "line 9, column 1"),
        # Broken in a v0 line, though v1 stumbles earlier: the error of the dialect that was read further.
        (V0 + "allow { input.x }\n\ndeny { input.y = = 1 }\n", "line 7, column 18"),
        ("allow = true\n", "Missing package declaration"),
        ("", "line 1"),
        ("package policy\nallow = 1e999\n", "line 2, column 9"),
        ('package policy\nallow = "a\n', "line 2"),
    ],
)
def test_syntax_error_has_a_place(text: str, message: str) -> None:
    with pytest.raises(MalformedError) as refusal:
        check(text)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_the_engine_alone_would_allow_what_is_refused() -> None:
    # Why the rule about `if` in V0_FAULTS is there: without it, this condition would be no condition.
    text = "package policy\n\nallow if { input.x == 1 }\n\ndeny { input.y }\n"
    assert '"allow": true' in ENGINE.prepare(text, Dialect.V0, "{}").evaluate("{}")
    with pytest.raises(PolicyError):
        check(text)
