from threading import Event, Thread

import pytest

from verdictd.collateral.single_flight import SingleFlight


def test_work_of_one_key_is_done_once_at_a_time() -> None:
    flights: SingleFlight[str] = SingleFlight()
    gate, done = Event(), []

    def work() -> None:
        gate.wait(10)
        done.append(1)

    first, second = flights.start("key", work), flights.start("key", work)
    assert first is not None
    assert second is first
    gate.set()
    first.result(10)
    assert done == [1]
    again = flights.start("key", work)
    assert again is not None
    again.result(10)
    assert done == [1, 1]


def test_keys_do_not_wait_for_one_another() -> None:
    flights: SingleFlight[str] = SingleFlight()
    gate = Event()
    slow, fast = flights.start("slow", lambda: gate.wait(10)), flights.start("fast", lambda: None)
    assert fast is not None
    assert slow is not None
    fast.result(10)
    assert not slow.done()
    gate.set()
    slow.result(10)


def test_a_fault_reaches_whoever_waits_and_ends_the_flight() -> None:
    flights: SingleFlight[str] = SingleFlight()

    def fail() -> None:
        raise ZeroDivisionError

    for _ in range(2):
        flight = flights.start("key", fail)
        assert flight is not None
        with pytest.raises(ZeroDivisionError):
            flight.result(10)


def test_flights_are_bounded() -> None:
    flights: SingleFlight[int] = SingleFlight(max_flights=2)
    gate = Event()
    started = [flights.start(number, lambda: gate.wait(10)) for number in range(3)]
    assert [flight is None for flight in started] == [False, False, True]
    gate.set()
    for flight in started[:2]:
        assert flight is not None
        flight.result(10)
    assert flights.start(2, lambda: None) is not None


def test_where_no_thread_can_be_had_nothing_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    flights: SingleFlight[str] = SingleFlight()

    def refuse(_: Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(Thread, "start", refuse)
        assert flights.start("key", lambda: None) is None
    flight = flights.start("key", lambda: None)
    assert flight is not None
    flight.result(10)


def test_what_is_less_urgent_leaves_room_and_still_joins_what_is_under_way() -> None:
    flights: SingleFlight[int] = SingleFlight(max_flights=3)
    gate = Event()
    first = flights.start(0, lambda: gate.wait(10), spare=2)
    assert first is not None
    assert flights.start(1, lambda: None, spare=2) is None
    assert flights.start(0, lambda: None, spare=2) is first
    second = flights.start(1, lambda: gate.wait(10))
    assert second is not None
    gate.set()
    for flight in (first, second):
        flight.result(10)
