"""Reads the syntax tree that the engine prints as JSON, strictly.

The tree is the engine's own: undocumented, and free to grow with its next version. So every node must have exactly the
members known here. A node or a member that is not known refuses the policy, because the checks that follow could not
say what it does.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import TypeAlias

from verdictd.core.errors import LimitExceededError, UnsupportedError
from verdictd.policy.rego.limits import MAX_TREE_DEPTH
from verdictd.policy.rego.rule_reader import RuleParts, read_rule
from verdictd.policy.rego.syntax import (
    ArrayTerm,
    Assignment,
    Call,
    Comprehension,
    Condition,
    Every,
    Expression,
    Import,
    Literal,
    Module,
    ObjectTerm,
    Operation,
    Override,
    Position,
    Query,
    Reference,
    Rule,
    RuleBody,
    Scalar,
    SetTerm,
    SomeDeclaration,
    SomeIn,
    Statement,
    Variable,
)

_Node: TypeAlias = dict[str, object]

_INDICES = {"eidx", "sidx", "qidx"}
"""Numbers by which the engine finds its own notes on a node; nothing a policy says."""


def read_module(tree: str) -> Module:
    """Read the syntax tree of the one policy that was given to an engine.

    Args:
        tree: what the engine printed.
    Raises:
        UnsupportedError: a node, or a member of a node, that is not known here.
        LimitExceededError: the tree is deeper than `MAX_TREE_DEPTH`.
    """
    try:
        (entry,) = json.loads(tree)
        _expect(entry, {"source", "version", "ast"})
        if entry["version"] != 1:
            raise UnsupportedError(f"the engine's syntax tree has version {entry['version']!r:.40}, expected 1")
        return _ModuleReader(entry["source"]["contents"].encode("utf-8")).read(entry["ast"])
    except RecursionError as error:
        raise _too_deep() from error
    except (ValueError, KeyError, TypeError) as error:
        raise UnsupportedError(f"the engine's syntax tree has an unknown form: {error!r:.200}") from error


class _ModuleReader:
    """Reads one module. Names that the tree gives only as spans are cut from the policy's text."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._lines = [0, *(match.end() for match in re.finditer(b"\n", text))]
        self._depth = 0
        self._expressions: dict[str, Callable[[Position, _Node], Expression]] = {
            **dict.fromkeys(("String", "RawString", "Number", "Bool", "Null"), self._scalar),
            "Var": self._variable,
            "Array": self._array,
            "Set": self._set,
            "Object": self._object,
            "ArrayCompr": self._comprehension,
            "SetCompr": self._comprehension,
            "ObjectCompr": self._object_comprehension,
            "Call": self._call,
            "RefDot": self._dot,
            "RefBrack": self._bracket,
            "UnaryExpr": self._negative,
            "BinExpr": self._operation,
            "BoolExpr": self._operation,
            "ArithExpr": self._operation,
            "Membership": self._membership,
            "AssignExpr": self._assignment,
        }
        self._literals: dict[str, Callable[[Position, _Node], Literal]] = {
            "SomeVars": self._some_declaration,
            "SomeIn": self._some_in,
            "Every": self._every,
            "Expr": self._condition,
            "NotExpr": self._negation,
        }

    def read(self, node: object) -> Module:
        module = _expect(
            node,
            {"package", "imports", "rules", "rego_v1", "num_expressions", "num_statements", "num_queries"},
        )
        package = _expect(module["package"], {"span", "refr"})
        return Module(
            at=self._position(package),
            package=_path(self.expression(package["refr"])),
            imports=tuple(self._import(item) for item in _items(module["imports"])),
            rules=tuple(self._rule(item) for item in _items(module["rules"])),
        )

    def _import(self, node: object) -> Import:
        members = _expect(node, {"span", "refr"}, optional={"as"})
        path = _path(self.expression(members["refr"]))
        alias = self._cut(members["as"]).name if "as" in members else path[-1]
        return Import(self._position(members), path, alias)

    def _rule(self, node: object) -> Rule:
        kind, members = _variant(node)
        if kind == "Default":
            _expect(members, {"span", "refr", "args", "op", "value"})
            return read_rule(
                RuleParts(
                    at=self._position(members),
                    form="Default",
                    head=self.expression(members["refr"]),
                    arguments=self._all(members["args"]),
                    value=self.expression(members["value"]),
                )
            )
        if kind != "Spec":
            raise ValueError(kind)
        _expect(members, {"span", "head", "bodies"})
        form, head = _variant(members["head"])
        assigned = head.get("assign")
        forms = {"Compr": {"span", "refr", "assign"}, "Set": {"span", "refr", "key"}}
        _expect(head, forms.get(form, {"span", "refr", "args", "assign"}))
        return read_rule(
            RuleParts(
                at=self._position(members),
                form=form,
                head=self.expression(head["refr"]),
                arguments=self._all(head.get("args", [])),
                key=self._optional(head.get("key")),
                value=None if assigned is None else self._assigned(assigned),
                bodies=tuple(self._body(body) for body in _items(members["bodies"])),
            )
        )

    def _body(self, node: object) -> RuleBody:
        members = _expect(node, {"span", "assign", "is_else", "query"})
        assigned = members["assign"]
        return RuleBody(self._query(members["query"]), None if assigned is None else self._assigned(assigned))

    def _assigned(self, node: object) -> Expression:
        return self.expression(_expect(node, {"span", "op", "value"})["value"])

    def _query(self, node: object) -> Query:
        members = _expect(node, {"span", "stmts"})
        return Query(self._position(members), tuple(self._statement(item) for item in _items(members["stmts"])))

    def _statement(self, node: object) -> Statement:
        members = _expect(node, {"span", "literal"}, optional={"with_mods"})
        kind, literal = _variant(members["literal"])
        return Statement(
            self._position(members),
            self._literals[kind](self._position(literal), literal),
            tuple(self._override(item) for item in _items(members.get("with_mods", []))),
        )

    def _override(self, node: object) -> Override:
        members = _expect(node, {"span", "refr", "as"})
        return Override(self._position(members), self.expression(members["refr"]), self.expression(members["as"]))

    def _some_declaration(self, at: Position, node: _Node) -> Literal:
        members = _expect(node, {"span", "vars"})
        return SomeDeclaration(at, tuple(self._cut(item) for item in _items(members["vars"])))

    def _some_in(self, at: Position, node: _Node) -> Literal:
        members = _expect(node, {"span", "key", "value", "collection"})
        key = self._optional(members["key"])
        value = self.expression(members["value"])
        return SomeIn(at, (value,) if key is None else (key, value), self.expression(members["collection"]))

    def _every(self, at: Position, node: _Node) -> Literal:
        members = _expect(node, {"span", "key", "value", "domain", "query"})
        names = [members["value"]] if members["key"] is None else [members["key"], members["value"]]
        variables = tuple(self._cut(item) for item in names)
        return Every(at, variables, self.expression(members["domain"]), self._query(members["query"]))

    def _condition(self, at: Position, node: _Node) -> Literal:
        return Condition(at, self.expression(_expect(node, {"span", "expr"})["expr"]), negated=False)

    def _negation(self, at: Position, node: _Node) -> Literal:
        return Condition(at, self.expression(_expect(node, {"span", "expr"})["expr"]), negated=True)

    def expression(self, node: object) -> Expression:
        kind, members = _variant(node)
        self._depth += 1
        if self._depth > MAX_TREE_DEPTH:
            raise _too_deep()
        expression = self._expressions[kind](self._position(members), members)
        self._depth -= 1
        return expression

    def _optional(self, node: object) -> Expression | None:
        return None if node is None else self.expression(node)

    def _all(self, nodes: object) -> tuple[Expression, ...]:
        return tuple(self.expression(node) for node in _items(nodes))

    def _scalar(self, at: Position, node: _Node) -> Expression:
        value = _expect(node, {"span", "value"})["value"]
        if not isinstance(value, str | int | float | None):
            raise TypeError(value)
        return Scalar(at, value)

    def _variable(self, at: Position, node: _Node) -> Expression:
        return Variable(at, _text(_expect(node, {"span", "value"})["value"]))

    def _array(self, at: Position, node: _Node) -> Expression:
        return ArrayTerm(at, self._all(_expect(node, {"span", "items"})["items"]))

    def _set(self, at: Position, node: _Node) -> Expression:
        return SetTerm(at, self._all(_expect(node, {"span", "items"})["items"]))

    def _object(self, at: Position, node: _Node) -> Expression:
        fields = (_items(field) for field in _items(_expect(node, {"span", "fields"})["fields"]))
        return ObjectTerm(at, tuple((self.expression(key), self.expression(value)) for _, key, value in fields))

    def _comprehension(self, at: Position, node: _Node) -> Expression:
        members = _expect(node, {"span", "term", "query"})
        return Comprehension(at, (self.expression(members["term"]),), self._query(members["query"]))

    def _object_comprehension(self, at: Position, node: _Node) -> Expression:
        members = _expect(node, {"span", "key", "value", "query"})
        terms = self.expression(members["key"]), self.expression(members["value"])
        return Comprehension(at, terms, self._query(members["query"]))

    def _call(self, at: Position, node: _Node) -> Expression:
        members = _expect(node, {"span", "fcn", "params"})
        return Call(at, self.expression(members["fcn"]), self._all(members["params"]))

    def _dot(self, at: Position, node: _Node) -> Expression:
        members = _expect(node, {"span", "refr", "field"})
        span, name = _items(members["field"])
        return Reference(at, self.expression(members["refr"]), Scalar(self._position({"span": span}), _text(name)))

    def _bracket(self, at: Position, node: _Node) -> Expression:
        members = _expect(node, {"span", "refr", "index"})
        return Reference(at, self.expression(members["refr"]), self.expression(members["index"]))

    def _negative(self, at: Position, node: _Node) -> Expression:
        operand = self.expression(_expect(node, {"span", "expr"})["expr"])
        if not isinstance(operand, Scalar):
            # The engine fails on it when it is reached, not before.
            raise at.refuse("the sign - stands before something that is not a number", "write 0 - … instead")
        return Operation(at, "-", (operand,))

    def _operation(self, at: Position, node: _Node) -> Expression:
        members = _expect(node, {"span", "op", "lhs", "rhs"})
        operands = self.expression(members["lhs"]), self.expression(members["rhs"])
        return Operation(at, _text(members["op"]), operands)

    def _membership(self, at: Position, node: _Node) -> Expression:
        members = _expect(node, {"span", "key", "value", "collection"})
        key = self._optional(members["key"])
        operands = self.expression(members["value"]), self.expression(members["collection"])
        return Operation(at, "in", operands if key is None else (key, *operands))

    def _assignment(self, at: Position, node: _Node) -> Expression:
        members = _expect(node, {"span", "op", "lhs", "rhs"})
        declares = {"Eq": False, "ColEq": True}[_text(members["op"])]
        return Assignment(at, declares, self.expression(members["lhs"]), self.expression(members["rhs"]))

    def _position(self, node: _Node) -> Position:
        span = _expect(node["span"], {"line", "col", "start", "end"})
        start, end = span["start"], span["end"]
        if not (isinstance(start, int) and isinstance(end, int) and 0 <= start <= end <= len(self._text)):
            raise TypeError(span)
        # The engine's own line and column are those of an operator inside the span.
        line = bisect_right(self._lines, start)
        column = len(self._text[self._lines[line - 1] : start].decode("utf-8", "replace")) + 1
        return Position(line, column, start, end)

    def _cut(self, span: object) -> Variable:
        at = self._position({"span": span})
        return Variable(at, self._text[at.start : at.end].decode("utf-8"))


