"""Decisions under what is in force, at any time and from any thread, while uploads replace it."""

import time
from collections.abc import Mapping

from verdictd.core.result import JSONValue
from verdictd.policy.active import ActivePairs, UnusablePair
from verdictd.policy.decision import Decision, Outcome
from verdictd.policy.pair import Document, PolicyPair
from verdictd.policy.runner import DEADLINE_S, PolicyRunner

_MAX_ROUNDS = 16


class DecisionService:
    """Decides about evidence.

    Every decision is made under one pair of policy and reference, whole: it takes the pair in force, evaluates, and
    looks whether the same is in force still. If it is not, it begins anew. So there is an instant, after the question
    and before the answer, at which the pair that decided was in force: the decision counts as made at that instant,
    the last look. In particular:

    - A decision that is asked for after an upload returned is made under what was uploaded, or something newer.
    - A decision that was under way when an upload put its values in force is made under these, or something newer,
      unless its last look was before.

    What is done with an answer takes time too. Whoever lets a peer in long after the decision asks `still_holds` first.
    """

    def __init__(self, pairs: ActivePairs, runner: PolicyRunner) -> None:
        """Make a service of what says which pairs are in force, a store that is open or a board, and what evaluates."""
        self._pairs = pairs
        self._runner = runner

    def decide(self, tee: str, given: Mapping[str, JSONValue]) -> Decision:
        """Decide about an input. Whatever goes wrong, the answer is a decision, which then denies and says why.

        Args:
            tee: the kind of evidence, one of those that have a pair.
            given: the input.
        Raises:
            KeyError: nothing judges such evidence.
            TypeError, ValueError: the input is not JSON; a mistake of the caller.
        """
        started = time.monotonic()
        for _ in range(_MAX_ROUNDS):
            pair = self._pairs.active(tee)
            if isinstance(pair, UnusablePair):
                decision = _deny_unusable(pair)
            else:
                decision = self._runner.evaluate(pair, given, asked_at=started)
            if _is_same(self._pairs.active(tee), pair):
                return decision
        return Decision(
            allow=False,
            outcome=Outcome.UNSETTLED,
            reason=f"policy or reference were replaced {_MAX_ROUNDS} times while one decision was made",
            duration_s=time.monotonic() - started,
        )

    def still_holds(self, tee: str, decision: Decision) -> bool:
        """Whether what is in force now is what a decision was made under.

        Raises:
            KeyError: nothing judges such evidence.
        """
        pair = self._pairs.active(tee)
        return (
            isinstance(pair, PolicyPair)
            and pair.policy.digest == decision.policy_digest
            and pair.reference.digest == decision.reference_digest
        )


def evaluate_once(
    policy: bytes, reference: bytes, given: Mapping[str, JSONValue], *, deadline_s: float = DEADLINE_S
) -> Decision:
    """Decide once, without a store or a daemon, in a worker of its own.

    For what comes from a person: ``verdict appraise --policy``, ``TestOpa``. A policy that runs away disturbs nobody.

    Args:
        policy: a policy; it is checked.
        reference: a reference; it is checked.
        given: the input.
        deadline_s: how long the decision may take.
    Raises:
        PolicyError, MalformedError, UnsupportedError, LimitExceededError: the policy or the reference must not be used.
        TransportError: there is no worker.
    """
    with PolicyRunner(workers=1, deadline_s=deadline_s) as runner:
        pair = runner.make_pair(Document.of("the policy", policy), Document.of("the reference", reference))
        return runner.evaluate(pair, given)


def _deny_unusable(pair: UnusablePair) -> Decision:
    return Decision(allow=False, outcome=Outcome.UNUSABLE, reason=f"{pair.reason}; {pair.remedy}")


def _is_same(now: PolicyPair | UnusablePair, then: PolicyPair | UnusablePair) -> bool:
    if isinstance(now, PolicyPair) and isinstance(then, PolicyPair):
        return now.key == then.key
    return now is then
