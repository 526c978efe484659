"""What a service does for many: one fetch for all that want it, news for whoever is told, and what is due in time."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from threading import Barrier, Event, Timer

import pytest

from tests.unit.collateral.desk import NOW, Desk, Shelf, all_from, sources_of, until
from tests.unit.collateral.endorser import APPRAISED, DAY, START, Endorser, collateral_of, damaged
from verdictd.collateral.deadline import Deadline
from verdictd.collateral.items import CollateralItem, ItemKind, ItemName
from verdictd.collateral.refresher import Refresher
from verdictd.collateral.service import CollateralService
from verdictd.collateral.sources import FixedSource
from verdictd.collateral.store import OfferStatus
from verdictd.core.errors import CollateralUnavailableError
from verdictd.tees.dcap.memory import FactMemory

TCB_INFO = ItemKind.TCB_INFO
HOUR = 3600


def name_of(endorser: Endorser, kind: ItemKind = TCB_INFO) -> ItemName:
    return endorser.key(kind).name


class Gate:
    """Holds up a source until it is opened."""

    def __init__(self, shelf: Shelf) -> None:
        self._open = Event()
        shelf.before_answer = self._wait

    def _wait(self, _: Deadline) -> None:
        assert self._open.wait(30)

    def open(self) -> None:
        self._open.set()


@contextmanager
def closed(shelf: Shelf) -> Iterator[Gate]:
    gate = Gate(shelf)
    try:
        yield gate
    finally:
        gate.open()


def fail(_: Deadline) -> None:
    raise ZeroDivisionError


# --- who is told of what is newer ---


def test_each_newer_item_is_told_of_once_and_nothing_else_is(endorser: Endorser) -> None:
    desk = Desk(endorser)
    first, second = endorser.tcb_info(1), endorser.tcb_info(2)
    statuses = [
        desk.service.offer(item, NOW).status
        for item in (first, first, damaged(endorser.tcb_info(9)), endorser.tcb_info(8, day=90), second, first, second)
    ]
    kept, held, refused, older = OfferStatus.KEPT, OfferStatus.ALREADY_HELD, OfferStatus.REFUSED, OfferStatus.OLDER
    assert statuses == [kept, held, refused, refused, kept, older, held]
    assert desk.told == [(first, False), (second, False)]


def test_what_a_peer_brings_is_told_of_as_such_and_kept_apart(endorser: Endorser) -> None:
    desk = Desk(endorser)
    own, brought = endorser.tcb_info(2), endorser.tcb_info(1)
    desk.service.offer(own, NOW)
    assert desk.service.offer_from_peer(brought, NOW).status is OfferStatus.KEPT, "the newest that peers have brought"
    assert desk.service.offer_from_peer(brought, NOW).status is OfferStatus.ALREADY_HELD
    assert desk.told == [(own, False), (brought, True)]
    known, peers = desk.service.known()
    assert ([item.item for item in known], [item.item for item in peers]) == ([own], [brought])
    assert sources_of(desk.find())[TCB_INFO] == "test"


def test_what_a_peer_brings_for_another_platform_is_told_to_nobody(endorser: Endorser) -> None:
    desk = Desk(endorser)
    other = endorser.tcb_info(fmspc=bytes(6))
    outcome = desk.service.offer_from_peer(other, NOW, only=endorser.key(TCB_INFO))
    assert outcome.status is OfferStatus.REFUSED
    desk.find(collateral_of(other))
    assert desk.told == []


def test_what_a_source_gives_while_somebody_waits_is_told_of(endorser: Endorser) -> None:
    desk = Desk(endorser, Shelf(*endorser.items(source="shelf")))
    desk.find()
    desk.find()
    assert sorted(item.kind for item, _ in desk.told) == sorted(APPRAISED)
    assert not any(is_from_peer for _, is_from_peer in desk.told)


# --- one item, for whoever asks ---


@pytest.mark.parametrize("kind", APPRAISED)
def test_what_is_held_and_fresh_is_given_without_asking_a_source(endorser: Endorser, kind: ItemKind) -> None:
    shelf = Shelf()
    desk = Desk(endorser, shelf)
    item = endorser.item(kind)
    desk.service.offer(item, NOW)
    assert desk.service.fetch_item(name_of(endorser, kind), NOW) == (item,)
    assert shelf.asked == []


def test_twenty_that_want_what_is_missing_have_the_source_asked_once(endorser: Endorser) -> None:
    shelf = Shelf(endorser.tcb_info(source="shelf"))
    desk = Desk(endorser, shelf)
    together = Barrier(20)

    def want() -> tuple[CollateralItem, ...]:
        together.wait(10)
        return desk.service.fetch_item(name_of(endorser), NOW)

    with closed(shelf) as gate, ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(want) for _ in range(20)]
        until(lambda: shelf.asked == [TCB_INFO])
        gate.open()
        assert {answer.result(10)[0].source for answer in answers} == {"shelf"}
    assert shelf.asked == [TCB_INFO]


def test_what_has_expired_and_is_not_to_be_had_is_refused_with_the_reasons(endorser: Endorser) -> None:
    shelf, second = Shelf(), Shelf()
    shelf.down = second.down = "no route to it"
    second.name = "second"
    desk = Desk(endorser, shelf, second)
    desk.service.offer(endorser.tcb_info(days=5, source="earlier"), START + DAY)
    with pytest.raises(CollateralUnavailableError) as caught:
        desk.service.fetch_item(name_of(endorser), NOW)
    assert str(caught.value) == (
        f"SGX TCB info for FMSPC {endorser.fmspc.hex()}: the newest known, from earlier, expired at"
        " 2026-03-06T00:00:00Z; shelf: no route to it; second: no route to it"
    )


def test_what_has_expired_is_fetched_anew(endorser: Endorser) -> None:
    shelf = Shelf(endorser.tcb_info(2, day=4, source="shelf"))
    desk = Desk(endorser, shelf)
    desk.service.offer(endorser.tcb_info(days=5), START + DAY)
    assert [item.source for item in desk.service.fetch_item(name_of(endorser), NOW)] == ["shelf"]


def test_without_any_source_the_reason_names_the_settings(endorser: Endorser) -> None:
    with pytest.raises(CollateralUnavailableError, match=r"none; no source is configured \(--collateral, --pccs-url"):
        Desk(endorser).service.fetch_item(name_of(endorser), NOW)


def test_what_only_a_peer_brought_is_not_given_for_the_sources_own(endorser: Endorser) -> None:
    """Whoever asks would hold it as the sources' own: they would not be asked again when they are back."""
    shelf = Shelf(endorser.tcb_info(2, source="shelf"))
    shelf.down = "closed"
    desk = Desk(endorser, shelf)
    desk.service.offer_from_peer(endorser.tcb_info(1, source="peer"), NOW)
    with pytest.raises(CollateralUnavailableError, match="shelf: closed"):
        desk.service.fetch_item(name_of(endorser), NOW)
    shelf.down = ""
    desk.seconds.now += 6
    assert [item.source for item in desk.service.fetch_item(name_of(endorser), NOW)] == ["shelf"]


