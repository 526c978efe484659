"""Makes ``not`` mean what it means in OPA, where this engine is more permissive.

In OPA, ``not f(input.x)`` is undefined where ``input.x`` is: the operands of a negated call or operator must have
values, and only then is the rest negated. In regorus the negation then holds. A prohibition such as ``not input.svn <
data.minimum`` would let everybody in once ``data.minimum`` is missing. So each negated statement gets guards before it:
``guard := input.svn; guard2 := data.minimum; not input.svn < data.minimum``.

As in OPA, what stands at top level, alone or on a side of an equation, needs no value: ``not input.x`` and ``not
input.x == 1`` hold where ``input.x`` is undefined.

The guards are written into the policy's text, and also into its syntax tree. The text is only used if the engine
parses it to that very tree.
"""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import TypeVar, cast

from verdictd.policy.rego.syntax import (
    ArrayTerm,
    Assignment,
    Call,
    Condition,
    Expression,
    Module,
    ObjectTerm,
    Operation,
    Position,
    Query,
    Reference,
    SetTerm,
    Statement,
    Variable,
)
from verdictd.policy.rego.variables import split_reference

_PREFIX = "__operand_"

_T = TypeVar("_T")


def guard_text(text: str, module: Module) -> str:
    """Write guards before the negated statements of a policy.

    Args:
        text: the policy.
        module: the same, read.
    Returns:
        The policy with guards; the lines of other statements stay the same unless an operand spans lines.
    Raises:
        PolicyError: the policy uses a name that the guards need.
    """
    if _PREFIX in text:
        raise module.at.refuse(f"the policy has a name that begins with {_PREFIX}", "choose another name")
    source = text.encode("utf-8")
    insertions: dict[int, bytes] = {}

    def copy(start: int, end: int) -> bytes:
        """The text from `start` to `end` with what was inserted between."""
        pieces = []
        for place in sorted(place for place in insertions if start < place < end):
            pieces += [source[start:place], insertions[place]]
            start = place
        return b"".join([*pieces, source[start:end]])

    # From the inside out: an operand that is copied brings its own guards along.
    for query, statement in sorted(_negated(module), key=lambda found: found[1].at.end - found[1].at.start):
        overrides = b"".join(b" " + copy(override.at.start, override.at.end) for override in statement.overrides)
        guards = b"".join(
            b"%s := %s%s; " % (name.encode("ascii"), copy(operand.at.start, operand.at.end), overrides)
            for name, operand in _name_operands(statement)
        )
        if guards and query.at.start == statement.at.start:
            # A body of one statement without braces.
            insertions[statement.at.start] = b"{ " + guards
            insertions[statement.at.end] = b" }" + insertions.get(statement.at.end, b"")
        elif guards:
            insertions[statement.at.start] = guards
    return copy(0, len(source) + 1).decode("utf-8")


def guard_tree(node: _T) -> _T:
    """Write the same guards into a syntax tree."""
    if isinstance(node, tuple) and not isinstance(node, Position):
        return cast("_T", tuple(guard_tree(item) for item in node))
    if not is_dataclass(node) or isinstance(node, type):
        return node
    parts = {part.name: guard_tree(getattr(node, part.name)) for part in fields(node)}
    if isinstance(node, Query):
        parts["statements"] = tuple(_guarded_statements(node.statements))
    return replace(node, **parts)


def _guarded_statements(statements: tuple[Statement, ...]) -> Iterator[Statement]:
    for statement in statements:
        guarded = guard_tree(statement)
        for name, operand in _name_operands(statement):
            at = statement.at
            assignment = Assignment(at, declares=True, left=Variable(at, name), right=guard_tree(operand))
            yield Statement(at, Condition(at, assignment, negated=False), guarded.overrides)
        yield guarded


def _negated(node: object, query: Query | None = None) -> Iterator[tuple[Query, Statement]]:
    """All negated statements below a node, each with the query that it belongs to."""
    if isinstance(node, tuple):
        for item in node:
            yield from _negated(item, query)
    elif is_dataclass(node) and not isinstance(node, type):
        if isinstance(node, Statement) and _is_negated(node):
            assert query is not None
            yield query, node
        inner = node if isinstance(node, Query) else query
        for part in fields(node):
            yield from _negated(getattr(node, part.name), inner)


def _is_negated(statement: Statement) -> bool:
    return isinstance(statement.literal, Condition) and statement.literal.negated


def _name_operands(statement: Statement) -> Iterator[tuple[str, Expression]]:
    """What must have a value before a negated statement is evaluated, and a name for each; nothing for others."""
    if isinstance(statement.literal, Condition) and statement.literal.negated:
        for number, operand in enumerate(_operands(statement.literal.expression)):
            yield f"{_PREFIX}{statement.at.start}_{number}", operand


def _operands(expression: Expression) -> Iterator[Expression]:
    match expression:
        case Assignment(_, _, left, right) | Operation(_, "Eq", (left, right)):
            yield from _operands_of_side(left)
            yield from _operands_of_side(right)
        case Operation(_, _, parts) | Call(_, _, parts):
            for part in parts:
                yield from _values(part)
        case _:
            yield from _operands_of_side(expression)


def _operands_of_side(side: Expression) -> Iterator[Expression]:
    match side:
        case Reference():
            root, indices = split_reference(side)
            if not isinstance(root, Variable):
                yield from _values(root)
            for index in indices:
                yield from _values(index)
        case Variable():
            pass
        case _:
            yield from _values(side)


def _values(expression: Expression) -> Iterator[Expression]:
    """The references and calls that an operand is made of; constants and comprehensions always have a value."""
    match expression:
        case Reference() | Call() | Operation() | Variable():
            yield expression
        case ArrayTerm(_, items) | SetTerm(_, items):
            for item in items:
                yield from _values(item)
        case ObjectTerm(_, pairs):
            for key, value in pairs:
                yield from _values(key)
                yield from _values(value)
