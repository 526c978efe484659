"""What a negation needs so that ``not`` means here what it means in OPA.

In OPA, ``not f(input.x)`` is undefined where ``input.x`` is: the operands of a negated call or operator must have
values, and only then is the rest negated. In regorus the negation then holds, and a prohibition such as
``not input.svn < data.minimum`` would let everybody in once ``data.minimum`` is missing. So each negated statement
gets guards before it: ``guard := input.svn; guard2 := data.minimum; not input.svn < data.minimum``. As in OPA, what
stands at top level, alone or on a side of an equation, needs no value: ``not input.x == 1`` holds without ``input.x``.

Where a negated reference has a variable as index, regorus may evaluate it before the variable has its value, once for
each key that is there: ``walk(input, [_, v]); not data.allowed[v]`` never holds. So what looks like something to try
all keys with is hidden, or pinned: ``not data.allowed[[v][0]]``. And ``not a = b``, which may give values, becomes
``not a == b``.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from verdictd.policy.rego.syntax import (
    ArrayTerm,
    Assignment,
    Call,
    Condition,
    Expression,
    ObjectTerm,
    Operation,
    Reference,
    Scalar,
    SetTerm,
    Statement,
    Variable,
)
from verdictd.policy.rego.variables import pattern_variables, references, split_reference

OPERAND = "__operand_"
"""How the names of guards begin."""


def name_operands(statement: Statement) -> Iterator[tuple[str, Expression]]:
    """What must have a value before a negated statement is evaluated, and a name for each; nothing for others."""
    if isinstance(statement.literal, Condition) and statement.literal.negated:
        for number, operand in enumerate(_operands(statement.literal.expression)):
            yield f"{OPERAND}{statement.at.start}_{number}", operand


def index_variables(expression: Expression) -> Iterator[Variable]:
    """The variables that `pin` pins: an index of a reference, or in a pattern that is one, outside closures."""
    for reference in references(expression):
        for index in split_reference(reference)[1]:
            yield from pattern_variables(index)


def pin(expression: Expression) -> Expression:
    """Replace each variable that is an index by the only member of an array."""
    if isinstance(expression, Reference):
        return Reference(expression.at, pin(expression.base), _pin_index(expression.index))
    return _map(expression, pin)


def _pin_index(index: Expression) -> Expression:
    match index:
        case Variable(at, _):
            return Reference(at, ArrayTerm(at, (index,)), Scalar(at, 0))
        case ArrayTerm():
            return _map(index, _pin_index)
        case ObjectTerm(at, pairs):
            return ObjectTerm(at, tuple((pin(key), _pin_index(value)) for key, value in pairs))
        case _:
            return pin(index)


def _map(expression: Expression, change: Callable[[Expression], Expression]) -> Expression:
    """Change the direct parts of an expression; closures stay as they are."""
    match expression:
        case ArrayTerm(_, items) | SetTerm(_, items):
            return replace(expression, items=tuple(map(change, items)))
        case ObjectTerm(_, pairs):
            return replace(expression, fields=tuple((change(key), change(value)) for key, value in pairs))
        case Call(_, _, arguments):
            return replace(expression, arguments=tuple(map(change, arguments)))
        case Operation(_, _, operands):
            return replace(expression, operands=tuple(map(change, operands)))
        case Assignment(_, _, left, right):
            return replace(expression, left=change(left), right=change(right))
        case _:
            return expression


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
