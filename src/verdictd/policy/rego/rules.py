"""What a module defines: its rules by name and its imports, with the contradictions that OPA refuses as well."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from verdictd.core.errors import PolicyError
from verdictd.policy.rego.patterns import refuse_object_pattern
from verdictd.policy.rego.syntax import (
    WILDCARD,
    ArrayTerm,
    Expression,
    Import,
    Module,
    ObjectTerm,
    Operation,
    Rule,
    RuleKind,
    Scalar,
    SetTerm,
    Variable,
)

PACKAGE = "policy"
DECISION = "allow"
DOCUMENTS = frozenset({"input", "data"})
"""The two documents that a policy reads: the evidence, and the reference together with the policy's own rules."""

_KEYWORDS = frozenset({"if", "in", "every"})


@dataclass(frozen=True, slots=True)
class RuleGroup:
    """All the definitions of one name."""

    kind: RuleKind
    arity: int
    definitions: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Definitions:
    """What bare names of a module stand for, beside variables."""

    rules: Mapping[str, RuleGroup]
    imports: Mapping[str, tuple[str, ...]]
    """The path that each alias stands for; it begins with ``data`` or ``input``."""

    def is_global(self, name: str) -> bool:
        """Whether a bare name stands for a rule, an import or a document unless a variable hides it."""
        return name in self.rules or name in self.imports or name in DOCUMENTS


def collect_definitions(module: Module) -> Definitions:
    """Collect the rules and imports of a module.

    Raises:
        PolicyError: another package, no rule ``allow``, a name defined in two ways, or one that hides a document.
    """
    if module.package != (PACKAGE,):
        raise module.at.refuse(
            f"the policy is of package {'.'.join(module.package)}", f"begin it with: package {PACKAGE}"
        )
    by_name: dict[str, list[Rule]] = {}
    for rule in module.rules:
        by_name.setdefault(rule.name, []).append(rule)
    rules = {name: _group(definitions) for name, definitions in by_name.items()}
    if DECISION not in rules:
        raise PolicyError(
            f"the policy has no rule {DECISION}", remedy=f"define {DECISION}: only its value true lets a peer in"
        )
    if rules[DECISION].kind is not RuleKind.VALUE:
        raise (
            rules[DECISION]
            .definitions[0]
            .at.refuse(
                f"the rule {DECISION} is {rules[DECISION].kind}, expected {RuleKind.VALUE}: only true lets a peer in"
            )
        )
    return Definitions(MappingProxyType(rules), MappingProxyType(_collect_imports(module.imports, rules)))


def _group(definitions: list[Rule]) -> RuleGroup:
    first = definitions[0]
    if first.name in DOCUMENTS or first.name in _KEYWORDS or first.name == WILDCARD:
        raise first.at.refuse(f"a rule must not have the name {first.name}")
    group = RuleGroup(first.kind, len(first.parameters), tuple(definitions))
    defaults = 0
    for rule in definitions:
        if rule.kind is not group.kind:
            raise rule.at.refuse(f"{rule.name} is {rule.kind} here and {group.kind} above")
        if len(rule.parameters) != group.arity:
            raise rule.at.refuse(
                f"the function {rule.name} has {len(rule.parameters)} parameters here and {group.arity} above"
            )
        if rule.is_default:
            defaults += 1
            _check_default(rule)
        _check_parameters(rule)
    if defaults > 1:
        raise definitions[-1].at.refuse(f"{first.name} has {defaults} defaults, expected at most one")
    return group


def _check_default(rule: Rule) -> None:
    if rule.value is None or not _is_constant(rule.value):
        raise rule.at.refuse(f"the default of {rule.name} is not a constant")


def _is_constant(expression: Expression) -> bool:
    match expression:
        case Scalar():
            return True
        case ArrayTerm(_, items) | SetTerm(_, items) | Operation(_, _, items):
            return all(map(_is_constant, items))
        case ObjectTerm(_, fields):
            return all(_is_constant(key) and _is_constant(value) for key, value in fields)
        case _:
            return False


def _check_parameters(rule: Rule) -> None:
    names = [variable.name for variable in parameter_variables(rule)]
    for name in names:
        if name in DOCUMENTS:
            raise rule.at.refuse(f"a parameter of {rule.name} must not have the name {name}")
        if name != WILDCARD and names.count(name) > 1:
            raise rule.at.refuse(f"{rule.name} has two parameters {name}")


def parameter_variables(rule: Rule) -> list[Variable]:
    """The variables that the parameters of a function give a value to, wildcards included.

    Raises:
        PolicyError: a parameter that is neither a variable, nor a constant, nor made of these.
    """
    variables: list[Variable] = []
    pending = list(rule.parameters)
    while pending:
        match pending.pop():
            case Variable() as variable:
                variables.append(variable)
            case ArrayTerm(_, items):
                pending.extend(items)
            case ObjectTerm() as item:
                raise refuse_object_pattern(item)
            case constant if _is_constant(constant):
                pass
            case other:
                raise other.at.refuse(f"a parameter of {rule.name} is not a pattern of variables and constants")
    return variables


def _collect_imports(imports: tuple[Import, ...], rules: Mapping[str, RuleGroup]) -> dict[str, tuple[str, ...]]:
    aliases: dict[str, tuple[str, ...]] = {}
    for item in _document_imports(imports):
        if item.path in {("data",), ("data", PACKAGE)}:
            raise item.at.refuse(f"import of {'.'.join(item.path)}, which holds the policy's own rules")
        if item.alias in aliases or item.alias in rules or (item.alias in DOCUMENTS and item.path != (item.alias,)):
            raise item.at.refuse(f"the import {item.alias} has a name that something else has")
        aliases[item.alias] = item.path
    return aliases


def _document_imports(imports: tuple[Import, ...]) -> Iterator[Import]:
    """The imports that name a part of a document; those that turn on keywords are checked and left out."""
    for item in imports:
        if item.path[0] in DOCUMENTS:
            yield item
        elif item.path != ("rego", "v1") and item.path[:2] != ("future", "keywords"):
            raise item.at.refuse(f"import of {'.'.join(item.path)}", "import from data, input, or rego.v1")
