"""That every variable of a query gets a value: Rego calls a variable safe that does.

A query's statements may stand in any order. A statement can be evaluated once the variables it needs have values; it
then gives values to others. If some statement never can be, its variables are unsafe. The engine finds most of these
itself, but not below ``not``, where an unsafe variable changes the meaning: ``not input.list[_] == "x"`` would hold if
any member differs, where "no member is x" is meant.

Spec: Open Policy Agent, "Policy Language", section "Safety".
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from verdictd.policy.rego.syntax import (
    WILDCARD,
    ArrayTerm,
    Assignment,
    Call,
    Condition,
    Every,
    Expression,
    ObjectTerm,
    Scalar,
    SetTerm,
    SomeIn,
    Statement,
    Variable,
)
from verdictd.policy.rego.variables import (
    free_in_statement,
    free_variables,
    needed_variables,
    pattern_needs,
    pattern_variables,
    references,
    split_reference,
)


@dataclass(slots=True)
class Flow:
    """How values reach the variables of one statement.

    Attributes:
        required: what must have a value in the end.
        steps: pairs of names: once all of the first have values, all of the second have.
    """

    required: set[str] = field(default_factory=set)
    steps: list[tuple[frozenset[str], frozenset[str]]] = field(default_factory=list)

    def evaluate(self, expression: Expression) -> None:
        """A value is needed; references in it give values to the variables that are their indices."""
        self.required |= _names(needed_variables(expression))
        self._iterate(expression)

    def match(self, pattern: Expression, values: tuple[Expression, ...]) -> None:
        """A pattern is matched with something that is made of values; of one that it cannot match it gets none."""
        self._match(pattern, values)
        for expression in (pattern, *values):
            self._iterate(expression)
        self.required |= _names(pattern_needs(pattern))
        self.required |= _names(pattern_variables(pattern)) - {WILDCARD}
        for value in values:
            self.required |= _names(needed_variables(value))

    def unify(self, left: Expression, right: Expression) -> None:
        """Each side is matched with the other, whichever has a value first."""
        self._match(left, (right,))
        self._match(right, (left,))
        for side in (left, right):
            self._iterate(side)
            self.required |= _names(pattern_needs(side))
            self.required |= _names(pattern_variables(side)) - {WILDCARD}

    def _match(self, pattern: Expression, values: tuple[Expression, ...]) -> None:
        match pattern, values:
            case ArrayTerm(_, items), (ArrayTerm(_, others),) if len(items) == len(others):
                for item, other in zip(items, others, strict=True):
                    self._match(item, (other,))
            case ArrayTerm(), (ArrayTerm() | ObjectTerm() | SetTerm() | Scalar(),):
                pass
            case ObjectTerm(), (ArrayTerm() | SetTerm() | Scalar(),):
                pass
            case _:
                needs = _names(pattern_needs(pattern))
                for value in values:
                    needs |= _names(needed_variables(value))
                self._step(needs, _names(pattern_variables(pattern)))

    def _iterate(self, expression: Expression) -> None:
        for reference in references(expression):
            root, indices = split_reference(reference)
            needs, gives = _names(needed_variables(root)), frozenset[str]()
            for index in indices:
                needs |= _names(pattern_needs(index))
                gives |= _names(pattern_variables(index))
            self._step(needs, gives)

    def _step(self, needs: frozenset[str], gives: frozenset[str]) -> None:
        if gives - {WILDCARD}:
            self.steps.append((needs, gives - {WILDCARD}))

    def follow(self, safe: frozenset[str], unknown: frozenset[str]) -> frozenset[str]:
        """Return the names that have a value after the statement, if the `safe` ones have one before.

        Args:
            safe: variables that have a value.
            unknown: variables that may have none. What is in neither is no variable of the query, and is not needed.
        """
        missing = unknown - safe
        progress = True
        while progress:
            given = [gives & missing for needs, gives in self.steps if not needs & missing and gives & missing]
            missing = missing.difference(*given)
            progress = bool(given)
        return unknown - missing


def statement_flow(statement: Statement, *, has_output: bool) -> Flow:
    """Describe how values reach the variables of a statement.

    Args:
        statement: a statement.
        has_output: whether it is a call whose last argument is matched with its result.
    """
    flow = Flow()
    match statement.literal:
        case SomeIn(_, patterns, collection):
            for pattern in patterns:
                flow.match(pattern, (collection,))
        case Every(_, _, domain, _):
            flow.evaluate(domain)
            flow.required.update(_names(free_in_statement(statement)) - {WILDCARD})
        case Condition(_, expression, True):
            flow.required.update(_names(free_variables(expression)))
        case Condition(_, Assignment(_, True, left, right), _):
            flow.match(left, (right,))
        case Condition(_, Assignment(_, False, left, right), _):
            flow.unify(left, right)
        case Condition(_, Call(_, _, arguments), _) if has_output:
            flow.match(arguments[-1], arguments[:-1])
        case Condition(_, expression, _):
            flow.evaluate(expression)
    for override in statement.overrides:
        flow.required.update(_names(free_variables(override.value)))
    return flow


def term_flow(term: Expression) -> Flow:
    """Describe how values reach the variables of what a rule or a comprehension gives out."""
    flow = Flow()
    flow.evaluate(term)
    return flow


def find_unsafe(flows: Iterable[Flow], variables: frozenset[str]) -> frozenset[str]:
    """Return the variables of a query that get no value, of the first statement that has such; empty if all do.

    Args:
        flows: how values reach the variables of each statement and term.
        variables: the variables of the query itself; those around it have values.
    """
    unknown = variables | {WILDCARD}
    safe = frozenset[str]()
    pending = list(flows)
    progress = True
    while progress:
        progress = False
        for flow in tuple(pending):
            given = flow.follow(safe, unknown)
            if not (flow.required & unknown) - given:
                safe = given - {WILDCARD}
                pending.remove(flow)
                progress = True
    for flow in pending:
        return frozenset(flow.required & unknown) - flow.follow(safe, unknown)
    return frozenset()


def _names(variables: Iterable[Variable]) -> frozenset[str]:
    return frozenset(variable.name for variable in variables)
