"""No check of an appraisal is made twice, left out, or passed by what is not true."""

import pytest

from verdictd.core.checks import CheckResult
from verdictd.core.errors import AuthenticityError
from verdictd.tees.checklist import Checklist


def checklist(*names: str) -> Checklist:
    return Checklist({name: f"what {name} requires" for name in names}, {"b": "the usual remedy"})


def test_each_entry_says_what_its_check_requires() -> None:
    log = checklist("a", "b", "c", "d")
    log.passed("a", "found a")
    log.failed("b", "found b")
    log.skip("why", "c")
    log.leave_open("d", "nobody can")
    checks = log.finish()
    assert [(check.name, str(check.result), check.found, check.remedy) for check in checks] == [
        ("a", "pass", "found a", ""),
        ("b", "fail", "found b", "the usual remedy"),
        ("c", "not_made", "why", ""),
        ("d", "not_made", "nobody can", ""),
    ]
    assert [check.expected for check in checks] == [f"what {check.name} requires" for check in checks]
    assert [check.refuses for check in checks] == [False, True, True, False]


def test_a_remedy_that_is_given_is_better_than_the_usual_one() -> None:
    log = checklist("b")
    log.failed("b", "found", "this remedy")
    assert log.finish()[0].remedy == "this remedy"


@pytest.mark.parametrize("made", [(), ("a",), ("a", "b", "b"), ("b", "a"), ("a", "a")])
def test_all_checks_are_made_once_and_in_order_or_nothing_is_answered(made: tuple[str, ...]) -> None:
    log = checklist("a", "b")
    for name in made:
        log.passed(name, "found")
    with pytest.raises(RuntimeError, match="exactly the checks"):
        log.finish()


def test_only_true_itself_holds() -> None:
    log = checklist("a", "b")
    assert log.require(True, "a", "found") is True
    assert log.require(1, "b", "found") is False
    assert [check.result for check in log.finish()] == [CheckResult.PASS, CheckResult.FAIL]


def test_our_errors_are_failed_checks_and_others_are_not_swallowed() -> None:
    log = checklist("a")

    def refuse() -> None:
        raise AuthenticityError("it does not hold", remedy="do that")

    assert log.attempt("a", lambda: 7) == 7
    assert log.attempt("a", refuse) is None
    with pytest.raises(ZeroDivisionError):
        log.attempt("a", lambda: 1 // 0)
    (check,) = log.finish()
    assert (check.result, check.found, check.remedy) == (CheckResult.FAIL, "it does not hold", "do that")
