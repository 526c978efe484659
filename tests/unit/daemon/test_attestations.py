"""Those who follow attestations: what they see, what a slow one misses, and how they end."""

import threading
from collections.abc import Iterator

import pytest

from tests.unit.daemon.test_observation_api import FakeWorkers, tell, view
from verdictd.daemon import attestations as module
from verdictd.daemon.attestations import Attestations
from verdictd.daemon.proto import verdictd_pb2 as messages


def fresh(followed: Iterator[messages.Attestation | None]) -> str:
    """The id of the next attestation."""
    return next(entry.id for entry in followed if entry is not None)


def test_a_follower_sees_what_comes_after_it_asked_even_before_it_reads() -> None:
    attestations = view()
    tell(attestations, "before")
    with attestations.follow(0.01) as followed:
        tell(attestations, "one")
        tell(attestations, "two")
        assert [fresh(followed), fresh(followed)] == ["one", "two"]
        assert next(followed) is None
        tell(attestations, "three")
        assert fresh(followed) == "three"


def test_a_slow_follower_keeps_nobody_waiting_and_misses_what_it_has_no_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_MAX_BEHIND", 2)
    attestations = view()
    with attestations.follow(0.01) as slow, attestations.follow(0.01) as quick:
        for name in ("one", "two", "three"):
            tell(attestations, name)
            assert fresh(quick) == name
        assert [fresh(slow), fresh(slow)] == ["one", "two"]
        assert next(slow) is None


def test_closing_ends_those_who_wait_and_those_who_come_later() -> None:
    attestations = view()
    waiting, ended = threading.Event(), threading.Event()

    def wait() -> None:
        with attestations.follow(60) as followed:
            waiting.set()
            assert {entry for entry in followed if entry is not None} == set()
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert waiting.wait(10)
    attestations.close()
    assert ended.wait(10)
    thread.join()
    with attestations.follow(60) as late:
        assert list(late) == []


def test_the_last_of_several_followers_ends_the_telling_and_the_next_begins_it_again() -> None:
    workers = FakeWorkers()
    attestations = Attestations(workers, 10)  # type: ignore[arg-type]
    with attestations.follow(0.01):
        with attestations.follow(0.01):
            assert workers.is_watched.is_set()
        assert workers.is_watched.is_set()
    assert not workers.is_watched.is_set()
    with attestations.follow(0.01):
        assert workers.is_watched.is_set()
