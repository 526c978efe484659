"""What the steps of an appraisal share: no check is made twice, left out, or passed by what is not true."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from tests.unit.tees.simulated import AT, platform, roots_of
from verdictd.core.checks import CheckResult
from verdictd.core.errors import AuthenticityError, UnsupportedError
from verdictd.tees.dcap.acceptance import Acceptance
from verdictd.tees.dcap.context import AppraisalContext
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.requirements import PLATFORM_REQUIREMENTS, REMEDIES
from verdictd.tees.timed_checklist import format_instant

SECOND = timedelta(seconds=1)


def context(*names: str, at: datetime = AT, acceptance: Acceptance | None = None) -> AppraisalContext:
    return AppraisalContext(
        roots=roots_of(platform()),
        acceptance=acceptance or Acceptance(),
        at=at,
        memory=FactMemory(),
        requirements={name: f"what {name} requires" for name in names},
    )


def test_each_entry_says_what_its_check_requires() -> None:
    log = context("a", "b", "c", "d")
    log.passed("a", "found a")
    log.failed("b", "found b", "remedy")
    log.skip("why", "c", "d")
    checks = log.finish()
    assert [(check.name, str(check.result), check.found, check.remedy) for check in checks] == [
        ("a", "pass", "found a", ""),
        ("b", "fail", "found b", "remedy"),
        ("c", "not_made", "why", ""),
        ("d", "not_made", "why", ""),
    ]
    assert [check.expected for check in checks] == [f"what {check.name} requires" for check in checks]
    assert [check.refuses for check in checks] == [False, True, True, True]


def test_a_check_that_nobody_knows_cannot_be_made() -> None:
    log = context("a")
    with pytest.raises(KeyError):
        log.passed("b", "found")
    with pytest.raises(KeyError):
        log.failed("b", "found")
    with pytest.raises(KeyError):
        log.skip("why", "b")


@pytest.mark.parametrize("made", [(), ("a",), ("a", "b", "b"), ("b", "a"), ("a", "a"), ("a", "b", "a")])
def test_all_checks_are_made_once_and_in_order_or_nothing_is_answered(made: tuple[str, ...]) -> None:
    log = context("a", "b")
    for name in made:
        log.passed(name, "found")
    with pytest.raises(RuntimeError, match="exactly the checks"):
        log.finish()


def test_only_true_itself_holds() -> None:
    log = context("a", "b")
    assert log.require(True, "a", "found", "remedy") is True
    assert log.require(1, "b", "found", "remedy") is False
    first, second = log.finish()
    assert (first.result, first.remedy) == (CheckResult.PASS, "")
    assert (second.result, second.remedy) == (CheckResult.FAIL, "remedy")


def test_our_errors_are_failed_checks_and_others_are_not_swallowed() -> None:
    log = context("a", "b")

    def refuse() -> None:
        raise AuthenticityError("it does not hold", remedy="do that")

    def break_down() -> None:
        raise ValueError("a fault in the program")

    assert log.attempt("a", lambda: 7) == 7
    assert log.attempt("a", refuse) is None
    with pytest.raises(ValueError, match="a fault"):
        log.attempt("b", break_down)
    log.passed("b", "found")
    first, _ = log.finish()
    assert (first.result, first.found, first.remedy) == (CheckResult.FAIL, "it does not hold", "do that")


@pytest.mark.parametrize(
    ("not_before", "not_after", "result", "found"),
    [
        (AT - SECOND, AT + SECOND, "pass", "until 2026-06-01T12:00:01Z"),
        (AT, AT + SECOND, "pass", "until 2026-06-01T12:00:01Z"),
        (AT - SECOND, AT, "fail", "expired at 2026-06-01T12:00:00Z"),
        (AT + SECOND, AT + 2 * SECOND, "fail", "valid only from 2026-06-01T12:00:01Z"),
        (AT + SECOND, AT - SECOND, "fail", "valid only from 2026-06-01T12:00:01Z"),
    ],
)
def test_time(not_before: datetime, not_after: datetime, result: str, found: str) -> None:
    for at in (AT, AT.astimezone(timezone(timedelta(hours=-7)))):
        log = context("a", at=at)
        log.require_in_time("a", not_before, not_after, "remedy")
        (check,) = log.finish()
        assert (str(check.result), check.found) == (result, found)
        assert bool(check.remedy) is (result == "fail")
        assert log.expiries == [not_after]


@pytest.mark.parametrize(("not_before", "passes"), [(AT - 2 * SECOND, True), (AT, True), (AT + SECOND, False)])
def test_accepting_what_has_expired_does_not_accept_what_is_yet_to_come(not_before: datetime, passes: bool) -> None:
    log = context("a", acceptance=Acceptance(allow_expired_collateral=True))
    log.require_in_time("a", not_before, AT - SECOND, "remedy")
    (check,) = log.finish()
    assert (check.result is CheckResult.PASS) is passes
    assert ("--allow-expired-collateral" in check.found) is passes


def test_a_clock_without_zone_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="aware"):
        context("a", at=datetime(2026, 6, 1))  # noqa: DTZ001 - that is the mistake


def test_the_usual_remedy_stands_where_no_better_one_is_known() -> None:
    log = context("quote.signature", "pck.chain")
    log.failed("quote.signature", "found")
    log.attempt("pck.chain", _refuse_with_remedy)
    usual, better = log.finish()
    assert usual.remedy == REMEDIES["quote.signature"]
    assert better.remedy == "name its root"


def _refuse_with_remedy() -> None:
    raise UnsupportedError("it does not hold", remedy="name its root")


def test_remedies_are_for_checks_that_there_are() -> None:
    assert REMEDIES.keys() - {"quote.format"} <= PLATFORM_REQUIREMENTS.keys()
    assert all(REMEDIES.values())


def test_instants_are_written_in_utc() -> None:
    assert format_instant(datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)) == "2026-01-02T03:04:05Z"
    east = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=9)))
    assert format_instant(east) == "2026-01-01T18:04:05Z"