def test_what_one_root_vouches_for_does_not_hide_what_another_lacks(endorser: Endorser, stranger: Endorser) -> None:
    ours = FixedSource(name="files", at_hand=endorser.items(source="files"))
    theirs = Shelf(*stranger.items(source="shelf"))
    desk = Desk(endorser, ours, theirs, others=(stranger,))
    desk.service.preload(NOW)
    found = desk.service.fetch_item(name_of(endorser, ItemKind.QE_IDENTITY), NOW)
    assert sorted(item.source for item in found) == ["files", "shelf"]
    assert len(theirs.asked) == 1
    desk.service.fetch_item(name_of(endorser, ItemKind.QE_IDENTITY), NOW)
    assert len(theirs.asked) == 1


# --- a source that never answers ---


def test_fifty_unknown_platforms_at_a_silent_source_do_not_hold_up_a_known_one(endorser: Endorser) -> None:
    shelf = Shelf(*endorser.items(source="shelf"))
    desk = Desk(endorser, shelf, max_waiting=8, call_seconds=60)
    desk.find()
    known = len(shelf.asked)

    def want(number: int) -> dict[ItemKind, str]:
        found = desk.service.collateral_for(
            root=endorser.root, fmspc=bytes([number] * 6), pck_ca="platform", peer=None, at=NOW
        )
        return dict(found.reasons)

    with closed(shelf) as gate, ThreadPoolExecutor(50) as pool:
        unknown = [pool.submit(want, number) for number in range(50)]
        until(lambda: sum(each.done() for each in unknown) == 42 and len(shelf.asked) == known + 50)
        waiting = [each for each in unknown if not each.done()]
        told = [each.result()[TCB_INFO] for each in unknown if each not in waiting]
        assert all("8 others wait for collateral already" in why for why in told)
        for _ in range(100):  # it would wait for a minute
            assert sources_of(desk.find()) == all_from("shelf")
            assert desk.service.fetch_item(name_of(endorser), NOW)
        assert not any(each.done() for each in waiting), "the source has still not answered anybody"
        gate.open()
        assert all("it gave the SGX TCB info" in each.result(10)[TCB_INFO] for each in waiting)


