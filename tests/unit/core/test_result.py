"""The attestation result: allowed only where there are checks and none of them refuses."""

import itertools
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdictd.core.checks import Check, CheckResult
from verdictd.core.result import AppraisalResult

AT = datetime(2026, 1, 1, tzinfo=UTC)
checks = st.builds(
    Check,
    name=st.sampled_from(("a.one", "a.two", "b.one")),
    result=st.sampled_from(CheckResult),
    expected=st.just("expected"),
    found=st.just("found"),
    remedy=st.just(""),
    mandatory=st.booleans(),
)


def result(*made: Check) -> AppraisalResult:
    return AppraisalResult(tee="sgx_ecdsa", checks=made, at=AT)


def test_no_checks_allow_nothing() -> None:
    assert not result().allowed
    assert result().refusals == ()


@given(st.lists(checks, max_size=6))
def test_one_refusal_is_enough(made: list[Check]) -> None:
    appraised = result(*made)
    assert appraised.refusals == tuple(check for check in made if check.refuses)
    assert appraised.allowed is (bool(made) and not appraised.refusals)
    if any(check.result is CheckResult.FAIL for check in made):
        assert not appraised.allowed


@given(st.lists(checks, min_size=1, max_size=4), st.lists(checks, max_size=3))
def test_further_checks_can_only_take_away(made: list[Check], further: list[Check]) -> None:
    before, after = result(*made), result(*made).with_checks(*further)
    assert after.checks == (*made, *further)
    assert before.checks == tuple(made), "the result that was there stays as it is"
    assert before.allowed or not after.allowed
    assert replace(after, checks=before.checks) == before


def test_order_does_not_matter_for_the_verdict() -> None:
    good = Check("a", CheckResult.PASS, "expected", "found")
    bad = Check("b", CheckResult.NOT_MADE, "expected", "why")
    for made in itertools.permutations((good, good, bad)):
        assert not result(*made).allowed


def test_a_result_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        result().checks = ()  # type: ignore[misc]


def test_what_is_not_known_is_left_open() -> None:
    appraised = result()
    assert appraised.tcb_status is None
    assert appraised.tcb_date is None
    assert appraised.evaluation_data_number is None
    assert appraised.earliest_expiry is None
    assert (appraised.advisory_ids, appraised.claims, appraised.custom_claims, appraised.sources) == ((), {}, {}, {})
