"""The bounded history of attestations, and those who follow it."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from verdictd.daemon.records import AttestationHistory, AttestationRecord

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def record(history: AttestationHistory, identifier: str = "00000000", *, accepted: bool = True) -> AttestationRecord:
    made = AttestationRecord(
        number=history.next_number(),
        attestation_id=identifier,
        at=NOW,
        peer="192.0.2.1:1",
        accepted=accepted,
        sentence="as the test says",
        result=None,
        decision=None,
        duration_s=0.5,
    )
    history.add(made)
    return made


def numbers(records: tuple[AttestationRecord, ...]) -> list[int]:
    return [record.number for record in records]


def fresh(followed: Iterator[AttestationRecord | None]) -> int:
    """The number of the next record."""
    return next(entry.number for entry in followed if entry is not None)


def test_the_oldest_are_forgotten_and_still_counted() -> None:
    history = AttestationHistory(3)
    for number in range(10):
        record(history, accepted=number % 2 == 0)
    assert numbers(history.find("", 0)) == [8, 9, 10]
    assert history.counts() == {"accepted": 5, "refused": 5}


def test_the_newest_are_found_by_the_beginning_of_their_id_the_oldest_first() -> None:
    history = AttestationHistory(10)
    for identifier in ("aa11", "bb11", "aa22", "aa11"):
        record(history, identifier)
    assert numbers(history.find("aa", 0)) == [1, 3, 4]
    assert numbers(history.find("aa", 2)) == [3, 4]
    assert numbers(history.find("aa11", 0)) == [1, 4]
    assert history.find("cc", 5) == ()


def test_a_follower_sees_what_comes_after_it_asked_even_before_it_reads() -> None:
    history = AttestationHistory(10)
    record(history)
    followed = history.follow(0.01)
    record(history)
    record(history)
    assert [fresh(followed), fresh(followed)] == [2, 3]
    assert next(followed) is None
    record(history)
    assert fresh(followed) == 4


def test_a_slow_follower_misses_what_was_forgotten_and_nothing_else() -> None:
    history = AttestationHistory(2)
    followed = history.follow(0.01)
    for _ in range(5):
        record(history)
    assert [fresh(followed), fresh(followed)] == [4, 5]
    assert next(followed) is None


def test_closing_ends_those_who_wait() -> None:
    history = AttestationHistory(2)
    followed = history.follow(60)
    ended = threading.Event()

    def wait() -> None:
        assert {entry for entry in followed if entry is not None} == set()
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    history.close()
    assert ended.wait(5)
    thread.join()
    with pytest.raises(StopIteration):
        next(history.follow(60))


def test_many_threads_lose_nothing_and_share_no_number() -> None:
    history = AttestationHistory(10_000)

    def keep_adding() -> None:
        for _ in range(500):
            record(history)

    threads = [threading.Thread(target=keep_adding) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers(history.find("", 0))) == list(range(1, 4001))
    assert history.counts()["accepted"] == 4000
