"""Which variables an expression mentions, which of them it gives a value to, and which it needs to have one.

A comprehension and an ``every`` are closures: queries of their own inside a statement. What they declare stays inside.
"""

from collections.abc import Iterator

from verdictd.policy.rego.syntax import (
    ArrayTerm,
    Assignment,
    Call,
    Comprehension,
    Condition,
    Every,
    Expression,
    Literal,
    ObjectTerm,
    Operation,
    Query,
    Reference,
    SetTerm,
    SomeDeclaration,
    SomeIn,
    Statement,
    Variable,
)


def children(expression: Expression) -> tuple[Expression, ...]:
    """The direct parts of an expression; not what is inside a closure, nor the name of a called function."""
    match expression:
        case ArrayTerm(_, items) | SetTerm(_, items) | Operation(_, _, items) | Call(_, _, items):
            return items
        case ObjectTerm(_, fields):
            return tuple(part for field in fields for part in field)
        case Reference(_, base, index):
            return base, index
        case Assignment(_, _, left, right):
            return left, right
        case _:
            return ()


def walk(expression: Expression) -> Iterator[Expression]:
    """An expression and all its parts, from the left; closures are entered no further than to themselves."""
    yield expression
    for part in children(expression):
        yield from walk(part)


def comprehensions(statement: Statement) -> Iterator[Comprehension]:
    """The comprehensions of a statement that are not inside another closure."""
    for expression in statement_expressions(statement):
        yield from (part for part in walk(expression) if isinstance(part, Comprehension))


def statement_expressions(statement: Statement) -> Iterator[Expression]:
    """The expressions of a statement, those of its overrides included, but not the query of an ``every``."""
    match statement.literal:
        case SomeIn(_, patterns, collection):
            yield from patterns
            yield collection
        case Every(_, _, domain, _):
            yield domain
        case Condition(_, expression, _):
            yield expression
    for override in statement.overrides:
        yield override.value


def direct_variables(expression: Expression) -> Iterator[Variable]:
    """The bare names in an expression outside closures, wildcards included."""
    return (part for part in walk(expression) if isinstance(part, Variable))


def free_variables(expression: Expression) -> Iterator[Variable]:
    """The bare names in an expression that may belong to the query around it."""
    for part in walk(expression):
        if isinstance(part, Variable):
            yield part
        elif isinstance(part, Comprehension):
            yield from free_in_query(part.query, part.terms)


def free_in_query(query: Query, terms: tuple[Expression, ...] = ()) -> Iterator[Variable]:
    """The bare names in a query, and in what it collects, that the query does not declare itself."""
    declared = {variable.name for statement in query.statements for variable in declared_variables(statement.literal)}
    declared.add("_")
    for statement in query.statements:
        yield from (variable for variable in free_in_statement(statement) if variable.name not in declared)
    for term in terms:
        yield from (variable for variable in free_variables(term) if variable.name not in declared)


def free_in_statement(statement: Statement) -> Iterator[Variable]:
    """The bare names in a statement that may belong to the query around it."""
    for expression in statement_expressions(statement):
        yield from free_variables(expression)
    if isinstance(statement.literal, Every):
        inner = {variable.name for variable in statement.literal.variables}
        yield from (free for free in free_in_query(statement.literal.query) if free.name not in inner)


def declared_variables(literal: Literal) -> Iterator[Variable]:
    """The variables that a statement declares for its query, from the left."""
    match literal:
        case SomeDeclaration(_, variables):
            yield from variables
        case SomeIn(_, patterns, _):
            for pattern in patterns:
                yield from pattern_variables(pattern)
        case Condition(_, Assignment(_, True, left, _)):
            yield from pattern_variables(left)


def pattern_variables(pattern: Expression) -> Iterator[Variable]:
    """The variables that a pattern gives a value to when it is matched with a value."""
    match pattern:
        case Variable():
            yield pattern
        case ArrayTerm(_, items):
            for item in items:
                yield from pattern_variables(item)
        case ObjectTerm(_, fields):
            for _, value in fields:
                yield from pattern_variables(value)


def pattern_needs(pattern: Expression) -> Iterator[Variable]:
    """The variables of a pattern that must have a value before it can be matched."""
    match pattern:
        case Variable():
            return
        case ArrayTerm(_, items):
            for item in items:
                yield from pattern_needs(item)
        case ObjectTerm(_, fields):
            for key, value in fields:
                yield from needed_variables(key)
                yield from pattern_needs(value)
        case _:
            yield from needed_variables(pattern)


def split_reference(expression: Reference) -> tuple[Expression, tuple[Expression, ...]]:
    """Take a reference apart: what it starts from, and the indices in their order."""
    indices: list[Expression] = []
    root: Expression = expression
    while isinstance(root, Reference):
        indices.append(root.index)
        root = root.base
    return root, tuple(reversed(indices))


def needed_variables(expression: Expression) -> Iterator[Variable]:
    """The variables that must have a value before an expression has one.

    A variable that is an index of a reference is not among them: the reference gives it one, key after key.
    """
    match expression:
        case Variable():
            yield expression
        case Reference():
            root, indices = split_reference(expression)
            yield from needed_variables(root)
            for index in indices:
                yield from pattern_needs(index)
        case Comprehension(_, terms, query):
            yield from free_in_query(query, terms)
        case _:
            for part in children(expression):
                yield from needed_variables(part)


def references(expression: Expression) -> Iterator[Reference]:
    """The references in an expression outside closures, each with all its indices."""
    if isinstance(expression, Reference):
        yield expression
        root, indices = split_reference(expression)
        for part in (root, *indices):
            yield from references(part)
    else:
        for part in children(expression):
            yield from references(part)