def test_who_no_longer_waits_makes_room_for_others(endorser: Endorser) -> None:
    desk = Desk(endorser, Shelf(*endorser.items(source="shelf")), max_waiting=1)
    for kind in APPRAISED:
        assert desk.service.fetch_item(name_of(endorser, kind), NOW)
    broken = Shelf()
    broken.before_answer = fail
    failing = Desk(endorser, broken, max_waiting=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            failing.find()


# --- an operator has all of it asked for ---


def test_an_operator_has_everything_asked_for_and_is_told_what_became_of_it(endorser: Endorser) -> None:
    shelf = Shelf(*endorser.items(1))
    desk = Desk(endorser, shelf)
    desk.find()
    newer = endorser.tcb_info(2, source="newer")
    shelf.items = {item.kind: item for item in (*endorser.items(1)[1:3], newer)}
    del shelf.items[ItemKind.PCK_CRL]
    shelf.items[ItemKind.ROOT_CA_CRL] = damaged(endorser.root_ca_crl(3))
    outcomes = {key.name.kind: why for key, why in desk.service.refresh(NOW)}
    assert set(outcomes) == set(APPRAISED)
    assert outcomes[TCB_INFO] == outcomes[ItemKind.QE_IDENTITY] == ""
    assert outcomes[ItemKind.PCK_CRL] == "it has none"
    assert "is refused" in outcomes[ItemKind.ROOT_CA_CRL]
    assert sources_of(desk.find())[TCB_INFO] == "newer"


def test_an_operator_need_not_wait_until_a_source_may_be_asked_again(endorser: Endorser) -> None:
    shelf = Shelf(*endorser.items(1))
    desk = Desk(endorser, shelf)
    desk.find()
    shelf.down = "closed"
    assert {why for _, why in desk.service.refresh(NOW)} == {"closed"}
    asked = len(shelf.asked)
    desk.service.refresh_due(NOW)
    assert len(shelf.asked) == asked, "it is left alone"
    shelf.down = ""
    assert {why for _, why in desk.service.refresh(NOW)} == {""}
    assert len(shelf.asked) == asked + 4


def test_a_refresh_that_got_no_answer_is_not_said_to_have_gone_well(endorser: Endorser) -> None:
    shelf = Shelf(*endorser.items(1))
    desk = Desk(endorser, shelf, call_seconds=0.05)
    for item in endorser.items():
        desk.service.offer(item, NOW)
    with closed(shelf):
        assert {why for _, why in desk.service.refresh(NOW)} == {"no source answered within 0.05 s"}


def hold_many(desk: Desk, endorser: Endorser) -> None:
    """Have more held than is fetched at once."""
    for number in range(70):
        assert desk.service.offer(endorser.tcb_info(fmspc=bytes([number] * 6)), NOW).status is OfferStatus.KEPT


def test_a_refresh_of_more_than_can_be_fetched_at_once_says_what_was_left_out(endorser: Endorser) -> None:
    shelf = Shelf()
    desk = Desk(endorser, shelf, call_seconds=0.05)
    desk.service._clock = time.monotonic
    hold_many(desk, endorser)
    with closed(shelf):
        whys = [why for _, why in desk.service.refresh(NOW)]
    assert whys.count("too much else is being fetched") == 70 - 16
    assert whys.count("no source answered within 0.05 s") == 16


def test_a_refresh_of_more_than_can_be_fetched_at_once_goes_on_as_long_as_the_source_answers(
    endorser: Endorser,
) -> None:
    shelf = Shelf()
    desk = Desk(endorser, shelf)
    hold_many(desk, endorser)
    with closed(shelf) as gate:  # so that the first sixteen are under way when the next is to be asked for
        Timer(0.2, gate.open).start()
        assert [why for _, why in desk.service.refresh(NOW)] == ["it has none"] * 70
    assert len(shelf.asked) == 70


def test_refreshes_that_hang_leave_room_for_what_a_peer_waits_for(endorser: Endorser) -> None:
    """The peer's own items come at once, while the source keeps all else waiting."""
    shelf = Shelf(*endorser.items())
    desk = Desk(endorser, shelf, call_seconds=30)
    hold_many(desk, endorser)
    with closed(shelf) as gate:
        desk.service.refresh_due(NOW)
        until(lambda: len(shelf.asked) == 16)
        desk.service.refresh_due(NOW)
        shelf.before_answer = lambda _: None  # who is waiting already goes on waiting
        assert desk.find().notes == ()
        assert len(shelf.asked) == 16 + 4
        gate.open()
        until(lambda: not desk.service._flights._flights)
    with closed(shelf):  # the first are left alone for a while: others have their turn
        desk.service.refresh_due(NOW)
        until(lambda: len(shelf.asked) == 16 + 4 + 16)


def test_a_refresh_without_sources_says_so(endorser: Endorser) -> None:
    desk = Desk(endorser)
    desk.service.offer(endorser.tcb_info(), NOW)
    ((key, why),) = desk.service.refresh(NOW)
    assert key == endorser.key(TCB_INFO)
    assert why.startswith("no source is configured")


def test_a_fault_of_ours_is_not_taken_for_a_refresh(endorser: Endorser) -> None:
    shelf = Shelf()
    shelf.before_answer = fail
    desk = Desk(endorser, shelf)
    desk.service.offer(endorser.tcb_info(), NOW)
    with pytest.raises(ZeroDivisionError):
        desk.service.refresh(NOW)


# --- what is due ---


def settled(desk: Desk, shelf: Shelf, count: int) -> bool:
    """Whether so many questions were asked, and each was dealt with."""
    keys = [item.key for item in desk.service.known()[0]]
    return len(shelf.asked) == count and not any(desk.service._flights._flights.get(key) for key in keys)


def refresh_due(desk: Desk, shelf: Shelf, *, expect: int, at: datetime = NOW) -> None:
    """Have what is due asked for, and see that it was so much."""
    before = len(shelf.asked)
    desk.service.refresh_due(at)
    until(lambda: settled(desk, shelf, before + expect))


def test_what_was_held_before_a_source_was_ever_asked_is_due_at_once(endorser: Endorser) -> None:
    shelf = Shelf(*endorser.items(2, source="new"))
    desk = Desk(endorser, shelf)
    for item in endorser.items(1, source="from disk"):
        desk.service.offer(item, NOW)
    refresh_due(desk, shelf, expect=4)
    assert sources_of(desk.find()) == all_from("new")
    refresh_due(desk, shelf, expect=0)


def test_what_was_fetched_is_due_within_the_hour_and_not_before(endorser: Endorser) -> None:
    shelf = Shelf(*endorser.items())
    desk = Desk(endorser, shelf)
    desk.find()
    desk.seconds.now += 0.8 * HOUR - 1
    refresh_due(desk, shelf, expect=0)
    desk.seconds.now += 0.2 * HOUR + 1
    refresh_due(desk, shelf, expect=4)


def test_what_was_just_fetched_is_due_in_half_of_its_own_lifetime(endorser: Endorser) -> None:
    """Not after an hour: it would expire before that, and a peer would have to wait, or be refused."""
    minutes = 20 / 24 / 60
    shelf = Shelf(*endorser.items(day=10, days=minutes))
    desk = Desk(endorser, shelf)
    desk.find()
    desk.seconds.now += 0.8 * 600 - 1
    refresh_due(desk, shelf, expect=0)
    desk.seconds.now += 0.2 * 600 + 1
    refresh_due(desk, shelf, expect=4)


def test_what_was_renewed_is_due_by_its_own_lifetime_and_not_by_that_of_the_one_before(endorser: Endorser) -> None:
    shelf = Shelf(endorser.tcb_info(1, day=10, days=1 / 24 / 60))
    desk = Desk(endorser, shelf)
    desk.service.fetch_item(name_of(endorser), NOW)
    shelf.items[TCB_INFO] = endorser.tcb_info(2, day=10)
    desk.seconds.now += 30
    refresh_due(desk, shelf, expect=1)
    desk.seconds.now += 60
    refresh_due(desk, shelf, expect=0)


def test_what_is_soon_too_old_for_the_operator_is_due_in_time(endorser: Endorser) -> None:
    shelf = Shelf(endorser.tcb_info(1, day=9))
    desk = Desk(endorser, shelf, max_age=DAY * (1 + 1 / 24))
    desk.service.fetch_item(name_of(endorser), NOW)
    desk.seconds.now += HOUR / 2
    refresh_due(desk, shelf, expect=1)


def test_a_source_that_has_nothing_newer_near_the_end_is_not_pestered(endorser: Endorser) -> None:
    shelf = Shelf(endorser.tcb_info(1, day=10, days=1 / 86400))
    desk = Desk(endorser, shelf)
    desk.service.fetch_item(name_of(endorser), NOW)
    for _ in range(30):
        desk.seconds.now += 0.1
        refresh_due(desk, shelf, expect=0)


def test_a_source_that_fails_is_asked_ever_more_rarely_and_what_is_held_stays(endorser: Endorser) -> None:
    shelf = Shelf(endorser.tcb_info())
    desk = Desk(endorser, shelf)
    desk.service.fetch_item(name_of(endorser), NOW)
    shelf.down = "closed"
    desk.seconds.now += HOUR
    times = []
    for second in range(200):
        before = len(shelf.asked)
        desk.service.refresh_due(NOW)
        until(lambda: not desk.service._flights._flights)
        times += [second] * (len(shelf.asked) - before)
        desk.seconds.now += 1
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert times[:2] == [0, 5]
    for pause, full in zip(pauses, (5, 10, 20, 40, 80), strict=False):
        assert 0.8 * full <= pause <= full + 1
    assert len(pauses) >= 4
    assert desk.service.fetch_item(name_of(endorser), NOW)


def test_what_a_source_wishes_is_heard_through_the_service(endorser: Endorser) -> None:
    shelf = Shelf()

    def limit(_: Deadline) -> None:
        raise CollateralUnavailableError("429", retry_after_s=120)

    shelf.before_answer = limit
    desk = Desk(endorser, shelf)
    desk.find()
    assert desk.service.describe_attempts(endorser.key(TCB_INFO)) == (120, "429")
    desk.seconds.now += 119
    desk.find()
    assert len(shelf.asked) == 4
    desk.seconds.now += 1
    desk.find()
    assert len(shelf.asked) == 8


def test_what_only_peers_brought_is_not_asked_for_by_itself(endorser: Endorser) -> None:
    shelf = Shelf(*endorser.items())
    desk = Desk(endorser, shelf)
    desk.service.offer_from_peer(endorser.tcb_info(), NOW)
    refresh_due(desk, shelf, expect=0)


# --- the thread that looks what is due ---


class Watched(CollateralService):
    """A service that tells when it was looked after, and may fail."""

    def __init__(self, endorser: Endorser, *, fails: int = 0) -> None:
        super().__init__(roots=endorser.roots, memory=FactMemory(), sources=())
        self.at: list[datetime] = []
        self.fails = fails
        self.looked = Event()

    def refresh_due(self, at: datetime) -> None:
        self.at.append(at)
        if len(self.at) <= self.fails:
            raise ZeroDivisionError
        self.looked.set()


@contextmanager
def refreshing(service: Callable[[], CollateralService | None], at: datetime = NOW) -> Iterator[None]:
    refresher = Refresher(service, lambda: at, interval_s=0.001)
    refresher.start()
    try:
        yield
    finally:
        refresher.stop()
        assert not refresher._thread.is_alive()


def test_the_refresher_looks_at_the_time_that_its_clock_says(endorser: Endorser) -> None:
    watched = Watched(endorser)
    with refreshing(lambda: watched, START + 3 * DAY):
        assert watched.looked.wait(10)
    assert set(watched.at) == {START + 3 * DAY}


def test_the_refresher_fetches_what_is_due(endorser: Endorser) -> None:
    shelf = Shelf(*endorser.items(2, source="new"))
    desk = Desk(endorser, shelf)
    desk.service.offer(endorser.tcb_info(1), NOW)
    with refreshing(lambda: desk.service):
        until(lambda: len(desk.told) == 2)
    assert desk.told[1] == (shelf.items[TCB_INFO], False)
    assert shelf.asked == [TCB_INFO]


def test_the_refresher_waits_for_a_service_and_takes_the_one_of_now(endorser: Endorser) -> None:
    services: list[CollateralService | None] = [None, None, first := Watched(endorser), second := Watched(endorser)]
    with refreshing(lambda: services.pop(0) if len(services) > 1 else services[0]):
        assert second.looked.wait(10)
    assert len(first.at) == 1


def test_a_fault_does_not_end_the_refresher_and_is_logged(endorser: Endorser, caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched(endorser, fails=1)
    with refreshing(lambda: watched):
        assert watched.looked.wait(10)
    assert caplog.messages == ["collateral cannot be refreshed, this is a fault in the program"]


def test_a_refresher_that_was_never_started_can_be_stopped(endorser: Endorser) -> None:
    Refresher(lambda: Desk(endorser).service, lambda: NOW).stop()
