"""What is asked for by names that peers choose: remembered, and asked for only so often."""

from threading import Event, Thread

from verdictd.collateral.deadline import Deadline
from verdictd.collateral.remembered_items import BURST, KEPT_S, PAUSE_S, Item, RememberedItems
from verdictd.core.errors import CollateralUnavailableError


class Ticks:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Source:
    """Has what is named with letters, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def fetch(self, name: str, deadline: Deadline) -> bytes:
        assert deadline.remaining > 0
        self.asked.append(name)
        if not name.isalpha():
            raise CollateralUnavailableError(f"there is no {name}")
        return name.encode()


def made() -> tuple[RememberedItems[str], Source, Ticks]:
    source, ticks = Source(), Ticks()
    return RememberedItems(source.fetch, ticks=ticks), source, ticks


def get(items: RememberedItems[str], name: str, ticks: Ticks) -> Item:
    return items.get(name, Deadline.after(1.0, ticks))


def test_what_was_had_is_kept_for_its_time_and_no_longer() -> None:
    items, source, ticks = made()
    assert get(items, "a", ticks) == Item(b"a")
    ticks.now += KEPT_S - 1
    assert get(items, "a", ticks) == Item(b"a")
    assert source.asked == ["a"]
    ticks.now += 2
    get(items, "a", ticks)
    assert source.asked == ["a", "a"]


def test_what_was_not_there_is_asked_for_again_soon() -> None:
    items, source, ticks = made()
    for _ in range(3):
        assert get(items, "1", ticks) == Item(None, "there is no 1")
    assert source.asked == ["1"]
    ticks.now += PAUSE_S + 1
    get(items, "1", ticks)
    assert source.asked == ["1", "1"]


def test_made_up_names_drive_the_source_no_further_than_its_allowance() -> None:
    items, source, ticks = made()
    get(items, "held", ticks)
    answers = [get(items, str(number), ticks) for number in range(10 * BURST)]
    assert len(source.asked) == BURST
    assert answers[-1] == Item(None, "too many different ones were asked for within a minute")
    assert get(items, "held", ticks) == Item(b"held")
    ticks.now += 2
    assert get(items, "other", ticks) == Item(b"other")


def test_what_is_not_there_crowds_out_nothing_that_is() -> None:
    items, source, ticks = made()
    get(items, "held", ticks)
    for number in range(2000):
        ticks.now += 1
        get(items, str(number), ticks)
    source.asked.clear()
    assert get(items, "held", ticks) == Item(b"held")
    assert source.asked == []


def test_only_so_many_wait() -> None:
    begun, go = Event(), Event()

    def fetch(name: str, deadline: Deadline) -> bytes:
        del deadline
        begun.set()
        assert go.wait(30)
        return name.encode()

    ticks = Ticks()
    items = RememberedItems(fetch, max_waiting=1, ticks=ticks)
    first = Thread(target=get, args=(items, "a", ticks))
    first.start()
    assert begun.wait(30)
    assert get(items, "b", ticks) == Item(None, "too many wait for such answers already")
    go.set()
    first.join()
    assert get(items, "b", ticks) == Item(b"b")
