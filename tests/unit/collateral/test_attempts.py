import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.collateral.fake_pccs import Clock
from verdictd.collateral.attempts import LONGEST_PAUSE_S, Attempts
from verdictd.collateral.items import ItemKey, ItemKind, ItemName

KEY, OTHER = ItemKey("root", ItemName(ItemKind.ROOT_CA_CRL)), ItemKey("other", ItemName(ItemKind.ROOT_CA_CRL))


def attempts(clock: Clock, *, max_keys: int = 10) -> Attempts:
    return Attempts(retry_seconds=5, refresh_seconds=60, clock=clock, random=lambda: 1.0, max_keys=max_keys)


def test_what_was_never_asked_may_be_and_is_not_due() -> None:
    seen = attempts(Clock())
    assert seen.may_ask(KEY, 0)
    assert not seen.is_due(KEY)
    assert seen.reasons(KEY) == {}


def test_a_failure_bars_one_source_and_one_item_for_a_while() -> None:
    clock = Clock()
    seen = attempts(clock)
    seen.begin(KEY)
    seen.failed(KEY, 1, "closed")
    assert not seen.may_ask(KEY, 1)
    assert seen.may_ask(KEY, 0)
    assert seen.may_ask(OTHER, 1)
    clock.now += 5
    assert seen.may_ask(KEY, 1)
    seen.failed(KEY, 0, "gone")
    assert seen.reasons(KEY) == {0: "gone", 1: "closed"}
    seen.succeeded(KEY, left_s=1000)
    assert seen.reasons(KEY) == {}
    assert seen.may_ask(KEY, 0)


def test_an_item_is_due_a_while_after_it_was_asked_for() -> None:
    clock = Clock()
    seen = attempts(clock)
    seen.begin(KEY)
    seen.succeeded(KEY, left_s=1000)
    clock.now += 59
    assert not seen.is_due(KEY)
    clock.now += 1
    assert seen.is_due(KEY)
    seen.begin(KEY)
    assert not seen.is_due(KEY)


def test_attempts_are_bounded() -> None:
    seen = attempts(Clock(), max_keys=3)
    keys = [ItemKey(str(number), KEY.name) for number in range(5)]
    for key in keys:
        seen.begin(key)
        seen.failed(key, 0, "closed")
    assert [seen.may_ask(key, 0) for key in keys] == [True, True, False, False, False]


# --- how long a failing source is left alone ---


def pause_of(seen: Attempts, clock: Clock) -> float:
    """For how long the only source may not be asked from now on, on a clock of tenths of a second."""
    begun = clock.now
    while not seen.may_ask(KEY, 0):
        clock.now = round(clock.now + 0.1, 1)
    return round(clock.now - begun, 1)


def test_each_further_failure_doubles_the_pause_up_to_a_limit() -> None:
    clock = Clock()
    seen = attempts(clock)
    pauses = []
    for _ in range(10):
        seen.failed(KEY, 0, "closed")
        pauses.append(pause_of(seen, clock))
    assert pauses == [5, 10, 20, 40, 80, 160, 320, 600, 600, 600]


def test_however_often_it_fails_the_limit_stays() -> None:
    clock = Clock()
    seen = attempts(clock)
    for _ in range(5000):  # two to this power is no number of seconds any more
        seen.failed(KEY, 0, "closed")
    assert pause_of(seen, clock) == LONGEST_PAUSE_S


def test_a_success_begins_the_count_anew() -> None:
    clock = Clock()
    seen = attempts(clock)
    for _ in range(5):
        seen.failed(KEY, 0, "closed")
    seen.succeeded(KEY, left_s=1000)
    assert seen.last_failure(KEY) == ""
    seen.failed(KEY, 0, "closed")
    assert pause_of(seen, clock) == 5


@given(chance=st.floats(0, 1), times=st.integers(2, 12))
def test_a_random_part_of_the_pause_is_left_out_and_never_more_than_a_fifth(chance: float, times: int) -> None:
    clock = Clock()
    seen = Attempts(retry_seconds=5, refresh_seconds=60, clock=clock, random=lambda: chance)
    for _ in range(times):
        seen.failed(KEY, 0, "closed")
    full = min(5 * 2 ** (times - 1), 600)
    due = seen.due_in(KEY)
    assert due is not None
    assert 0.8 * full - 1e-6 <= due <= full + 1e-6
    assert due == pytest.approx(full * (0.8 + 0.2 * chance))


@pytest.mark.parametrize(
    ("wished", "pause"),
    [(0, 5), (4, 5), (30, 30), (3599, 3599), (3600, 3600), (3601, 3600), (float("inf"), 3600)],
)
def test_a_source_is_left_alone_as_long_as_it_wishes_within_reason(wished: float, pause: float) -> None:
    clock = Clock()
    seen = attempts(clock)
    seen.failed(KEY, 0, "too many requests", retry_after_s=wished)
    assert pause_of(seen, clock) == pause


def test_a_wish_shorter_than_the_own_pause_does_not_shorten_it() -> None:
    clock = Clock()
    seen = attempts(clock)
    for _ in range(4):
        seen.failed(KEY, 0, "too many requests", retry_after_s=1)
    assert pause_of(seen, clock) == 40


def test_the_operator_has_every_source_asked_at_once() -> None:
    seen = attempts(Clock())
    seen.failed(KEY, 0, "closed", retry_after_s=1000)
    seen.failed(KEY, 1, "closed")
    seen.failed(OTHER, 0, "closed")
    seen.forgive(KEY)
    assert seen.may_ask(KEY, 0)
    assert seen.may_ask(KEY, 1)
    assert not seen.may_ask(OTHER, 0)
    seen.forgive(ItemKey("unknown", KEY.name))


# --- when what is held is asked for again ---


def due_after(left_s: float, *, chance: float = 1.0) -> float:
    seen = Attempts(retry_seconds=5, refresh_seconds=3600, clock=Clock(), random=lambda: chance)
    seen.begin(KEY)
    seen.succeeded(KEY, left_s=left_s)
    due = seen.due_in(KEY)
    assert due is not None
    assert seen.is_due(KEY) is (due == 0)
    return due


@pytest.mark.parametrize(
    ("left_s", "due"),
    [(30 * 86400, 3600), (7201, 3600), (7200, 3600), (7198, 3599), (600, 300), (10, 5), (1, 5), (0, 5), (-9, 5)],
)
def test_an_item_is_due_in_half_of_its_time_and_within_the_hour_but_not_at_once(left_s: float, due: float) -> None:
    assert due_after(left_s) == due
    assert due_after(left_s, chance=0.0) == pytest.approx(0.8 * due)


def test_what_failed_is_due_until_it_is_had() -> None:
    clock = Clock()
    seen = attempts(clock)
    seen.begin(KEY)
    seen.failed(KEY, 0, "closed")
    assert seen.is_due(KEY)
    assert seen.due_in(KEY) == 5
    seen.failed(KEY, 1, "closed", retry_after_s=3)
    assert seen.last_failure(KEY) == "closed"
    clock.now += 2
    assert seen.due_in(KEY) == 3, "the first that may be asked"
    clock.now += 100
    assert seen.due_in(KEY) == 0
    seen.succeeded(KEY, left_s=1000)
    assert not seen.is_due(KEY)
    assert seen.due_in(KEY) == 60


def test_what_was_never_asked_has_no_time_to_be_asked_again() -> None:
    seen = attempts(Clock())
    assert seen.due_in(KEY) is None
    assert not seen.was_asked(KEY)
    assert seen.last_failure(KEY) == ""
    seen.begin(KEY)
    assert seen.was_asked(KEY)
