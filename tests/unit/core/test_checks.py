"""Checks: what refuses, and that nothing but an explicit pass lets anything through."""

import itertools

import pytest

from verdictd.core.checks import Check, CheckLog, CheckResult

PASS, FAIL, NOT_MADE = CheckResult.PASS, CheckResult.FAIL, CheckResult.NOT_MADE


@pytest.mark.parametrize(
    ("result", "mandatory", "refuses"),
    [
        (PASS, True, False),
        (PASS, False, False),
        (FAIL, True, True),
        (FAIL, False, True),
        (NOT_MADE, True, True),
        (NOT_MADE, False, False),
    ],
)
def test_what_refuses(result: CheckResult, mandatory: bool, refuses: bool) -> None:
    assert Check("a.check", result, "one", "another", mandatory=mandatory).refuses is refuses


@pytest.mark.parametrize("mandatory", [True, False])
@pytest.mark.parametrize("result", ["fail", "FAIL", "pass", "", None, True, 0])
def test_what_is_no_outcome_refuses(result: object, mandatory: bool) -> None:
    """As a fault in the program may bring about, e.g. an outcome that was read back from JSON as text."""
    assert Check("a.check", result, "one", "another", mandatory=mandatory).refuses  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("check", "sentence"),
    [
        (Check("a.b", PASS, "one", "one"), "check a.b passed: found one, expected one"),
        (Check("a.b", FAIL, "one", "two"), "check a.b failed: found two, expected one"),
        (Check("a.b", FAIL, "one", "two", "do it"), "check a.b failed: found two, expected one; do it"),
        (Check("a.b", NOT_MADE, "one", "no way"), "check a.b was not made: found no way, expected one"),
    ],
)
def test_a_check_is_a_sentence(check: Check, sentence: str) -> None:
    assert check.sentence == sentence


def test_every_kind_of_entry_is_logged_in_order() -> None:
    log = CheckLog()
    log.passed("one", "expected", "found")
    log.failed("two", "expected", "found", "remedy")
    log.not_made("three", "expected", "why")
    log.not_made("four", "expected", "why", mandatory=False)
    log.extend((Check("five", PASS, "expected", "found"), Check("six", FAIL, "expected", "found")))
    assert log.finish() == (
        Check("one", PASS, "expected", "found"),
        Check("two", FAIL, "expected", "found", "remedy"),
        Check("three", NOT_MADE, "expected", "why"),
        Check("four", NOT_MADE, "expected", "why", mandatory=False),
        Check("five", PASS, "expected", "found"),
        Check("six", FAIL, "expected", "found"),
    )
    assert [check.refuses for check in log.finish()] == [False, True, True, False, False, True]


def test_only_true_itself_holds() -> None:
    """What is merely truthy is a programming error: e.g. a method that was not called."""
    log = CheckLog()
    assert log.require(True, "one", "expected", "found", "remedy") is True
    for truthy in (1, "yes", [0], object(), log.require, NotImplemented.__class__):
        assert log.require(truthy, "other", "expected", "found", "remedy") is False
    for falsy in (False, None, 0, ""):
        assert log.require(falsy, "other", "expected", "found", "remedy") is False
    first, *others = log.finish()
    assert first == Check("one", PASS, "expected", "found"), "a check that holds needs no remedy"
    assert set(others) == {Check("other", FAIL, "expected", "found", "remedy")}


def test_a_finished_log_is_a_copy() -> None:
    log = CheckLog()
    log.passed("one", "expected", "found")
    finished = log.finish()
    log.failed("two", "expected", "found")
    assert [check.name for check in finished] == ["one"]


def test_outcomes_are_written_as_the_manual_says() -> None:
    assert [str(result) for result in CheckResult] == ["pass", "fail", "not_made"]
    assert all(first != second for first, second in itertools.combinations(CheckResult, 2))
