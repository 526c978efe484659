"""Patterns that this engine matches more freely than OPA, and which are therefore refused.

- An object pattern matches an object that has further members as well: ``f({"role": "user"})`` takes
  ``{"role": "user", "admin": true}``.
- An index in the value of a rule of several bodies is tried with all keys, whatever value the body gave it:
  ``allow := data.ok[k] if { k := input.key } else := false`` is true once any is.
- A value of a function of several bodies that is undefined is true, or ends the evaluation, where OPA would go on with
  the next body: ``f(x) if { x == 1 } else := data.missing`` is true for any ``x``.
"""

from collections.abc import Callable, Iterator

from verdictd.policy.rego.syntax import (
    ArrayTerm,
    Assignment,
    Call,
    Condition,
    Expression,
    ObjectTerm,
    Operation,
    Reference,
    Rule,
    RuleKind,
    SomeIn,
    Statement,
    Variable,
)
from verdictd.policy.rego.variables import pattern_variables, references, split_reference, statement_expressions, walk


def check_statement_patterns(statement: Statement, *, has_output: bool) -> None:
    """Check the patterns of a statement.

    Args:
        statement: the statement.
        has_output: whether it is a call whose last argument is matched with its result.
    Raises:
        PolicyError: a pattern of the kinds above.
    """
    match statement.literal:
        case SomeIn(_, patterns, _):
            for pattern in patterns:
                _refuse_objects(pattern)
        case Condition(_, Assignment(_, declares, left, right), _):
            for side in (left,) if declares else (left, right):
                _check_side(side)
        case Condition(_, Call(_, _, arguments), _) if has_output:
            _refuse_objects(arguments[-1])
    for expression in statement_expressions(statement):
        check_index_patterns(expression)


def check_index_patterns(expression: Expression) -> None:
    """Check the patterns that are indices of references in an expression. Errors are those of the statement's."""
    for reference in references(expression):
        for index in split_reference(reference)[1]:
            _check_side(index)


def check_head_of_several(rule: Rule, is_global: Callable[[str], bool]) -> None:
    """Check what a rule of several bodies gives out.

    Args:
        rule: the rule.
        is_global: whether a bare name is none of a variable.
    Raises:
        PolicyError: a reference in it has an index that is a variable, or it is a function's and may be undefined.
    """
    values = [rule.value, *(body.value for body in rule.bodies)]
    terms = [term for term in (rule.key, *values) if term is not None]
    for term in terms:
        if rule.kind is RuleKind.FUNCTION and any(_may_be_undefined(part, is_global) for part in walk(term)):
            raise term.at.refuse(
                f"the function {rule.name} has several bodies, and a value that may be undefined",
                "give the value to a variable in each body",
            )
        for reference in references(term):
            for index in split_reference(reference)[1]:
                for variable in pattern_variables(index):
                    if not is_global(variable.name):
                        raise variable.at.refuse(
                            f"{variable.name} is an index in the value of a rule that has several bodies",
                            "give the value to a variable in each body",
                        )


def _may_be_undefined(part: Expression, is_global: Callable[[str], bool]) -> bool:
    return isinstance(part, Reference | Call | Operation) or (isinstance(part, Variable) and is_global(part.name))


def refuse_object_pattern(pattern: ObjectTerm) -> Exception:
    """Make the error for an object pattern."""
    return pattern.at.refuse(
        "an object is a pattern here, and would match objects with further members as well",
        "use a variable, and compare its members",
    )


def _check_side(side: Expression) -> None:
    if next(pattern_variables(side), None) is not None:
        _refuse_objects(side)


def _refuse_objects(pattern: Expression) -> None:
    for part in _parts(pattern):
        if isinstance(part, ObjectTerm):
            raise refuse_object_pattern(part)


def _parts(pattern: Expression) -> Iterator[Expression]:
    """A pattern and the patterns in it."""
    yield pattern
    match pattern:
        case ArrayTerm(_, items):
            for item in items:
                yield from _parts(item)
        case ObjectTerm(_, pairs):
            for _, value in pairs:
                yield from _parts(value)
