"""The syntax of a Rego module as values. They hold what was written, not what it means.

Values are equal where the same is written, wherever it stands.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from verdictd.core.errors import PolicyError

WILDCARD = "_"
"""A variable of this name is another one at each place."""


class Position(NamedTuple):
    """Where something stands in a policy: line and column, from 1, and its first byte and the one after its last."""

    line: int
    column: int
    start: int
    end: int

    def refuse(self, message: str, remedy: str = "") -> PolicyError:
        """Make the error that refuses a policy for what stands here."""
        return PolicyError(f"line {self.line}, column {self.column}: {message}", remedy=remedy)


@dataclass(frozen=True, slots=True)
class Scalar:
    """A string, number, boolean or null."""

    at: Position = field(compare=False)
    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Variable:
    """A bare name: a variable, a rule, an import, ``input`` or ``data``."""

    at: Position = field(compare=False)
    name: str


@dataclass(frozen=True, slots=True)
class ArrayTerm:
    """``[a, b]``."""

    at: Position = field(compare=False)
    items: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class SetTerm:
    """``{a, b}`` or ``set()``."""

    at: Position = field(compare=False)
    items: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class ObjectTerm:
    """``{k: v}``."""

    at: Position = field(compare=False)
    fields: tuple[tuple["Expression", "Expression"], ...]


@dataclass(frozen=True, slots=True)
class Comprehension:
    """``[t | query]``, ``{t | query}`` or ``{k: v | query}``; `terms` is what it collects."""

    at: Position = field(compare=False)
    terms: tuple["Expression", ...]
    query: "Query"


@dataclass(frozen=True, slots=True)
class Call:
    """``function(arguments)``."""

    at: Position = field(compare=False)
    function: "Expression"
    arguments: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """``base[index]``; ``base.name`` is the same with a string."""

    at: Position = field(compare=False)
    base: "Expression"
    index: "Expression"


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator that computes a value and gives none to a variable, by the engine's name: ``Eq``, ``Add``, ``in``."""

    at: Position = field(compare=False)
    operator: str
    operands: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Assignment:
    """``left = right`` or, where it `declares`, ``left := right``."""

    at: Position = field(compare=False)
    declares: bool
    left: "Expression"
    right: "Expression"


Expression: TypeAlias = (
    Scalar | Variable | ArrayTerm | SetTerm | ObjectTerm | Comprehension | Call | Reference | Operation | Assignment
)


@dataclass(frozen=True, slots=True)
class SomeDeclaration:
    """``some x, y``."""

    at: Position = field(compare=False)
    variables: tuple[Variable, ...]


@dataclass(frozen=True, slots=True)
class SomeIn:
    """``some key, value in collection``; `patterns` is the key, where there is one, and the value."""

    at: Position = field(compare=False)
    patterns: tuple[Expression, ...]
    collection: Expression


@dataclass(frozen=True, slots=True)
class Every:
    """``every key, value in domain { query }``."""

    at: Position = field(compare=False)
    variables: tuple[Variable, ...]
    domain: Expression
    query: "Query"


@dataclass(frozen=True, slots=True)
class Condition:
    """An expression that must hold, or, where it is `negated`, must not."""

    at: Position = field(compare=False)
    expression: Expression
    negated: bool


Literal: TypeAlias = SomeDeclaration | SomeIn | Every | Condition


@dataclass(frozen=True, slots=True)
class Override:
    """``with target as value``."""

    at: Position = field(compare=False)
    target: Expression
    value: Expression


@dataclass(frozen=True, slots=True)
class Statement:
    """One line of a query."""

    at: Position = field(compare=False)
    literal: Literal
    overrides: tuple[Override, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """Statements that must all hold."""

    at: Position = field(compare=False)
    statements: tuple[Statement, ...]


class RuleKind(StrEnum):
    """What a rule defines, in words for a message."""

    VALUE = "a value"
    FUNCTION = "a function"
    SET = "a partial set"
    OBJECT = "a partial object"


@dataclass(frozen=True, slots=True)
class RuleBody:
    """A body, and the value that an ``else`` gives where it is one."""

    query: Query
    value: Expression | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One definition of a name. A name may have several."""

    at: Position = field(compare=False)
    name: str
    kind: RuleKind
    is_default: bool = False
    parameters: tuple[Expression, ...] = ()
    key: Expression | None = None
    value: Expression | None = None
    bodies: tuple[RuleBody, ...] = ()


@dataclass(frozen=True, slots=True)
class Import:
    """``import path as alias``; `path` is its names, the first of them ``data``, ``input``, ``rego`` or ``future``."""

    at: Position = field(compare=False)
    path: tuple[str, ...]
    alias: str


@dataclass(frozen=True, slots=True)
class Module:
    """A whole policy."""

    at: Position = field(compare=False)
    package: tuple[str, ...]
    imports: tuple[Import, ...]
    rules: tuple[Rule, ...]
