"""Sums of points of the SM2 curve, against what the curve's own laws say of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verdictd.tees.sm2.curve import FIELD, GENERATOR, ORDER, Point, add_multiples

SCALARS = st.one_of(st.integers(0, 5), st.integers(ORDER - 5, ORDER - 1), st.integers(0, ORDER - 1))


def multiple(number: int) -> Point | None:
    return add_multiples(number, 0, GENERATOR)


def test_the_generator_is_a_point_and_its_order_is_what_it_is_said_to_be() -> None:
    assert GENERATOR.is_on_curve
    assert multiple(ORDER) is None
    assert multiple(ORDER - 1) == Point(GENERATOR.x, FIELD - GENERATOR.y)
    assert multiple(1) == GENERATOR
    assert multiple(0) is None


@settings(deadline=None, max_examples=50)
@given(SCALARS, SCALARS, st.integers(1, ORDER - 1))
def test_multiples_add_up(g: int, q: int, secret: int) -> None:
    point = multiple(secret)
    assert point is not None
    assert add_multiples(g, q, point) == multiple((g + q * secret) % ORDER)


@pytest.mark.parametrize("q", [1, 2, 3, ORDER - 1])
def test_the_two_points_may_be_the_same_or_opposite(q: int) -> None:
    opposite = Point(GENERATOR.x, FIELD - GENERATOR.y)
    assert add_multiples(5, q, GENERATOR) == multiple((5 + q) % ORDER)
    assert add_multiples(5, q, opposite) == multiple((5 - q) % ORDER)
    assert add_multiples(q, q, opposite) is None


@settings(deadline=None, max_examples=20)
@given(st.integers(1, ORDER - 1))
def test_multiples_are_on_the_curve(number: int) -> None:
    point = multiple(number)
    assert point is not None
    assert point.is_on_curve
    assert not Point(point.x, point.y ^ 1).is_on_curve
    assert not Point(point.x + FIELD, point.y).is_on_curve
    assert not Point(point.x, point.y - FIELD).is_on_curve
