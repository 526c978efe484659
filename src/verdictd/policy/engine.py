"""The Rego engine, behind one small protocol. Only the worker process imports this module.

Why this engine, and what it was compared with: docs/adr/0002-rego-engine.md.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Protocol

import regorus

from verdictd.core.errors import MalformedError, PolicyError, VerdictdError
from verdictd.core.limits import MAX_POLICY_BYTES
from verdictd.policy.rego.limits import MAX_LINE_LENGTH, MAX_LINES

_FILE = "policy"
_QUERY = "data.policy"
_PLACE = re.compile(r"--> [^\n]*?:(\d+):(\d+)\n")
_MESSAGE = re.compile(r"^error: (.*)$", re.MULTILINE)
_VALUES = re.compile(r" \(path .*|, scopes .*")
_MAX_MESSAGE = 300


class Dialect(StrEnum):
    """The version of the language that a policy is written in."""

    V1 = "v1"
    V0 = "v0"


class EngineFailedError(Exception):
    """The engine panicked. What it holds cannot be relied on any more; the process must end."""


class PreparedPolicy(Protocol):
    """A policy with its reference, ready to decide."""

    def evaluate(self, input_text: str) -> str:
        """Evaluate all the rules of the policy.

        Args:
            input_text: the input as JSON.
        Returns:
            The engine's result as JSON: ``result[0].expressions[0].value`` is the object of the rules' values.
        Raises:
            PolicyError: the evaluation failed.
            EngineFailedError: the engine panicked.
        """


class RegoEngine(Protocol):
    """What is needed of an engine."""

    def syntax_tree(self, policy: str, dialect: Dialect) -> str:
        """Parse a policy and return its syntax tree as JSON.

        Raises:
            MalformedError: it does not parse; the message has line and column.
            EngineFailedError: the engine panicked.
        """

    def prepare(self, policy: str, dialect: Dialect, reference: str) -> PreparedPolicy:
        """Load a policy and a reference (a JSON object), and compile them.

        Raises:
            MalformedError: one of them does not parse.
            PolicyError: the engine refuses the policy.
            EngineFailedError: the engine panicked.
        """


class RegorusPolicy:
    """`PreparedPolicy` by regorus. Belongs to the thread that made it: used in another, the engine panics.

    Each decision is made by a clone of the prepared engine (2 µs), so that none leaves a trace in the next, not even
    one that failed half-way.
    """

    def __init__(self, engine: regorus.Engine) -> None:
        self._engine = engine

    def evaluate(self, input_text: str) -> str:
        """Evaluate; see `PreparedPolicy`."""
        with _mapped(PolicyError, "the policy cannot be evaluated"):
            engine = self._engine.clone()
            engine.set_input_json(input_text)
            return engine.eval_query_as_json(_QUERY)


class RegorusEngine:
    """`RegoEngine` by regorus."""

    def syntax_tree(self, policy: str, dialect: Dialect) -> str:
        """Parse; see `RegoEngine`."""
        with _mapped(MalformedError, "the policy is not Rego"):
            return _load(policy, dialect).get_ast_as_json()

    def prepare(self, policy: str, dialect: Dialect, reference: str) -> RegorusPolicy:
        """Load and compile; see `RegoEngine`."""
        with _mapped(MalformedError, "the policy is not Rego"):
            engine = _load(policy, dialect)
        with _mapped(MalformedError, "the reference cannot be loaded"):
            engine.add_data_json(reference)
        with _mapped(PolicyError, "the engine refuses the policy"):
            # Any query makes it analyse and compile every rule.
            engine.eval_query_as_json("true")
        return RegorusPolicy(engine)


def _load(policy: str, dialect: Dialect) -> regorus.Engine:
    engine = regorus.Engine()
    engine.set_policy_length_config(max_col=MAX_LINE_LENGTH, max_file_bytes=MAX_POLICY_BYTES, max_lines=MAX_LINES)
    engine.set_rego_v0(dialect is Dialect.V0)
    engine.add_policy(_FILE, policy)
    return engine


@contextmanager
def _mapped(error_type: type[VerdictdError], what: str) -> Iterator[None]:
    """Turn what the engine raises into our errors. A panic is a BaseException, which `except Exception` lets by."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except (RuntimeError, ValueError, TypeError) as error:
        raise error_type(f"{what}: {describe_engine_error(str(error))}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise EngineFailedError(f"{what}: the engine panicked: {str(error)[:_MAX_MESSAGE]}") from error


def describe_engine_error(text: str) -> str:
    """Make one sentence of the engine's message, which is several lines, perhaps with values and a stack trace."""
    text = text.partition("Stack backtrace:")[0].strip()
    place, message = _PLACE.search(f"{text}\n"), _MESSAGE.search(text)
    sentence = message.group(1) if message else text.splitlines()[0] if text else "no reason given"
    sentence = _VALUES.sub("", sentence)[:_MAX_MESSAGE]
    return f"line {place.group(1)}, column {place.group(2)}: {sentence}" if place else sentence
