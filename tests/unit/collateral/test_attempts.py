from tests.unit.collateral.fake_pccs import Clock
from verdictd.collateral.attempts import Attempts
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
    seen.succeeded(KEY)
    assert seen.reasons(KEY) == {}
    assert seen.may_ask(KEY, 0)


def test_an_item_is_due_a_while_after_it_was_asked_for() -> None:
    clock = Clock()
    seen = attempts(clock)
    seen.begin(KEY)
    seen.succeeded(KEY)
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
    seen.clear()
    assert all(seen.may_ask(key, 0) for key in keys)
