"""Archiving off the handshake path: nobody waits, and what is not archived is counted and warned about."""

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.unit.appraisal.platforms import NOW
from tests.unit.archive.peers import judge
from verdictd.archive import writer as module
from verdictd.archive.builder import JudgedPeer
from verdictd.archive.database import ArchiveError
from verdictd.archive.reader import ArchiveReader
from verdictd.archive.store import ArchiveBounds, ArchiveStore
from verdictd.archive.writer import ArchiveCounts, ArchiveWriter
from verdictd.policy.runner import PolicyRunner


@pytest.fixture(scope="module")
def judged(runner: PolicyRunner) -> JudgedPeer:
    return judge(runner, "accepted")


def open_writer(directory: Path, **settings: Any) -> ArchiveWriter:
    return ArchiveWriter(directory, bounds=ArchiveBounds(), clock=lambda: NOW, **settings)


def numbers(directory: Path) -> list[int]:
    return [bundle.entry.number for bundle in ArchiveReader(directory).newest(10_000)]


class Stuck:
    """An archive whose disk does not answer, until it is told to go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fail: Callable[[], None] = lambda: None) -> None:
        self.entered, self.go_on = threading.Event(), threading.Event()
        real = ArchiveStore.add

        def add(store: ArchiveStore, built: Any, now: datetime) -> None:
            self.entered.set()
            assert self.go_on.wait(60)
            fail()
            real(store, built, now)

        monkeypatch.setattr(ArchiveStore, "add", add)


def test_what_is_submitted_is_archived_in_its_order(tmp_path: Path, judged: JudgedPeer) -> None:
    writer = open_writer(tmp_path)
    for number in range(1, 301):
        assert writer.submit(replace(judged, number=number))
    writer.close()
    assert numbers(tmp_path) == list(range(1, 301))
    assert writer.counts == ArchiveCounts(archived=300, dropped=0, failed=0, queued=0)


def test_a_full_queue_drops_counts_and_warns_once_and_waits_for_nobody(
    tmp_path: Path, judged: JudgedPeer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stuck = Stuck(monkeypatch)
    writer = open_writer(tmp_path, max_queued=3)
    assert writer.submit(replace(judged, number=1))
    assert stuck.entered.wait(60)
    with caplog.at_level(logging.WARNING):
        taken = [writer.submit(replace(judged, number=number)) for number in range(2, 9)]
    assert taken == [True] * 3 + [False] * 4
    assert writer.counts == ArchiveCounts(archived=0, dropped=4, failed=0, queued=4)
    assert not writer.flush(0.01)
    assert [record.getMessage() for record in caplog.records] == [
        "the archive does not keep up: attestations are not archived"
    ]
    stuck.go_on.set()
    writer.close()
    assert numbers(tmp_path) == [1, 2, 3, 4]


def test_large_certificates_cannot_fill_the_memory(
    tmp_path: Path, judged: JudgedPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = Stuck(monkeypatch)
    writer = open_writer(tmp_path, max_queued_bytes=2500)
    assert writer.submit(replace(judged, number=1, certificate=b"small"))
    assert stuck.entered.wait(60)
    taken = [writer.submit(replace(judged, number=number, certificate=bytes(1000))) for number in (2, 3, 4)]
    assert taken == [True, True, False]
    stuck.go_on.set()
    assert writer.flush(60)
    assert writer.submit(replace(judged, number=5, certificate=bytes(1000)))
    writer.close()
    assert numbers(tmp_path) == [1, 2, 3, 5]


def no_room() -> None:
    raise ArchiveError("database or disk is full")


def a_fault() -> None:
    raise KeyError("a fault")


@pytest.mark.parametrize("failure", [(no_room, "disk is full"), (a_fault, "a fault in the program")])
def test_what_cannot_be_written_is_counted_and_the_next_is_tried(
    tmp_path: Path,
    judged: JudgedPeer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failure: tuple[Callable[[], None], str],
) -> None:
    fail, why = failure
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        stuck = Stuck(patch, fail)
        stuck.go_on.set()
        writer = open_writer(tmp_path)
        writer.submit(judged)
        assert writer.flush(60)
        assert writer.counts == ArchiveCounts(archived=0, dropped=0, failed=1, queued=0)
        assert why in str([vars(record) for record in caplog.records])
    assert writer.submit(replace(judged, number=2))
    writer.close()
    assert numbers(tmp_path) == [2]


def test_after_the_end_nothing_is_taken(tmp_path: Path, judged: JudgedPeer) -> None:
    writer = open_writer(tmp_path)
    writer.close()
    assert not writer.submit(judged)
    assert writer.counts.dropped == 1


def test_an_end_does_not_wait_for_ever(
    tmp_path: Path, judged: JudgedPeer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stuck = Stuck(monkeypatch)
    writer = open_writer(tmp_path)
    writer.submit(judged)
    with caplog.at_level(logging.WARNING):
        writer.close(timeout_s=0.05)
    assert "did not write everything" in caplog.text
    stuck.go_on.set()
    writer.close()


def test_what_is_too_old_goes_also_while_nobody_attests(
    tmp_path: Path, judged: JudgedPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PRUNE_INTERVAL_S", 0.01)
    pruned = threading.Event()
    instants = iter([NOW])

    def clock() -> datetime:
        instant = next(instants, NOW + timedelta(days=400))
        if instant != NOW:
            pruned.set()
        return instant

    writer = ArchiveWriter(tmp_path, bounds=ArchiveBounds(), clock=clock)
    with ArchiveStore(tmp_path, ArchiveBounds()) as store:
        store.add([], NOW)
    writer.submit(judged)
    assert pruned.wait(60)
    writer.close()
    assert numbers(tmp_path) == []
