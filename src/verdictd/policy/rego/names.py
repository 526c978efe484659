"""What names refer to: every reference leads somewhere, every function is known, allowed and called as it should be.

A reference that could reach all of ``data`` is refused, because the policy's own rules are below ``data.policy``: it
would depend on itself.
"""

from collections.abc import Callable

from verdictd.policy.rego.builtins import ALLOWED, INSTEAD, REFUSED
from verdictd.policy.rego.rules import PACKAGE, Definitions
from verdictd.policy.rego.syntax import (
    Call,
    Comprehension,
    Expression,
    Operation,
    Override,
    Position,
    Reference,
    RuleKind,
    Scalar,
    Variable,
)
from verdictd.policy.rego.variables import children, split_reference, walk

IsVariable = Callable[[str], bool]


class NameChecker:
    """Checks the names in one rule and notes what it uses: rules, members of the reference, built-in functions."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self.rules_used: dict[str, Position] = {}
        self.members_read: set[str] = set()
        self.functions_called: set[str] = set()

    def check(self, expression: Expression, is_variable: IsVariable, *, is_value: bool = True) -> None:
        """Check an expression, except what is inside its closures.

        Args:
            expression: what to check.
            is_variable: whether a bare name is a variable here, hiding a rule or an import of that name.
            is_value: whether its value is used; otherwise it is a statement, which holds or does not.
        Raises:
            PolicyError: something is referred to or called that is not there or must not be used.
        """
        match expression:
            case Variable(at, name):
                if not is_variable(name):
                    self._refer(at, name, ())
            case Reference(at):
                root, indices = split_reference(expression)
                if isinstance(root, Variable) and not is_variable(root.name):
                    self._refer(at, root.name, indices)
                else:
                    self.check(root, is_variable)
                for index in indices:
                    self.check(index, is_variable)
            case Comprehension():
                pass
            case Operation(at, "in", _) if is_value:
                # In OPA it is undefined where an operand is; in this engine it is false.
                raise at.refuse("`in` is used as a value", "make it a statement of its own")
            case _:
                if isinstance(expression, Call) and len(expression.arguments) != self.arity(expression, is_variable):
                    raise self._wrong_number(expression, is_variable)
                for part in children(expression):
                    self.check(part, is_variable)

    def has_output(self, expression: Expression, is_variable: IsVariable) -> bool:
        """Whether this is a call with one argument more than parameters, which its result is matched with.

        Rego allows that where a call stands alone as a statement: ``walk(input, [path, value])``.
        """
        return isinstance(expression, Call) and len(expression.arguments) == self.arity(expression, is_variable) + 1

    def arity(self, call: Call, is_variable: IsVariable) -> int:
        """How many arguments the function that is called takes.

        Raises:
            PolicyError: there is no such function, or it must not be used.
        """
        path = self._function_path(call, is_variable)
        is_rule = len(path) == 1 or (path[:2] == ("data", PACKAGE) and len(path) == 3)
        if is_rule and path[-1] in self._definitions.rules:
            group = self._definitions.rules[path[-1]]
            if group.kind is not RuleKind.FUNCTION:
                raise call.at.refuse(f"{path[-1]} is {group.kind} and not a function")
            self.rules_used.setdefault(path[-1], call.at)
            return group.arity
        name = ".".join(path)
        if name in ALLOWED and path[0] not in self._definitions.rules:
            self.functions_called.add(name)
            return ALLOWED[name]
        if name in REFUSED:
            raise call.at.refuse(f"the function {name} must not be used: {REFUSED[name]}")
        raise call.at.refuse(
            f"the function {name} is not known", INSTEAD.get(name, "see docs/policies.md for those that are")
        )

    def check_override(self, override: Override, is_variable: IsVariable) -> None:
        """Check what ``with`` replaces: a part of a document, never a rule or a function.

        Raises:
            PolicyError: it replaces something else.
        """
        target = override.target
        root, indices = split_reference(target) if isinstance(target, Reference) else (target, ())
        replaces_input = isinstance(root, Variable) and root.name == "input"
        replaces_member = (
            isinstance(root, Variable)
            and root.name == "data"
            and len(indices) > 0
            and isinstance(indices[0], Scalar)
            and indices[0].value != PACKAGE
        )
        if not replaces_input and not replaces_member:
            raise override.at.refuse("`with` may replace input, data.member or a part of them, and nothing else")
        for part in walk(override.value):
            # The engine evaluates some of it only after the replacement.
            if isinstance(part, Call | Comprehension | Operation) or self._is_rule(part, is_variable):
                raise part.at.refuse(
                    "the value of a `with` is computed here", "give the value to a variable before, and name that"
                )
        self.check(override.value, is_variable)

    def _is_rule(self, expression: Expression, is_variable: IsVariable) -> bool:
        root, indices = split_reference(expression) if isinstance(expression, Reference) else (expression, ())
        if not isinstance(root, Variable) or is_variable(root.name):
            return False
        path = (*self._definitions.imports.get(root.name, (root.name,)), _constant(indices, 0))
        return root.name in self._definitions.rules or path[:2] == ("data", PACKAGE)

    def _function_path(self, call: Call, is_variable: IsVariable) -> tuple[str, ...]:
        function = call.function
        root, indices = split_reference(function) if isinstance(function, Reference) else (function, ())
        names = [index.value for index in indices if isinstance(index, Scalar) and isinstance(index.value, str)]
        if not isinstance(root, Variable) or len(names) != len(indices):
            raise call.at.refuse("what is called here is not a function")
        if is_variable(root.name):
            raise call.at.refuse(f"{root.name} is a variable and not a function")
        return (*self._definitions.imports.get(root.name, (root.name,)), *names)

    def _wrong_number(self, call: Call, is_variable: IsVariable) -> Exception:
        expected, found = self.arity(call, is_variable), len(call.arguments)
        name = ".".join(self._function_path(call, is_variable))
        return call.at.refuse(f"the function {name} is called with {found} arguments, expected {expected}")

    def _refer(self, at: Position, name: str, indices: tuple[Expression, ...]) -> None:
        if name in self._definitions.rules:
            self._refer_to_rule(at, name)
        elif name in self._definitions.imports:
            root, *path = self._definitions.imports[name]
            self._refer_to_document(at, root, (*(Scalar(at, part) for part in path), *indices))
        else:
            self._refer_to_document(at, name, indices)

    def _refer_to_rule(self, at: Position, name: str) -> None:
        if self._definitions.rules[name].kind is RuleKind.FUNCTION:
            raise at.refuse(f"the function {name} is referred to and not called")
        self.rules_used.setdefault(name, at)

    def _refer_to_document(self, at: Position, name: str, indices: tuple[Expression, ...]) -> None:
        if name != "data":
            return
        member = _constant(indices, 0)
        if member is None:
            raise at.refuse(
                "data is referred to as a whole, and it holds the policy's own rules", "refer to data.member"
            )
        if member != PACKAGE:
            self.members_read.add(member)
            return
        rule = _constant(indices, 1)
        if rule is None:
            raise at.refuse(f"data.{PACKAGE} is referred to as a whole, and it holds the rule that refers to it")
        if rule not in self._definitions.rules:
            raise at.refuse(f"there is no rule {rule}, which data.{PACKAGE}.{rule} refers to")
        self._refer_to_rule(at, rule)


def _constant(indices: tuple[Expression, ...], place: int) -> str | None:
    index = indices[place] if place < len(indices) else None
    return index.value if isinstance(index, Scalar) and isinstance(index.value, str) else None
