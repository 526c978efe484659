"""A policy is tried on what was archived: exactly those change that would, each with its reason."""

import json
from functools import partial

import pytest

from tests.unit.archive.peers import ACCEPTED, OPEN, SCENARIOS, judge, make_pair
from verdictd.archive.builder import build_entry
from verdictd.archive.material import Role
from verdictd.archive.reader import Bundle
from verdictd.archive.trial import NEEDED_ROLES, Trial, TrialCounts, count_trials, try_bundles
from verdictd.core.errors import MalformedError
from verdictd.core.result import JSONValue
from verdictd.policy.decision import Decision
from verdictd.policy.runner import PolicyRunner

NAMES = list(SCENARIOS)


@pytest.fixture(scope="module")
def bundles(runner: PolicyRunner) -> list[Bundle]:
    made = []
    for number, name in enumerate(NAMES, 1):
        built = build_entry(judge(runner, name, number))
        made.append(
            Bundle(built.entry, {role: blob.content for role, blob in built.blobs.items() if role in NEEDED_ROLES})
        )
    return made


def trials(runner: PolicyRunner, bundles: list[Bundle], reference: dict[str, object]) -> dict[str, Trial]:
    pair = make_pair(runner, reference)
    made = try_bundles(bundles, partial(runner.evaluate, pair), is_open_reference=pair.admits_any_enclave)
    return {NAMES[trial.entry.number - 1]: trial for trial in made}


def ours(bundles: list[Bundle]) -> dict[str, object]:
    """Reference values that name the signer of the simulated enclaves."""
    given = json.loads(bundles[NAMES.index("accepted")].blobs[Role.POLICY_INPUT])
    return OPEN | {"mrSigner": [given["mrSigner"]]}


def test_the_policy_of_then_changes_only_those_that_another_judged(runner: PolicyRunner, bundles: list[Bundle]) -> None:
    made = trials(runner, bundles, ours(bundles))
    changed = {name for name, trial in made.items() if trial.changes}
    assert changed == {"refused by the policy", "the shipped reference", "no usable policy"}
    assert all(made[name].would_allow for name in changed)
    assert count_trials(made.values()) == TrialCounts(
        stay_accepted=len(ACCEPTED),
        stay_refused=len(NAMES) - len(ACCEPTED) - 3,
        unjudged=8,
        newly_refused=0,
        newly_accepted=3,
    )


def test_a_stricter_policy_refuses_those_that_it_judges(runner: PolicyRunner, bundles: list[Bundle]) -> None:
    made = trials(runner, bundles, ours(bundles) | {"svn": 9})
    changed = {name for name, trial in made.items() if trial.changes}
    assert changed == {"accepted", "accepted with claims", "any enclave"}
    assert "svn" in made["accepted"].reason
    assert not made["not judged"].changes
    counts = count_trials(made.values())
    assert (counts.newly_refused, counts.newly_accepted, counts.changes) == (3, 0, 3)


def test_what_something_else_refuses_stays_refused_and_says_by_what(
    runner: PolicyRunner, bundles: list[Bundle]
) -> None:
    trial = trials(runner, bundles, ours(bundles))["a debug enclave"]
    assert (trial.would_allow, trial.changes, trial.is_policys_own) == (False, False, False)
    assert "enclave.debug" in trial.reason


def test_open_reference_values_refuse_where_verdictd_guards_against_them(
    runner: PolicyRunner, bundles: list[Bundle]
) -> None:
    made = trials(runner, bundles, OPEN)
    assert {name for name, trial in made.items() if trial.changes} == {"accepted", "accepted with claims"}
    assert "policy.reference" in made["accepted"].reason
    assert made["any enclave"].would_allow


def test_a_decision_that_allows_by_something_but_true_does_not(bundles: list[Bundle]) -> None:
    def decide(given: dict[str, JSONValue]) -> Decision:
        decision = Decision(
            allow=False, outcome=__import__("verdictd.policy.decision").policy.decision.Outcome.FAILED, reason=""
        )
        object.__setattr__(decision, "allow", 1)
        return decision

    accepted = [bundle for bundle in bundles if bundle.entry.number == 1]
    (trial,) = try_bundles(accepted, decide, is_open_reference=False)
    assert not trial.would_allow


@pytest.mark.parametrize("role", sorted(NEEDED_ROLES))
def test_what_is_missing_or_changed_is_refused(role: Role, runner: PolicyRunner, bundles: list[Bundle]) -> None:
    accepted = bundles[0]
    for blobs in (
        {name: blob for name, blob in accepted.blobs.items() if name is not role},
        {**accepted.blobs, role: b"{}"},
    ):
        with pytest.raises(MalformedError):
            trials(runner, [Bundle(accepted.entry, blobs)], OPEN | {"mrSigner": ["AA=="]})
