"""The error tree: what a caller can rely on when it catches one of ours."""

import inspect

import pytest

from verdictd.core import errors
from verdictd.core.errors import CollateralError, CollateralUnavailableError, VerdictdError

ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]


def test_there_is_one_tree() -> None:
    assert len(ALL) > 10
    assert all(issubclass(kind, VerdictdError) for kind in ALL)
    assert VerdictdError.__bases__ == (Exception,)


def test_none_is_caught_by_who_catches_a_programming_error() -> None:
    for kind in ALL:
        assert not issubclass(kind, (ValueError, TypeError, RuntimeError, OSError, KeyError))


def test_only_what_may_help_to_try_again_is_a_kind_of_another() -> None:
    """Each is caught by its own name: a handler of one must not swallow another by inheritance."""
    nested = {kind for kind in ALL if kind.__bases__ not in {(VerdictdError,), (Exception,)}}
    assert nested == {CollateralUnavailableError}
    assert issubclass(CollateralUnavailableError, CollateralError)


@pytest.mark.parametrize("kind", ALL)
def test_each_says_what_is_wrong_and_what_to_do(kind: type[VerdictdError]) -> None:
    plain, with_remedy = kind("it is so"), kind("it is so", remedy="do that")
    assert (str(plain), plain.message, plain.remedy) == ("it is so", "it is so", "")
    assert (str(with_remedy), with_remedy.message, with_remedy.remedy) == ("it is so; do that", "it is so", "do that")
    assert plain.args == ("it is so",)


@pytest.mark.parametrize("kind", ALL)
def test_each_is_described(kind: type[VerdictdError]) -> None:
    assert kind.__doc__
    assert kind.__name__ == "VerdictdError" or kind.__doc__ != VerdictdError.__doc__
    assert kind.__name__.endswith("Error")