def _expect(node: object, members: set[str], optional: Iterable[str] = ()) -> _Node:
    """Return a node that has these members, the engine's indices, perhaps the optional ones, and no other."""
    if not isinstance(node, dict):
        raise TypeError(node)
    found = node.keys() - _INDICES
    if not members <= found or not found <= members.union(optional):
        raise ValueError(sorted(found))
    return node


def _variant(node: object) -> tuple[str, _Node]:
    """Take apart ``{"Kind": {…}}``."""
    if not isinstance(node, dict):
        raise TypeError(node)
    ((kind, members),) = node.items()
    if not isinstance(members, dict):
        raise TypeError(members)
    return kind, members


def _items(node: object) -> list[object]:
    if not isinstance(node, list):
        raise TypeError(node)
    return node


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _path(expression: Expression) -> tuple[str, ...]:
    """The names of a reference that consists of names alone."""
    names = []
    while isinstance(expression, Reference):
        index = expression.index
        if not isinstance(index, Scalar):
            raise TypeError(index)
        names.append(_text(index.value))
        expression = expression.base
    if not isinstance(expression, Variable):
        raise TypeError(expression)
    return (expression.name, *reversed(names))


def _too_deep() -> LimitExceededError:
    return LimitExceededError(
        f"the policy has expressions more than {MAX_TREE_DEPTH} deep inside one another",
        remedy="split the longest expression into several rules",
    )
