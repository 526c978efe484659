import json

import pytest

from verdictd.core.result import JSONValue
from verdictd.policy.decision import Decision, Outcome, decision_json, judge, judge_value
from verdictd.policy.pair import Document, PolicyPair

PAIR = PolicyPair(
    policy=Document.of("sgxPolicy.rego", b"p"),
    reference=Document.of("sgxData", b"r"),
    values={"mrEnclave": ["AA", "BB"], "mrSigner": [], "productId": 0, "svn": 5},
    members_read=("mrEnclave", "svn"),
)
GIVEN: dict[str, JSONValue] = {"mrEnclave": "CC", "mrSigner": "S", "productId": 0, "svn": 4, "claims": {}}


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        (True, Outcome.ALLOWED),
        (False, Outcome.REFUSED),
        (None, Outcome.NOT_TRUE),
        (1, Outcome.NOT_TRUE),
        (1.0, Outcome.NOT_TRUE),
        ("true", Outcome.NOT_TRUE),
        ("yes", Outcome.NOT_TRUE),
        ([True], Outcome.NOT_TRUE),
        ({"allow": True}, Outcome.NOT_TRUE),
    ],
)
def test_only_true_allows(value: JSONValue, outcome: Outcome) -> None:
    assert judge_value(is_defined=True, value=value) is outcome
    decision = judge(outcome, "", value, pair=PAIR, given=GIVEN)
    assert decision.allow is (value is True)


def test_undefined_denies() -> None:
    assert judge_value(is_defined=False, value=True) is Outcome.UNDEFINED


@pytest.mark.parametrize("outcome", Outcome)
def test_allow_and_outcome_cannot_contradict(outcome: Outcome) -> None:
    allow = outcome is Outcome.ALLOWED
    assert Decision(allow=allow, outcome=outcome, reason="x").allow is allow
    with pytest.raises(ValueError, match="must not have"):
        Decision(allow=not allow, outcome=outcome, reason="x")


def test_every_outcome_but_one_denies_and_says_why() -> None:
    reasons = {outcome: judge(outcome, "the detail", None, pair=PAIR, given={}).reason for outcome in Outcome}
    assert all(reason.startswith("sgxPolicy.rego with sgxData: ") for reason in reasons.values())
    decided = {outcome for outcome in Outcome if outcome.is_decided}
    assert decided == {Outcome.ALLOWED, Outcome.REFUSED, Outcome.UNDEFINED, Outcome.NOT_TRUE}
    assert all(("the detail" in reasons[outcome]) is (outcome not in decided) for outcome in Outcome)


def test_refusal_names_what_differs() -> None:
    reason = judge(Outcome.REFUSED, "", False, pair=PAIR, given=GIVEN).reason
    assert reason == (
        "sgxPolicy.rego with sgxData: allow is false, expected true; "
        'mrEnclave "CC" is not among the 2 of the reference; svn 4 is below the 5 of the reference'
    )


def test_refusal_names_members_that_the_reference_lacks() -> None:
    pair = PolicyPair(policy=PAIR.policy, reference=PAIR.reference, values={}, members_read=("denied",))
    reason = judge(Outcome.UNDEFINED, "", None, pair=pair, given={}).reason
    assert reason.endswith(
        "allow is undefined, expected true; the policy reads data.denied, which the reference does not have"
    )


def test_long_values_are_cut_in_sentences() -> None:
    reason = judge(Outcome.NOT_TRUE, "", "x" * 1000, pair=PAIR, given={}).reason
    assert len(reason) < 200


@pytest.mark.parametrize("value", [True, False, None, "yes"])
def test_json_is_the_one_of_the_original(value: JSONValue) -> None:
    outcome = judge_value(is_defined=value is not None, value=value)
    text = decision_json(judge(outcome, "", value, pair=PAIR, given={"svn": 4, "claims": {"a": "00"}}))
    assert json.loads(text) == {"allow": value, "parseInfo": {"svn": [4, 5], "claims": [{"a": "00"}, None]}}


def test_decision_carries_digests_and_both_values() -> None:
    decision = judge(Outcome.ALLOWED, "", True, pair=PAIR, given=GIVEN)
    assert (decision.policy_digest, decision.reference_digest) == (PAIR.policy.digest, PAIR.reference.digest)
    assert decision.parse_info["mrEnclave"] == ("CC", ["AA", "BB"])
    with pytest.raises(TypeError):
        decision.parse_info["mrEnclave"] = ("", "")  # type: ignore[index]
