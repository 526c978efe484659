"""Certificates of platforms are renewed by themselves: by one process at a time, and not against upstream's wish."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import accumulate, repeat
from pathlib import Path

import pytest

from tests.unit.pccs.services.pck_desk import HIGH, LIKE_A_PCCS, OTHER, OWN, Desk, open_desk, registration
from verdictd.pccs.errors import UnavailableError
from verdictd.pccs.model import Mode, PCKSet, Platform, PlatformKey
from verdictd.pccs.pck_cache import StoredPCKCache
from verdictd.simulator.behaviour import Fault
from verdictd.simulator.family import encode_identity

DAY = timedelta(days=1)
FIRST = PlatformKey(f"{0:032X}", "0000")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with open_desk(tmp_path) as opened:
        yield opened


def filled(desk: Desk, platforms: int = 1, mode: Mode = Mode.LAZY) -> StoredPCKCache:
    cache = desk.cache(mode)
    for number in range(platforms):
        key = PlatformKey(f"{number:032X}", "0000")
        platform = Platform(key=key, enc_ppid=encode_identity(b"%d" % number))
        cache.register(replace(registration(), platform=platform), desk.clock())
    return cache


def held(desk: Desk) -> PCKSet:
    pck_set = desk.storage.platforms.get(FIRST)
    assert pck_set is not None
    return pck_set


@pytest.mark.parametrize("mode", [Mode.LAZY, Mode.REQ])
def test_what_was_had_a_period_ago_is_asked_for_again(desk: Desk, mode: Mode) -> None:
    cache = filled(desk, 3, mode)
    cache.refresh_due(desk.clock())
    desk.clock.now += timedelta(hours=18)  # less than four fifths of the period
    cache.refresh_due(desk.clock())
    assert desk.asked("pckcerts") == 3
    desk.clock.now += timedelta(hours=7)
    cache.refresh_due(desk.clock())
    assert desk.asked("pckcerts") == 6
    cache.refresh_due(desk.clock())
    assert desk.asked("pckcerts") == 6


def test_a_choice_is_made_anew_among_what_came(desk: Desk) -> None:
    cache = filled(desk, 0)
    lacking = encode_identity(b"x", has_newest=False)
    desk.ask(cache, lacking, HIGH)
    desk.clock.now += 2 * DAY
    cache.refresh_due(desk.clock())
    assert desk.asked("pckcerts") == 2
    desk.told(Fault(status=503))
    assert desk.ask(cache, b"", HIGH) <= HIGH


def test_at_most_ten_a_second_are_asked_for(desk: Desk) -> None:
    cache = filled(desk, 12)
    desk.clock.now += 2 * DAY
    cache.refresh_due(desk.clock())
    assert desk.asked("pckcerts") == 12 + 10
    desk.clock.now += timedelta(seconds=1)
    cache.refresh_due(desk.clock())
    assert desk.asked("pckcerts") == 12 + 12


def test_a_slow_upstream_is_asked_for_one_at_a_time(desk: Desk) -> None:
    filled(desk, 3)
    cache = desk.cache(ticks=accumulate(repeat(6.0)).__next__)
    desk.clock.now += 2 * DAY
    for asked in (4, 5, 6):
        cache.refresh_due(desk.clock())
        assert desk.asked("pckcerts") == asked


def test_one_process_at_a_time_does_it(desk: Desk) -> None:
    one, other = filled(desk, 12), desk.cache(holder="other")
    desk.clock.now += 2 * DAY
    one.refresh_due(desk.clock())
    other.refresh_due(desk.clock())
    assert desk.asked("pckcerts") == 12 + 10
    desk.clock.now += timedelta(minutes=2)  # the one has died: its lease ends
    other.refresh_due(desk.clock())
    assert desk.asked("pckcerts") == 12 + 12  # what the one has had is not asked for again


def test_upstream_that_is_down_is_left_alone_for_a_while(desk: Desk) -> None:
    cache = filled(desk, 3)
    desk.clock.now += 2 * DAY
    desk.told(Fault(status=503))
    cache.refresh_due(desk.clock())
    asked = desk.asked("pckcerts")
    desk.told()
    desk.clock.now += timedelta(minutes=9)
    cache.refresh_due(desk.clock())
    assert desk.asked("pckcerts") == asked
    desk.clock.now += timedelta(minutes=1)
    cache.refresh_due(desk.clock())
    assert desk.asked("pckcerts") == asked + 2
    desk.clock.now += timedelta(seconds=1)
    cache.refresh_due(desk.clock())
    desk.clock.now += timedelta(hours=1)
    cache.refresh_due(desk.clock())  # the one that failed is asked for the next time around
    assert desk.asked("pckcerts") == asked + 3


def test_what_upstream_no_longer_knows_holds_nothing_up(desk: Desk) -> None:
    cache = filled(desk, 3)
    desk.clock.now += 2 * DAY
    desk.told(Fault(route="*/pckcerts", status=404, times=1))
    cache.refresh_due(desk.clock())
    assert desk.asked("pckcerts") == 6
    assert desk.storage.attempts.count_failures() == 0
    assert desk.ask(cache, b"", OWN, FIRST) == OWN  # what is held is still handed out


def test_a_clock_that_was_set_back_stops_nothing(desk: Desk) -> None:
    cache = filled(desk, 1)
    desk.clock.now += 20 * DAY
    cache.refresh_due(desk.clock())
    desk.clock.now -= 10 * DAY
    desk.storage.platforms.keep(replace(held(desk), fetched_at=desk.clock() - 5 * DAY))
    cache.refresh_due(desk.clock())
    assert desk.asked("pckcerts") == 3


def test_of_a_cache_as_upstream_each_tcb_is_asked_for(desk: Desk) -> None:
    desk.told(LIKE_A_PCCS)
    cache = desk.cache()
    desk.ask(cache)
    desk.ask(cache, b"", HIGH)
    asked = desk.asked("pckcert")
    desk.clock.now += 2 * DAY
    cache.refresh_due(desk.clock())
    assert desk.asked("pckcert") == asked + 2


def test_nobody_is_asked_for_what_only_an_operator_brought(desk: Desk) -> None:
    cache = filled(desk, 1)
    pck_set = held(desk)
    cache.offer(replace(pck_set, platform=replace(pck_set.platform, key=OTHER, enc_ppid=b"")), desk.clock())
    desk.clock.now += 2 * DAY
    cache.refresh_due(desk.clock())
    assert desk.asked("pckcerts") == 2


def test_offline_nobody_is_asked(desk: Desk) -> None:
    filled(desk, 1)
    desk.clock.now += 2 * DAY
    cache = desk.cache(Mode.OFFLINE)
    cache.refresh_due(desk.clock())
    with pytest.raises(UnavailableError, match="nothing is refreshed here: upstream is never asked") as refusal:
        cache.refresh(desk.clock())
    assert (refusal.value.status, refusal.value.problem) == (503, "offline")
    assert "pccs import FILE" in refusal.value.remedy
    assert desk.asked("pckcerts") == 1
