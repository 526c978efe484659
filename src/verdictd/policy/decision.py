"""What a policy decided about an input, and why. Only the value ``true`` of ``allow`` lets a peer in."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from verdictd.core.result import JSONValue
from verdictd.policy.pair import PolicyPair
from verdictd.policy.rego.rules import DECISION

_MAX_SHOWN = 80


class Outcome(StrEnum):
    """What became of a decision. All but the first deny."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    """``allow`` is false."""
    UNDEFINED = "undefined"
    """``allow`` has no value."""
    NOT_TRUE = "not_true"
    """``allow`` has a value that is neither true nor false: a string, a set, a number …."""
    FAILED = "failed"
    """The evaluation ended with an error."""
    TIMEOUT = "timeout"
    """The evaluation took too long and was cut off."""
    CRASHED = "crashed"
    """The process that evaluated ended: it used too much memory, or somebody killed it."""
    BUSY = "busy"
    """No process became free in time."""
    UNUSABLE = "unusable"
    """There is no policy or no reference that could be used."""
    UNSETTLED = "unsettled"
    """The policy or the reference was replaced again and again meanwhile."""

    @property
    def is_decided(self) -> bool:
        """Whether the policy was evaluated to its end, so that it is the policy that decided."""
        return self in {Outcome.ALLOWED, Outcome.REFUSED, Outcome.UNDEFINED, Outcome.NOT_TRUE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A decision.

    Attributes:
        allow: whether the peer is let in.
        outcome: what became of the evaluation.
        reason: one sentence for the operator.
        value: the value of ``allow`` as JSON; ``None`` where it is undefined or there is none.
        parse_info: for each top-level member of the input, its value and that of the reference's member of the same
            name, or ``None``.
        policy_digest: SHA-256 of the policy in lower-case hex; empty where there is none.
        reference_digest: likewise of the reference.
        duration_s: seconds from the question to the answer.
    """

    allow: bool
    outcome: Outcome
    reason: str
    value: JSONValue = None
    parse_info: Mapping[str, tuple[JSONValue, JSONValue]] = field(default_factory=lambda: MappingProxyType({}))
    policy_digest: str = ""
    reference_digest: str = ""
    duration_s: float = 0.0

    def __post_init__(self) -> None:
        if self.allow is not (self.outcome is Outcome.ALLOWED):
            raise ValueError(f"a decision with the outcome {self.outcome} must not have allow={self.allow}")


def judge(
    outcome: Outcome,
    detail: str,
    value: JSONValue,
    pair: PolicyPair,
    given: Mapping[str, JSONValue],
    *,
    duration_s: float = 0.0,
) -> Decision:
    """Make a decision of what an evaluation gave.

    Args:
        outcome: what became of the evaluation.
        detail: for an evaluation that did not end, why; else empty.
        value: the value of ``allow``.
        pair: what was evaluated.
        given: the input.
        duration_s: seconds from the question to the answer.
    """
    return Decision(
        allow=outcome is Outcome.ALLOWED,
        outcome=outcome,
        reason=_explain(outcome, detail, value, pair, given),
        value=value,
        parse_info=MappingProxyType({name: (item, pair.values.get(name)) for name, item in given.items()}),
        policy_digest=pair.policy.digest,
        reference_digest=pair.reference.digest,
        duration_s=duration_s,
    )


def judge_value(*, is_defined: bool, value: JSONValue) -> Outcome:
    """Tell what a value of ``allow`` means. Nothing but `True` itself allows: not 1, not ``"true"``, not ``[true]``."""
    if not is_defined:
        return Outcome.UNDEFINED
    if value is True:
        return Outcome.ALLOWED
    return Outcome.REFUSED if value is False else Outcome.NOT_TRUE


def decision_json(decision: Decision) -> str:
    """Write a decision as verdictd always has: ``allow``, null where undefined, and ``parseInfo``.

    For an outcome that is not decided (`Outcome.is_decided`) there is no such answer; give the reason instead.
    """
    pairs = {name: list(both) for name, both in decision.parse_info.items()}
    return json.dumps({"allow": decision.value, "parseInfo": pairs}, ensure_ascii=False, allow_nan=False)


def _explain(outcome: Outcome, detail: str, value: JSONValue, pair: PolicyPair, given: Mapping[str, JSONValue]) -> str:
    names = f"{pair.policy.name} with {pair.reference.name}"
    match outcome:
        case Outcome.ALLOWED:
            return f"{names}: {DECISION} is true"
        case Outcome.REFUSED:
            sentence = f"{names}: {DECISION} is false, expected true"
        case Outcome.UNDEFINED:
            sentence = f"{names}: {DECISION} is undefined, expected true"
        case Outcome.NOT_TRUE:
            sentence = f"{names}: {DECISION} is {_shorten(value)}, expected true"
        case _:
            sentence = f"{names}: {detail}"
    hints = [
        f"the policy reads data.{name}, which the reference does not have" for name in pair.missing_members
    ] + _compare(given, pair.values)
    return "; ".join([sentence, *hints])


def _compare(given: Mapping[str, JSONValue], reference: Mapping[str, JSONValue]) -> list[str]:
    """Tell the values that the shipped policy would refuse: not in a list of the same name, or below its number."""
    differences = []
    for name, value in given.items():
        expected = reference.get(name)
        if isinstance(expected, list) and expected and value not in expected:
            differences.append(f"{name} {_shorten(value)} is not among the {len(expected)} of the reference")
        elif _is_below(value, expected):
            differences.append(f"{name} {_shorten(value)} is below the {_shorten(expected)} of the reference")
    return differences


def _is_below(value: JSONValue, expected: JSONValue) -> bool:
    if isinstance(value, bool) or isinstance(expected, bool):
        return False
    return isinstance(value, int | float) and isinstance(expected, int | float) and value < expected


def _shorten(value: JSONValue) -> str:
    text = json.dumps(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
