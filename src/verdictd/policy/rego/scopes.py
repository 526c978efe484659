"""Which bare names of a query are its own variables, and that none is declared twice, late, or over something else."""

from collections.abc import Mapping
from dataclasses import dataclass

from verdictd.policy.rego.rules import DOCUMENTS, Definitions
from verdictd.policy.rego.syntax import (
    WILDCARD,
    ArrayTerm,
    Assignment,
    Condition,
    Every,
    Expression,
    ObjectTerm,
    Position,
    Query,
    Scalar,
    SomeDeclaration,
    SomeIn,
    Statement,
    Variable,
)
from verdictd.policy.rego.variables import (
    declared_variables,
    direct_variables,
    free_in_query,
    free_in_statement,
    free_variables,
    statement_expressions,
)


@dataclass(frozen=True, slots=True)
class Scope:
    """The variables that a query sees.

    Attributes:
        own: those of the query itself, to which it must give values.
        outer: those of the rule's parameters and of the queries around it, which have values.
    """

    own: frozenset[str]
    outer: frozenset[str]

    @property
    def visible(self) -> frozenset[str]:
        """All of them, as a closure inside the query sees them."""
        return self.own | self.outer

    def is_variable(self, name: str) -> bool:
        """Whether a bare name in the query is a variable."""
        return name == WILDCARD or name in self.own or name in self.outer


def open_scope(
    query: Query, terms: tuple[Expression, ...], outer: frozenset[str], definitions: Definitions, *, is_body: bool
) -> Scope:
    """Find the variables of a query.

    Args:
        query: the query.
        terms: what the rule or the comprehension around it gives out.
        outer: the variables around it.
        definitions: what other bare names stand for.
        is_body: whether it is the body of a rule, so that `outer` are the rule's parameters.
    Raises:
        PolicyError: a declaration that Rego does not allow, or that the engine reads in another way.
    """
    declared = _collect_declarations(query, outer, definitions, is_body=is_body)
    _refuse_unused(query, terms)
    mentioned = {
        variable.name
        for statement in query.statements
        for expression in statement_expressions(statement)
        for variable in direct_variables(expression)
    }
    mentioned.update(variable.name for term in terms for variable in direct_variables(term))
    implicit = {name for name in mentioned if not definitions.is_global(name)} - outer - {WILDCARD}
    return Scope(frozenset(declared) | implicit, outer)


def _collect_declarations(
    query: Query, outer: frozenset[str], definitions: Definitions, *, is_body: bool
) -> Mapping[str, Position]:
    declared: dict[str, Position] = {}
    mentioned: set[str] = set()
    for statement in query.statements:
        _check_form(statement)
        variables = [item for item in declared_variables(statement.literal) if item.name != WILDCARD]
        mentioned.update(_mentioned_before(statement))
        for variable in variables:
            _check_name(variable, statement, outer, definitions, is_body=is_body)
            if variable.name in declared:
                raise variable.at.refuse(f"the variable {variable.name} is declared a second time")
            if variable.name in mentioned:
                raise variable.at.refuse(f"the variable {variable.name} is used before it is declared")
            declared[variable.name] = variable.at
        mentioned.update(item.name for item in free_in_statement(statement))
    return declared


def _refuse_unused(query: Query, terms: tuple[Expression, ...]) -> None:
    used = {variable.name for statement in query.statements for variable in free_in_statement(statement)}
    used.update(variable.name for term in terms for variable in free_variables(term))
    for statement in query.statements:
        if isinstance(statement.literal, SomeDeclaration):
            _refuse_unless_used(statement.literal.variables, used)


def _refuse_unless_used(variables: tuple[Variable, ...], used: set[str]) -> None:
    for variable in variables:
        if variable.name not in used and variable.name != WILDCARD:
            raise variable.at.refuse(f"the variable {variable.name} is declared and not used")


def _mentioned_before(statement: Statement) -> set[str]:
    """The names that a statement uses before it declares its own variables."""
    match statement.literal:
        case SomeIn(_, _, value) | Condition(_, Assignment(_, True, _, value), _):
            return {variable.name for variable in direct_variables(value)}
        case _:
            return set()


def _check_form(statement: Statement) -> None:
    match statement.literal:
        case Condition(at, Assignment(_, True, left, _), negated):
            if negated:
                raise at.refuse("a variable is declared below `not`, where it gets no value", "use == to compare")
            _check_target(left, constants=False)
        case SomeIn(_, patterns, _):
            for pattern in patterns:
                _check_target(pattern, constants=True)


def _check_target(pattern: Expression, *, constants: bool) -> None:
    match pattern:
        case Variable():
            pass
        case Scalar() if constants:
            pass
        case ArrayTerm(_, items):
            for item in items:
                _check_target(item, constants=constants)
        case ObjectTerm(_, fields):
            for key, value in fields:
                if not isinstance(key, Scalar):
                    raise key.at.refuse("a key in a pattern is not a constant")
                _check_target(value, constants=constants)
        case _:
            raise pattern.at.refuse("a value is assigned to something that is not a variable")


def _check_name(
    variable: Variable, statement: Statement, outer: frozenset[str], definitions: Definitions, *, is_body: bool
) -> None:
    name = variable.name
    if name in DOCUMENTS:
        raise variable.at.refuse(f"a variable must not have the name {name}")
    if is_body and name in outer:
        raise variable.at.refuse(f"the parameter {name} is declared a second time")
    # OPA lets `some` hide these; the engine does not, or takes the other one.
    if isinstance(statement.literal, SomeDeclaration | SomeIn) and (definitions.is_global(name) or name in outer):
        raise variable.at.refuse(f"the variable {name} has the name of something else that is known here")


def every_variables(every: Every) -> frozenset[str]:
    """The variables that an ``every`` gives to its query.

    Raises:
        PolicyError: one of them has the name of a document, both have the same, or one is not used.
    """
    _refuse_unless_used(every.variables, {variable.name for variable in free_in_query(every.query)})
    names = [variable.name for variable in every.variables if variable.name != WILDCARD]
    for variable in every.variables:
        if variable.name in DOCUMENTS or names.count(variable.name) > 1:
            raise variable.at.refuse(f"a variable of `every` must not have the name {variable.name}")
    return frozenset(names)
