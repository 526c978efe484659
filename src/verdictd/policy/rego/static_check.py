"""The check that a policy passes before it may decide anything. It is stricter than the engine, and no laxer than OPA.

The engine meets many faults only when it evaluates the rule that has them, or never: a function that is not known, in
a rule that is not reached; ``http.send``, which it knows and leaves undefined, so that ``not http.send(…)`` holds; an
unsafe variable below ``not``. Here every rule is checked, reached or not, and what is not understood is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from verdictd.core.errors import PolicyError
from verdictd.policy.rego.builtins import REPEATABLE
from verdictd.policy.rego.names import NameChecker
from verdictd.policy.rego.patterns import check_head_of_several, check_index_patterns, check_statement_patterns
from verdictd.policy.rego.rules import Definitions, collect_definitions, parameter_variables
from verdictd.policy.rego.safety import find_unsafe, statement_flow, term_flow
from verdictd.policy.rego.scopes import Scope, every_variables, open_scope
from verdictd.policy.rego.syntax import (
    WILDCARD,
    Call,
    Comprehension,
    Condition,
    Every,
    Expression,
    Module,
    Position,
    Query,
    Rule,
    Statement,
)
from verdictd.policy.rego.syntax_reader import read_module
from verdictd.policy.rego.variables import (
    free_in_query,
    free_in_statement,
    free_variables,
    statement_expressions,
    walk,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticReport:
    """What the check found out about a policy that passed it.

    Attributes:
        rules: the names that the policy defines, sorted.
        members_read: the top-level members of the reference (``data.<name>``) that it reads, sorted.
        functions_called: the built-in functions that it calls, sorted.
        captures: for each ``every``, by the byte at which it begins, the variables around it that its body uses.
    """

    rules: tuple[str, ...]
    members_read: tuple[str, ...]
    functions_called: tuple[str, ...]
    captures: Mapping[int, tuple[str, ...]]

    @property
    def is_repeatable(self) -> bool:
        """Whether the policy calls only what is known to compute its result of its arguments alone."""
        return REPEATABLE.keys() >= set(self.functions_called)


def check_policy_tree(tree: str) -> StaticReport:
    """Check a policy by the syntax tree that the engine made of it.

    Args:
        tree: the tree as the engine prints it, of this one policy.
    Returns:
        What the policy defines and reads.
    Raises:
        PolicyError: the policy must not be used; the message says where and why.
        UnsupportedError: the tree has a node that is not known here.
        LimitExceededError: the tree is too deep.
    """
    return check_module(read_module(tree))


def check_module(module: Module) -> StaticReport:
    """Check a policy that was read. Errors are those of `check_policy_tree`."""
    definitions = collect_definitions(module)
    members: set[str] = set()
    functions: set[str] = set()
    used: dict[str, Mapping[str, Position]] = {}
    captures: dict[int, tuple[str, ...]] = {}
    for name, group in definitions.rules.items():
        names = NameChecker(definitions)
        for rule in group.definitions:
            _RuleChecker(definitions, names, captures).check(rule)
        members |= names.members_read
        functions |= names.functions_called
        used[name] = names.rules_used
    _refuse_recursion(used)
    return StaticReport(
        rules=tuple(sorted(definitions.rules)),
        members_read=tuple(sorted(members)),
        functions_called=tuple(sorted(functions)),
        captures=captures,
    )


class _RuleChecker:
    """Checks one rule: each of its queries, and the queries inside them."""

    def __init__(self, definitions: Definitions, names: NameChecker, captures: dict[int, tuple[str, ...]]) -> None:
        self._definitions = definitions
        self._names = names
        self._captures = captures

    def check(self, rule: Rule) -> None:
        parameters = frozenset(variable.name for variable in parameter_variables(rule)) - {WILDCARD}
        head = tuple(term for term in (rule.key, rule.value) if term is not None)
        if not rule.bodies:
            self._check_query(Query(rule.at, ()), head, parameters, is_body=True)
        if len(rule.bodies) > 1:
            check_head_of_several(rule, self._definitions.is_global)
        for body in rule.bodies:
            terms = head if body.value is None else (body.value,)
            self._check_query(body.query, terms, parameters, is_body=True)

    def _check_query(
        self,
        query: Query,
        terms: tuple[Expression, ...],
        outer: frozenset[str],
        *,
        is_body: bool = False,
    ) -> None:
        """Check a query and what its rule or comprehension gives out.

        Args:
            query: the query.
            terms: what is given out.
            outer: the variables around it.
            is_body: whether it is the body of a rule.
        """
        scope = open_scope(query, terms, outer, self._definitions, is_body=is_body)
        flows = []
        for statement in query.statements:
            has_output = self._check_names(statement, scope)
            check_statement_patterns(statement, has_output=has_output)
            flows.append(statement_flow(statement, has_output=has_output))
        for term in terms:
            self._names.check(term, scope.is_variable)
            check_index_patterns(term)
            flows.append(term_flow(term))
        unsafe = find_unsafe(flows, scope.own)
        if unsafe:
            raise _refuse_unsafe(unsafe, query, terms)
        self._check_closures(query, terms, scope.visible)

    def _check_names(self, statement: Statement, scope: Scope) -> bool:
        """Check the names of a statement; return whether it is a call whose last argument is its output."""
        literal = statement.literal
        has_output = False
        for expression in statement_expressions(Statement(statement.at, literal, ())):
            if isinstance(literal, Condition):
                has_output = self._names.has_output(expression, scope.is_variable)
            is_value = not isinstance(literal, Condition)
            for part in expression.arguments if isinstance(expression, Call) and has_output else (expression,):
                self._names.check(part, scope.is_variable, is_value=is_value or has_output)
        for override in statement.overrides:
            self._names.check_override(override, scope.is_variable)
        return has_output

    def _check_closures(self, query: Query, terms: tuple[Expression, ...], visible: frozenset[str]) -> None:
        for statement in query.statements:
            if isinstance(statement.literal, Every):
                loop = statement.literal
                inner = every_variables(loop)
                used = {variable.name for variable in free_in_query(loop.query)}
                self._captures[loop.at.start] = tuple(sorted((used & visible) - inner))
                self._check_query(loop.query, (), visible | inner)
        expressions = [part for statement in query.statements for part in statement_expressions(statement)]
        for expression in (*expressions, *terms):
            for part in walk(expression):
                if isinstance(part, Comprehension):
                    self._check_query(part.query, part.terms, visible)


def _refuse_unsafe(unsafe: frozenset[str], query: Query, terms: tuple[Expression, ...]) -> PolicyError:
    mentioned = [variable for statement in query.statements for variable in free_in_statement(statement)]
    mentioned += [variable for term in terms for variable in free_variables(term)]
    first = min((variable for variable in mentioned if variable.name in unsafe), key=lambda variable: variable.at)
    if first.name == WILDCARD:
        return first.at.refuse(
            "the wildcard _ gets no value here",
            "below `not`, move what has it into a rule or a comprehension of its own",
        )
    return first.at.refuse(
        f"the variable {first.name} is unsafe: nothing gives it a value",
        "if a rule, an import or a function is meant, look at its spelling; "
        "a statement below `not` gives no values, so give it one before",
    )


def _refuse_recursion(used: Mapping[str, Mapping[str, Position]]) -> None:
    try:
        TopologicalSorter(used).prepare()
    except CycleError as error:
        # The cycle is told from what is used to what uses it.
        cycle = list(reversed(error.args[1]))
        raise used[cycle[0]][cycle[1]].refuse(f"the rule {cycle[0]} depends on itself: {' -> '.join(cycle)}") from None
