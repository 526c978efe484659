"""Tells what kind of rule a head defines. Heads that the engine reads in another way than OPA are refused."""

from dataclasses import dataclass

from verdictd.core.errors import UnsupportedError
from verdictd.policy.rego.syntax import Expression, Position, Reference, Rule, RuleBody, RuleKind, Scalar, Variable


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleParts:
    """The parts of a rule as the engine names them; `form` is ``Compr``, ``Set``, ``Func`` or ``Default``."""

    at: Position
    form: str
    head: Expression
    arguments: tuple[Expression, ...] = ()
    key: Expression | None = None
    value: Expression | None = None
    bodies: tuple[RuleBody, ...] = ()


def read_rule(parts: RuleParts) -> Rule:
    """Make a rule of its parts.

    Raises:
        PolicyError: a head of several parts, or a rule that has neither a body nor a value.
        UnsupportedError: a form that is not known here.
    """
    match parts.form:
        case "Func":
            return _make(parts, _name(parts), RuleKind.FUNCTION)
        case "Default":
            kind = RuleKind.FUNCTION if parts.arguments else RuleKind.VALUE
            return _make(parts, _name(parts), kind, is_default=True)
        case "Set":
            return _read_set(parts)
        case "Compr":
            return _read_value(parts)
        case _:
            raise UnsupportedError(f"the engine's syntax tree has a rule of the unknown form {parts.form!r}")


def _read_value(parts: RuleParts) -> Rule:
    if parts.value is None and not parts.bodies:
        raise parts.at.refuse(
            "a rule has neither a body nor a value",
            "write its body in braces on the same line; `if` is a keyword only after `import rego.v1`",
        )
    if isinstance(parts.head, Reference):
        return _make(parts, _name_of(parts.head.base, parts), RuleKind.OBJECT, key=parts.head.index)
    return _make(parts, _name(parts), RuleKind.VALUE)


def _read_set(parts: RuleParts) -> Rule:
    if parts.key is not None:
        return _make(parts, _name(parts), RuleKind.SET, key=parts.key)
    # Rego v0: `name.member { … }` is a set that has "member".
    if isinstance(parts.head, Reference) and isinstance(parts.head.index, Scalar):
        return _make(parts, _name_of(parts.head.base, parts), RuleKind.SET, key=parts.head.index)
    raise parts.at.refuse("a partial set has no member")


def _make(
    parts: RuleParts, name: str, kind: RuleKind, *, key: Expression | None = None, is_default: bool = False
) -> Rule:
    return Rule(
        at=parts.at,
        name=name,
        kind=kind,
        is_default=is_default,
        parameters=parts.arguments,
        key=key,
        value=parts.value,
        bodies=parts.bodies,
    )


def _name(parts: RuleParts) -> str:
    return _name_of(parts.head, parts)


def _name_of(head: Expression, parts: RuleParts) -> str:
    if not isinstance(head, Variable):
        raise parts.at.refuse(
            "the head of a rule has too many parts", "define name, name[key], name(parameters) or name contains member"
        )
    return head.name
