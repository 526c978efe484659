import contextlib
import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.policy.rego import ENGINE
from verdictd.core.errors import LimitExceededError, UnsupportedError, VerdictdError
from verdictd.policy.engine import Dialect
from verdictd.policy.rego.static_check import check_policy_tree
from verdictd.policy.rego.syntax_reader import read_module

TEXT = """package policy

import data.lists as lists

default allow := false

allow if {
    some i, x in lists[_]
    not f(x, {"k": [i]}) == -1 with input.y as 2
    every k, v in input.m { v > 1; k in {"a", `b`} }
    [z | z = input.q[x]] == [null, 1.5, true]
    {z | some z; z = 1} & {1} == {n: 1 | n := 2}
} else := 3 if input.x

f(a, [b, _]) := a + b
deny contains m if m := "no"
o["k"] := 2
"""
TREE = json.loads(ENGINE.syntax_tree(TEXT, Dialect.V1))


def paths(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where there is an object in the tree, but for places in the text."""
    if isinstance(node, dict) and "line" in node:
        return []
    if isinstance(node, dict):
        return [path, *(found for key, value in node.items() for found in paths(value, (*path, key)))]
    if isinstance(node, list):
        return [found for place, value in enumerate(node) for found in paths(value, (*path, place))]
    return []


PATHS = paths(TREE[0]["ast"])


def damaged(path: tuple[Any, ...]) -> tuple[Any, dict[str, Any]]:
    """A copy of the tree, and the object in it at a path."""
    tree = copy.deepcopy(TREE)
    node = tree[0]["ast"]
    for step in path:
        node = node[step]
    return tree, node


def test_the_tree_itself_is_read() -> None:
    module = read_module(json.dumps(TREE))
    assert module.package == ("policy",)
    assert [rule.name for rule in module.rules] == ["allow", "allow", "f", "deny", "o"]
    assert [item.path for item in module.imports] == [("data", "lists")]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: "/".join(map(str, path)))
def test_unknown_member_is_refused_everywhere(path: tuple[Any, ...]) -> None:
    tree, node = damaged(path)
    node["novelty"] = 1
    with pytest.raises(UnsupportedError):
        read_module(json.dumps(tree))


@pytest.mark.parametrize("path", [path for path in PATHS if path], ids=lambda path: "/".join(map(str, path)))
def test_missing_member_is_refused_everywhere(path: tuple[Any, ...]) -> None:
    _, whole = damaged(path)
    for name in whole:
        if name in {"eidx", "sidx", "qidx", "with_mods", "as"}:
            continue
        tree, node = damaged(path)
        del node[name]
        with pytest.raises(UnsupportedError):
            read_module(json.dumps(tree))


def test_unknown_kinds_are_refused() -> None:
    kinds = 0
    for path in PATHS:
        tree, node = damaged(path)
        for kind in [name for name in node if name[:1].isupper()]:
            node["Novelty"] = node.pop(kind)
            kinds += 1
            with pytest.raises((UnsupportedError, ValueError)) as refusal:
                read_module(json.dumps(tree))
            assert isinstance(refusal.value, VerdictdError)
    assert kinds > 50


@pytest.mark.parametrize(
    "tree",
    ["", "[]", "{}", "null", "[1]", '[{"source":1,"version":1,"ast":{}}]', "[" * 10000],
)
def test_what_is_no_tree_is_refused(tree: str) -> None:
    with pytest.raises((UnsupportedError, LimitExceededError)):
        read_module(tree)


def test_another_version_of_the_tree_is_refused() -> None:
    tree = copy.deepcopy(TREE)
    tree[0]["version"] = 2
    with pytest.raises(UnsupportedError, match="version 2, expected 1"):
        read_module(json.dumps(tree))


def test_deep_tree_is_refused() -> None:
    chain = " + ".join(["1"] * 150)
    with pytest.raises(LimitExceededError, match="more than 100 deep"):
        check_policy_tree(ENGINE.syntax_tree(f"package policy\nallow := {chain} == 150\n", Dialect.V1))
    chain = " + ".join(["1"] * 90)
    check_policy_tree(ENGINE.syntax_tree(f"package policy\nallow := {chain} == 90\n", Dialect.V1))


@given(st.data())
def test_any_damage_gives_a_value_or_one_of_our_errors(data: st.DataObject) -> None:
    tree, node = damaged(data.draw(st.sampled_from(PATHS)))
    name = data.draw(st.sampled_from(sorted(node) or ["x"]))
    leaf = st.none() | st.booleans() | st.integers(-5, 5000) | st.text(max_size=5)
    node[name] = data.draw(st.recursive(leaf, lambda inner: st.lists(inner, max_size=3)))
    with contextlib.suppress(VerdictdError):
        check_policy_tree(json.dumps(tree))


def test_an_unknown_node_of_any_size_is_told_briefly() -> None:
    tree, _ = damaged(())
    tree[0]["ast"]["package"] = ["x" * 100_000]
    with pytest.raises(UnsupportedError) as refused:
        read_module(json.dumps(tree))
    assert len(str(refused.value)) < 300
