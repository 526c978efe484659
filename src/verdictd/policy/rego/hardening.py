"""Rewrites what this engine evaluates in another way than OPA, so that it means the same.

Negations: see `negations`.

Loops: regorus does not see which variables the body of an ``every`` uses, and may evaluate it before they have values;
a reference with such a variable as index then tries all indices. So these variables are put beside the domain, whose
variables it does see: ``every v in [i, input.list][1] { input.expected[i] == v }``. Nor does it always see those of the
``every`` itself: ``every v in input.list { v = 1 }`` holds for any list. So they become variables of the body: ``every
loop_v in input.list { v := loop_v; v = 1 }``.

All is done to the policy's text, and also to its syntax tree. The text is used only if the engine parses it to that
very tree.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import TypeVar, cast

from verdictd.policy.rego.negations import OPERAND, index_variables, name_operands, pin
from verdictd.policy.rego.syntax import (
    WILDCARD,
    ArrayTerm,
    Assignment,
    Condition,
    Every,
    Module,
    Operation,
    Position,
    Query,
    Reference,
    Scalar,
    Statement,
    Variable,
)

_LOOP = "__loop_"

_T = TypeVar("_T")

Captures = Mapping[int, tuple[str, ...]]
"""For each ``every``, by the byte at which it begins: the variables around it that its body uses."""


def harden_text(text: str, module: Module, captures: Captures) -> str:
    """Rewrite a policy.

    Args:
        text: the policy.
        module: the same, read.
        captures: which variables each ``every`` uses.
    Returns:
        The policy as the engine is to evaluate it. Lines stay the same unless a negated operand spans several.
    Raises:
        PolicyError: the policy uses a name that the guards need.
    """
    for prefix in (OPERAND, _LOOP):
        if prefix in text:
            raise module.at.refuse(f"the policy has a name that begins with {prefix}", "choose another name")
    return _TextWriter(text.encode("utf-8"), module, captures).write().decode("utf-8")


def harden_tree(module: Module, captures: Captures) -> Module:
    """Rewrite a syntax tree in the same way."""
    return _TreeWriter(captures).rewrite(module)


class _TextWriter:
    """Inserts text at places of the policy, given by their byte."""

    def __init__(self, source: bytes, module: Module, captures: Captures) -> None:
        self._source = source
        self._module = module
        self._captures = captures
        self._insertions: dict[int, bytes] = {}

    def write(self) -> bytes:
        # From the inside out: an operand that is copied brings along what was inserted into it.
        for query, statement in sorted(
            _statements(self._module), key=lambda found: found[1].at.end - found[1].at.start
        ):
            if isinstance(statement.literal, Every):
                self._write_loop(statement.literal)
            else:
                self._write_negation(query, statement)
        return self._copy(0, len(self._source) + 1)

    def _write_loop(self, loop: Every) -> None:
        names = self._captures[loop.at.start]
        if names:
            before = b"[" + b"".join(b"%s, " % name.encode("utf-8") for name in names)
            self._insert(loop.domain.at.start, before)
            self._insert(loop.domain.at.end, b"][%d]" % len(names))
        for variable in _loop_variables(loop):
            name = variable.name.encode("utf-8")
            self._insert(variable.at.start, _LOOP.encode("ascii"))
            self._insert(loop.query.at.start + 1, b" %s := %s%s;" % (name, _LOOP.encode("ascii"), name))

    def _write_negation(self, query: Query, statement: Statement) -> None:
        if not isinstance(statement.literal, Condition) or not statement.literal.negated:
            return
        expression = statement.literal.expression
        for variable in index_variables(expression):
            self._insert(variable.at.start, b"[")
            self._insert(variable.at.end, b"][0]")
        if isinstance(expression, Assignment):
            self._insert(self._source.find(b"=", expression.left.at.end), b"=")
        overrides = b"".join(b" " + self._copy(item.at.start, item.at.end) for item in statement.overrides)
        guards = b"".join(
            b"%s := %s%s; " % (name.encode("ascii"), self._copy(operand.at.start, operand.at.end), overrides)
            for name, operand in name_operands(statement)
        )
        if guards and query.at.start == statement.at.start:
            # A body of one statement without braces.
            self._insert(statement.at.start, b"{ " + guards)
            self._insert(statement.at.end, b" }")
        elif guards:
            self._insert(statement.at.start, guards)

    def _insert(self, place: int, text: bytes) -> None:
        self._insertions[place] = self._insertions.get(place, b"") + text

    def _copy(self, start: int, end: int) -> bytes:
        """The text from `start` to `end` with what was inserted between."""
        pieces = []
        for place in sorted(place for place in self._insertions if start < place < end):
            pieces += [self._source[start:place], self._insertions[place]]
            start = place
        return b"".join([*pieces, self._source[start:end]])


class _TreeWriter:
    """Makes a tree anew, with what is added."""

    def __init__(self, captures: Captures) -> None:
        self._captures = captures

    def rewrite(self, node: _T) -> _T:
        """Make a node and all below it anew."""
        if isinstance(node, tuple) and not isinstance(node, Position):
            return cast("_T", tuple(self.rewrite(item) for item in node))
        if not is_dataclass(node) or isinstance(node, type):
            return node
        parts = {part.name: self.rewrite(getattr(node, part.name)) for part in fields(node)}
        if isinstance(node, Query):
            parts["statements"] = tuple(self._guard(node.statements))
        rewritten = replace(node, **parts)
        return cast("_T", self._rename(rewritten)) if isinstance(rewritten, Every) else rewritten

    def _rename(self, loop: Every) -> Every:
        at = loop.at
        captured = tuple(Variable(at, name) for name in self._captures[at.start])
        domain = Reference(at, ArrayTerm(at, (*captured, loop.domain)), Scalar(at, len(captured)))
        renamed = {variable: Variable(at, _LOOP + variable.name) for variable in _loop_variables(loop)}
        assignments = (Assignment(at, declares=True, left=old, right=new) for old, new in renamed.items())
        added = tuple(Statement(at, Condition(at, item, negated=False), ()) for item in assignments)
        return Every(
            at,
            tuple(renamed.get(variable, variable) for variable in loop.variables),
            domain if captured else loop.domain,
            Query(loop.query.at, (*added, *loop.query.statements)),
        )

    def _guard(self, statements: tuple[Statement, ...]) -> Iterator[Statement]:
        for statement in statements:
            at, literal, overrides = statement.at, statement.literal, self.rewrite(statement.overrides)
            if not isinstance(literal, Condition) or not literal.negated:
                yield self.rewrite(statement)
                continue
            for name, operand in name_operands(statement):
                assignment = Assignment(at, declares=True, left=Variable(at, name), right=pin(self.rewrite(operand)))
                yield Statement(at, Condition(at, assignment, negated=False), overrides)
            negated = pin(self.rewrite(literal.expression))
            if isinstance(negated, Assignment):
                negated = Operation(at, "Eq", (negated.left, negated.right))
            yield Statement(at, Condition(at, negated, negated=True), overrides)


def _statements(node: object, query: Query | None = None) -> Iterator[tuple[Query, Statement]]:
    """All statements below a node, each with the query that it belongs to."""
    if isinstance(node, tuple):
        for item in node:
            yield from _statements(item, query)
    elif is_dataclass(node) and not isinstance(node, type):
        if isinstance(node, Statement):
            assert query is not None
            yield query, node
        inner = node if isinstance(node, Query) else query
        for part in fields(node):
            yield from _statements(getattr(node, part.name), inner)


def _loop_variables(loop: Every) -> tuple[Variable, ...]:
    return tuple(variable for variable in loop.variables if variable.name != WILDCARD)
