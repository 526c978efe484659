"""All that a policy goes through before it may decide: its text, its syntax, the static check, the engine."""

import re
from dataclasses import dataclass

from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError
from verdictd.core.limits import MAX_POLICY_BYTES
from verdictd.policy.engine import Dialect, RegoEngine
from verdictd.policy.rego.hardening import harden_text, harden_tree
from verdictd.policy.rego.limits import MAX_NESTING
from verdictd.policy.rego.static_check import StaticReport, check_module
from verdictd.policy.rego.syntax import Module
from verdictd.policy.rego.syntax_reader import read_module

_BRACKETS = re.compile(r'"(?:[^"\\\n]|\\.)*+"?|`[^`]*+`?|#[^\n]*|[\[{(]|[\]})]')
"""Brackets, and what may hold brackets that are none: strings, raw strings and comments.

A string that does not end is one to the end of its line, a raw one to the end of the text: the engine reads no further
than to its beginning. Looking for its end again and again would take a day for a policy that is all quotation marks.
"""

_DEPTH = {"[": 1, "{": 1, "(": 1, "]": -1, "}": -1, ")": -1}

_PLACE = re.compile(r"line (\d+), column (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedPolicy:
    """A policy that passed every check.

    Attributes:
        text: what the engine evaluates: the policy, hardened.
        dialect: the language version that it is written in.
        report: what it defines and reads.
    """

    text: str
    dialect: Dialect
    report: StaticReport


def check_policy(policy: bytes, engine: RegoEngine) -> CheckedPolicy:
    """Check a policy.

    The dialect is the first of v1 and v0 in which it parses: v1 is the stricter, and where both read the text they
    mean the same by it.

    Args:
        policy: the policy's bytes, as uploaded.
        engine: what parses it.
    Raises:
        MalformedError: it is not UTF-8, or not Rego.
        PolicyError: the static check or the engine refuses it.
        UnsupportedError: its syntax tree is not understood.
        LimitExceededError: it is too large, or nests too deep.
        EngineFailedError: the engine panicked.
    """
    text = parse_policy_text(policy)
    dialect, tree = _parse(text, engine)
    module = read_module(tree)
    report = check_module(module)
    hardened = harden_text(text, module, report.captures)
    if hardened != text:
        _expect_tree(engine, hardened, dialect, harden_tree(module, report.captures))
    engine.prepare(hardened, dialect, "{}")
    return CheckedPolicy(text=hardened, dialect=dialect, report=report)


def _expect_tree(engine: RegoEngine, text: str, dialect: Dialect, expected: Module) -> None:
    try:
        found = read_module(engine.syntax_tree(text, dialect))
    except MalformedError:
        found = None
    if found != expected:
        raise UnsupportedError(
            "the policy has a `not` or an `every` that cannot be rewritten for this engine",
            remedy="move what is negated, or what it ranges over, into a rule of its own",
        )


def parse_policy_text(policy: bytes) -> str:
    """Decode a policy and bound what the engine's parser will have to do.

    Raises:
        LimitExceededError: longer than `MAX_POLICY_BYTES`, or brackets deeper than `MAX_NESTING`.
        MalformedError: not UTF-8, or it has a NUL or begins with a byte order mark.
    """
    if len(policy) > MAX_POLICY_BYTES:
        raise LimitExceededError(f"the policy is {len(policy)} bytes long, the limit is {MAX_POLICY_BYTES}")
    try:
        text = policy.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedError(f"the policy is not UTF-8: {error.reason} at byte {error.start}") from error
    if "\0" in text or text.startswith("\ufeff"):
        raise MalformedError("the policy has a NUL or a byte order mark", remedy="save it as plain UTF-8 text")
    _check_nesting(text)
    return text


def _check_nesting(text: str) -> None:
    depth = 0
    for match in _BRACKETS.finditer(text):
        depth += _DEPTH.get(match.group(), 0)
        if depth > MAX_NESTING:
            line = text.count("\n", 0, match.start()) + 1
            raise LimitExceededError(
                f"line {line}: the policy has brackets more than {MAX_NESTING} deep inside one another",
                remedy="split the expression into several rules",
            )


def _parse(text: str, engine: RegoEngine) -> tuple[Dialect, str]:
    errors: list[MalformedError] = []
    for dialect in (Dialect.V1, Dialect.V0):
        try:
            return dialect, engine.syntax_tree(text, dialect)
        except MalformedError as error:
            errors.insert(0, error)
    # Who wrote in the dialect that was read further wants to see that one's error; if it is neither, that of v0.
    raise max(errors, key=_reach)


def _reach(error: MalformedError) -> tuple[int, int]:
    place = _PLACE.search(error.message)
    return (int(place.group(1)), int(place.group(2))) if place else (0, 0)
