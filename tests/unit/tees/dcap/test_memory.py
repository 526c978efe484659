"""The memory of facts: bounded, least recently used first, and never another answer than the computation's."""

import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdictd.tees.dcap.memory import FactKey, FactMemory


class Counter:
    """A computation that counts how often it was made."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> int:
        self.made += 1
        return self.made


def is_remembered(memory: FactMemory, key: FactKey) -> bool:
    return memory.find(key, object) is not None


def test_a_fact_is_computed_once() -> None:
    memory, compute = FactMemory(), Counter()
    assert [memory.recall(("fact", b"input"), compute) for _ in range(3)] == [1, 1, 1]
    assert compute.made == len(memory) == 1


def test_the_whole_key_tells_facts_apart() -> None:
    memory = FactMemory()
    keys: list[FactKey] = [
        ("a", b"b"),
        ("a", b"b", b""),
        ("ab",),
        ("a", b"c"),
        ("b", b"b"),
        ("a", 1),
        ("a", b"\1"),
    ]
    for number, key in enumerate(keys):
        assert memory.recall(key, lambda number=number: number) == number  # type: ignore[misc]
    assert [memory.recall(key, Counter()) for key in keys] == list(range(len(keys)))


def test_none_and_false_are_facts_too() -> None:
    memory, compute = FactMemory(), Counter()
    assert memory.recall(("none",), lambda: None) is None
    assert memory.recall(("false",), lambda: False) is False
    assert memory.recall(("none",), compute) is None
    assert memory.recall(("false",), compute) is False
    assert compute.made == 0


def test_what_raises_is_not_remembered() -> None:
    memory = FactMemory()

    def fail() -> int:
        raise KeyError("no")

    for _ in range(2):
        with pytest.raises(KeyError):
            memory.recall(("fact",), fail)
    assert len(memory) == 0
    assert memory.recall(("fact",), lambda: 7) == 7


def test_a_fact_of_another_kind_is_not_found() -> None:
    memory = FactMemory()
    memory.keep(("fact",), "text")
    assert memory.find(("fact",), str) == "text"
    assert memory.find(("fact",), bytes) is None
    assert memory.find(("other",), str) is None


def test_the_first_one_kept_stays() -> None:
    memory = FactMemory()
    memory.keep(("fact",), "first")
    memory.keep(("fact",), "second")
    assert memory.find(("fact",), str) == "first"
    assert len(memory) == 1


def test_the_least_recently_used_goes_first() -> None:
    memory = FactMemory(max_facts=3)
    for name in "abc":
        memory.keep((name,), name)
    memory.recall(("a",), Counter())
    assert memory.find(("b",), str) == "b"
    memory.keep(("d",), "d")
    assert [is_remembered(memory, (name,)) for name in "abcd"] == [True, True, False, True]


def test_bytes_are_bounded_too() -> None:
    memory = FactMemory(max_bytes=100)
    memory.keep(("x", b"1" * 49), 1)
    memory.keep(("x", b"2" * 49), 2)
    assert len(memory) == 2
    memory.keep(("x", b"3" * 10), 3)
    assert not is_remembered(memory, ("x", b"1" * 49))
    assert len(memory) == 2


def test_what_is_too_big_is_not_kept() -> None:
    memory = FactMemory(max_bytes=100)
    assert memory.recall(("x", b"1" * 1000), lambda: 1) == 1
    assert len(memory) == 0
    memory.keep(("y",), 2)
    assert memory.find(("y",), int) == 2, "the count of bytes is right again"


operations = st.tuples(st.sampled_from(("recall", "find", "keep")), st.integers(0, 6), st.integers(0, 12))


@given(st.lists(operations, max_size=60), st.integers(1, 5), st.integers(10, 60))
def test_it_is_a_bounded_map(steps: list[tuple[str, int, int]], max_facts: int, max_bytes: int) -> None:
    """Against a model: an ordered dict that is cut down after each step."""
    memory, model = FactMemory(max_facts=max_facts, max_bytes=max_bytes), OrderedDict[FactKey, str]()
    sizes: dict[FactKey, int] = {}
    for verb, name, size in steps:
        key: FactKey = (str(name), bytes(size), 5)
        sizes[key] = 1 + size + 8
        known = model.get(key)
        if known is not None and verb != "keep":
            model.move_to_end(key)
        if verb == "find":
            assert memory.find(key, str) == known
        elif verb == "recall":
            assert memory.recall(key, lambda key=key: repr(key)) == repr(key)  # type: ignore[misc]
            model.setdefault(key, repr(key))
        else:
            memory.keep(key, repr(key))
            model.setdefault(key, repr(key))
        while len(model) > max_facts or sum(sizes[each] for each in model) > max_bytes:
            model.popitem(last=False)
        assert len(memory) == len(model)
    assert [is_remembered(memory, key) for key in model] == [True] * len(model)


def test_two_threads_that_come_to_the_same_fact_count_it_once() -> None:
    memory = FactMemory(max_facts=10, max_bytes=100)

    def compute() -> bool:
        memory.recall(("fact", b"x" * 40), lambda: True)  # as if another thread was faster
        return True

    for _ in range(20):
        assert memory.recall(("fact", b"x" * 40), compute)
        memory.recall(("other", b"y" * 70), lambda: True)  # pushes the first one out
    assert memory.recall(("small", b"z"), lambda: True)
    assert len(memory) == 2


def test_a_slow_computation_holds_up_nobody() -> None:
    memory, started, finish = FactMemory(), threading.Event(), threading.Event()

    def slow() -> str:
        started.set()
        assert finish.wait(10)
        return "slow"

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(memory.recall, ("slow",), slow)
        assert started.wait(10)
        assert memory.recall(("quick",), lambda: "quick") == "quick"
        assert memory.find(("slow",), str) is None
        finish.set()
        assert waiting.result(10) == "slow"


def test_many_threads_get_the_right_facts_within_the_bounds() -> None:
    memory = FactMemory(max_facts=20, max_bytes=2000)

    def work(seed: int) -> int:
        wrong = 0
        for step in range(3000):
            name = (seed * 7919 + step * 104729) % 60
            key: FactKey = ("fact", bytes(name), name)
            wrong += memory.recall(key, lambda name=name: name * 3) != name * 3  # type: ignore[misc]
            found = memory.find(key, int)
            wrong += found is not None and found != name * 3
            wrong += len(memory) > 20
        return wrong

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(4))) == 0
    assert 0 < len(memory) <= 20
