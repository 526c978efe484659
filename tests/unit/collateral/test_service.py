import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.collateral.desk import NOW, Desk, Shelf, all_from, sources_of, until
from tests.unit.collateral.endorser import APPRAISED, DAY, START, Endorser, collateral_of, damaged
from verdictd.collateral.deadline import Deadline
from verdictd.collateral.items import ItemKind
from verdictd.collateral.sources import FixedSource
from verdictd.collateral.store import OfferStatus
from verdictd.tees.dcap.collateral import Collateral

TCB_INFO = ItemKind.TCB_INFO


# --- the verifier's own sources ---


def test_what_is_missing_is_fetched_once_and_then_held(endorser: Endorser) -> None:
    shelf = Shelf(*endorser.items(source="shelf"))
    desk = Desk(endorser, shelf)
    first, second = desk.find(), desk.find()
    assert sources_of(first) == all_from("shelf")
    assert first.notes == ()
    assert second == first
    assert sorted(shelf.asked) == sorted(APPRAISED)


def test_an_item_that_expired_is_fetched_again(endorser: Endorser) -> None:
    shelf = Shelf(*endorser.items(source="old"))
    desk = Desk(endorser, shelf)
    desk.find()
    shelf.items[TCB_INFO] = endorser.tcb_info(2, day=20, source="new")
    later = desk.find(at=START + 30 * DAY)
    assert sources_of(later)[TCB_INFO] == "new"
    assert [note.split(":")[0] for note in later.notes] == [
        "SGX QE identity",
        "CRL of the PCK platform CA",
        "CRL of the root CA",
    ]


def test_what_expired_is_handed_out_where_nothing_newer_is_to_be_had(endorser: Endorser) -> None:
    shelf = Shelf(*endorser.items(source="shelf"))
    desk = Desk(endorser, shelf)
    desk.find()
    shelf.down = "no route to shelf"
    found = desk.find(at=START + 31 * DAY)
    assert sources_of(found) == all_from("shelf")
    assert found.notes[0] == (
        f"SGX TCB info for FMSPC {endorser.fmspc.hex()}: the newest known, from shelf, expired at"
        " 2026-03-31T00:00:00Z; shelf: no route to shelf"
    )


def test_a_source_that_fell_back_to_an_older_set_is_not_followed(endorser: Endorser) -> None:
    shelf = Shelf(*endorser.items(2, days=5, source="newer"))
    desk = Desk(endorser, shelf)
    desk.find(at=START + DAY)
    shelf.items = {item.kind: item for item in endorser.items(1, day=4, source="older")}
    found = desk.find()
    assert sources_of(found) == all_from("newer")
    assert "it is older (number 1, issued 2026-03-05T00:00:00Z) than the one known from newer" in found.notes[0]


def test_files_come_first_and_others_are_asked_for_what_they_lack(endorser: Endorser) -> None:
    files = FixedSource(name="files", at_hand=(endorser.tcb_info(source="file"), endorser.root_ca_crl(source="file")))
    shelf = Shelf(*endorser.items(2, source="shelf"))
    desk = Desk(endorser, files, shelf)
    assert desk.service.sources == (files, shelf)
    assert [outcome.status for outcome in desk.service.preload(NOW)] == [OfferStatus.KEPT] * 2
    assert sources_of(desk.find()) == {
        ItemKind.TCB_INFO: "file",
        ItemKind.QE_IDENTITY: "shelf",
        ItemKind.PCK_CRL: "shelf",
        ItemKind.ROOT_CA_CRL: "file",
    }
    assert sorted(shelf.asked) == [ItemKind.PCK_CRL, ItemKind.QE_IDENTITY]


def test_files_that_expired_give_way_to_the_next_source(endorser: Endorser) -> None:
    files = FixedSource(name="files", at_hand=endorser.items(1, days=5, source="file"))
    desk = Desk(endorser, files, Shelf(*endorser.items(2, source="shelf")))
    desk.service.preload(START + DAY)
    assert sources_of(desk.find(at=START + 2 * DAY)) == all_from("file")
    assert sources_of(desk.find()) == all_from("shelf")


def test_of_several_files_the_newest_wins_and_bad_ones_are_told_of(endorser: Endorser) -> None:
    bad = damaged(endorser.tcb_info(9, source="bad"))
    files = FixedSource(name="files", at_hand=(endorser.tcb_info(2, source="b"), bad, endorser.tcb_info(1, source="a")))
    desk = Desk(endorser, files)
    outcomes = desk.service.preload(NOW)
    assert [outcome.status for outcome in outcomes] == [OfferStatus.KEPT, OfferStatus.REFUSED, OfferStatus.OLDER]
    assert sources_of(desk.find())[TCB_INFO] == "b"


def test_files_that_were_from_the_future_are_used_once_their_time_has_come(endorser: Endorser) -> None:
    desk = Desk(endorser, FixedSource(name="files", at_hand=endorser.items(source="file")))
    assert {outcome.status for outcome in desk.service.preload(START - DAY)} == {OfferStatus.REFUSED}
    assert sources_of(desk.find(at=START + DAY)) == all_from("file")


def test_a_failing_source_is_left_alone_for_a_while(endorser: Endorser) -> None:
    shelf = Shelf(*endorser.items(source="shelf"))
    shelf.down = "closed"
    desk = Desk(endorser, shelf)
    for _ in range(3):
        found = desk.find()
        assert sources_of(found) == {}
        assert len(found.notes) == 4
        assert found.notes[3] == "CRL of the root CA: none; shelf: closed"
    assert len(shelf.asked) == 4
    shelf.down = ""
    desk.seconds.now += 4.9
    assert sources_of(desk.find()) == {}
    desk.seconds.now += 0.2
    found = desk.find()
    assert sources_of(found) == all_from("shelf")
    assert found.notes == ()


def test_the_next_source_is_asked_where_one_fails(endorser: Endorser) -> None:
    closed, open_shelf = Shelf(), Shelf(*endorser.items(source="open"))
    closed.down = "closed"
    desk = Desk(endorser, closed, open_shelf)
    assert sources_of(desk.find()) == all_from("open")


def test_why_an_answer_is_of_no_use_is_said(endorser: Endorser, stranger: Endorser) -> None:
    shelf = Shelf(
        endorser.tcb_info(fmspc=bytes(6), source="shelf"),
        damaged(endorser.qe_identity(source="shelf")),
        stranger.root_ca_crl(source="shelf"),
    )
    found = Desk(endorser, shelf, others=(stranger,)).find()
    tcb_info, qe_identity, pck_crl, root_ca_crl = found.notes
    assert tcb_info.endswith("shelf: it gave the SGX TCB info for FMSPC 000000000000 under test root instead")
    assert "shelf: what it has from shelf is refused: the signature of QE identity does not verify" in qe_identity
    assert pck_crl.endswith("shelf: it has none")
    assert root_ca_crl.endswith("shelf: it gave the CRL of the root CA under test root instead")
    assert sources_of(found) == {}


def test_without_any_source_the_note_names_the_flags(endorser: Endorser) -> None:
    found = Desk(endorser).find()
    assert found.collateral == Collateral()
    assert "no source is configured (--collateral, --pccs-url or sgx_default_qcnl.conf)" in found.notes[0]


def test_collateral_comes_from_the_root_of_the_platform(endorser: Endorser, stranger: Endorser) -> None:
    files = FixedSource(name="files", at_hand=(*endorser.items(1, source="ours"), *stranger.items(2, source="theirs")))
    desk = Desk(endorser, files, others=(stranger,))
    desk.service.preload(NOW)
    assert sources_of(desk.find()) == all_from("ours")
    assert sources_of(desk.find(endorser=stranger)) == all_from("theirs")


def test_items_older_than_the_operator_accepts_are_asked_for_again(endorser: Endorser) -> None:
    shelf = Shelf(*endorser.items(1, source="old"))
    desk = Desk(endorser, shelf, max_age=7 * DAY)
    assert desk.find(at=START + 7 * DAY).notes == ()
    shelf.items = {item.kind: item for item in endorser.items(1, day=8, source="new")}
    assert sources_of(desk.find(at=START + 8 * DAY)) == all_from("new")
    shelf.down = "closed"
    found = desk.find(at=START + 20 * DAY)
    assert sources_of(found) == all_from("new")
    assert "the newest known, from new, was issued at 2026-03-09T00:00:00Z; shelf: closed" in found.notes[0]


def test_what_is_held_is_asked_for_again_in_the_background_after_an_hour(endorser: Endorser) -> None:
    shelf = Shelf(*endorser.items(1, source="first"))
    desk = Desk(endorser, shelf)
    desk.find()
    shelf.items = {item.kind: item for item in endorser.items(2, source="second")}
    desk.seconds.now += 3600 * 0.8 - 1
    assert sources_of(desk.find()) == all_from("first")
    assert len(shelf.asked) == 4
    gate = Event()
    shelf.before_answer = lambda _: gate.wait(10)
    desk.seconds.now += 3600 * 0.2 + 1
    assert sources_of(desk.find()) == all_from("first")  # does not wait
    gate.set()
    until(lambda: sources_of(desk.find()) == all_from("second"))
    assert len(shelf.asked) == 8


def test_a_failing_refresh_leaves_what_is_held(endorser: Endorser) -> None:
    shelf = Shelf(*endorser.items(1, source="first"))
    desk = Desk(endorser, shelf)
    desk.find()
    shelf.down = "closed"
    desk.seconds.now += 3600
    desk.find()
    until(lambda: len(shelf.asked) == 8)
    found = desk.find()
    assert sources_of(found) == all_from("first")
    assert found.notes == ()


def test_held_items_can_be_seen(endorser: Endorser) -> None:
    desk = Desk(endorser, Shelf(endorser.tcb_info(4, days=20, source="shelf")))
    desk.find(endorser.peer(7, kinds=(ItemKind.PCK_CRL,)))
    tcb_info, pck_crl = desk.service.held(START + 25 * DAY)
    assert tcb_info.kind is TCB_INFO
    assert tcb_info.name == f"SGX TCB info for FMSPC {endorser.fmspc.hex()}"
    assert (tcb_info.source, tcb_info.sequence, tcb_info.in_time) == ("shelf", (4, START), False)
    assert (tcb_info.issue_date, tcb_info.next_update) == (START, START + 20 * DAY)
    assert tcb_info.root.fingerprint == endorser.root
    assert (pck_crl.name, pck_crl.source, pck_crl.in_time) == ("CRL of the PCK platform CA", "peer", True)


# --- the peer ---


@pytest.mark.parametrize("kind", APPRAISED)
def test_a_peer_fills_a_gap(endorser: Endorser, kind: ItemKind) -> None:
    shelf = Shelf(*endorser.items(1, source="shelf"))
    del shelf.items[kind]
    found = Desk(endorser, shelf).find(endorser.peer(1))
    assert sources_of(found) == {**all_from("shelf"), kind: "peer"}
    assert found.notes == ()


@pytest.mark.parametrize("kind", APPRAISED)
@pytest.mark.parametrize("number", [1, 2], ids=["older", "the same number and date"])
def test_a_peer_does_not_replace_what_is_as_new_or_newer(endorser: Endorser, kind: ItemKind, number: int) -> None:
    shelf = Shelf(*endorser.items(2, source="shelf"))
    found = Desk(endorser, shelf).find(endorser.peer(number, days=200, kinds=(kind,)))
    assert sources_of(found) == all_from("shelf")


@pytest.mark.parametrize("kind", APPRAISED)
def test_a_peer_cannot_go_back_to_an_older_set_after_a_newer_one_expired(endorser: Endorser, kind: ItemKind) -> None:
    shelf = Shelf(*endorser.items(2, days=5, source="shelf"))
    desk = Desk(endorser, shelf)
    desk.find(at=START + DAY)
    shelf.down = "closed"
    found = desk.find(endorser.peer(1, day=4, days=30, kinds=(kind,)))
    assert sources_of(found) == all_from("shelf")
    (note,) = (note for note in found.notes if "peer" in note)
    assert "the peer's own is older than that (number 1, issued 2026-03-05T00:00:00Z)" in note


def test_a_peer_that_brings_newer_than_what_expired_fills_the_gap(endorser: Endorser) -> None:
    shelf = Shelf(*endorser.items(2, days=5, source="shelf"))
    desk = Desk(endorser, shelf)
    desk.find(at=START + DAY)
    shelf.down = "closed"
    found = desk.find(endorser.peer(2, day=4))
    assert sources_of(found) == all_from("peer")
    assert found.notes == ()


def test_a_peer_that_brings_strictly_newer_is_judged_by_it_and_others_are_not(endorser: Endorser) -> None:
    desk = Desk(endorser, Shelf(*endorser.items(1, source="shelf")))
    assert sources_of(desk.find(endorser.peer(2))) == all_from("peer")
    assert sources_of(desk.find()) == all_from("shelf")
    assert sources_of(desk.find(endorser.peer(1))) == all_from("shelf")


def test_a_peer_cannot_replace_with_what_has_expired(endorser: Endorser) -> None:
    desk = Desk(endorser, Shelf(*endorser.items(1, source="shelf")))
    assert sources_of(desk.find(endorser.peer(2, days=5))) == all_from("shelf")


def test_in_a_gap_no_peer_goes_back_behind_another(endorser: Endorser) -> None:
    desk = Desk(endorser)
    newer = desk.find(endorser.peer(2))
    assert desk.find(endorser.peer(1)).collateral == newer.collateral
    assert desk.find(None).collateral == newer.collateral


def test_the_own_sources_are_still_asked_where_a_peer_filled_a_gap(endorser: Endorser) -> None:
    shelf = Shelf(*endorser.items(1, source="shelf"))
    shelf.down = "closed"
    desk = Desk(endorser, shelf)
    assert sources_of(desk.find(endorser.peer(2))) == all_from("peer")
    shelf.down = ""
    desk.seconds.now += 6
    assert sources_of(desk.find()) == all_from("shelf")


def test_what_a_peer_brings_for_other_platforms_is_not_kept(endorser: Endorser, stranger: Endorser) -> None:
    desk = Desk(endorser, others=(stranger,))
    brought = collateral_of(
        endorser.tcb_info(fmspc=bytes(6)), endorser.qe_identity(enclave_id="TD_QE"), stranger.root_ca_crl()
    )
    found = desk.find(brought)
    assert found.collateral == Collateral()
    assert desk.service.held(NOW) == ()
    assert "the peer's own is refused: it is the SGX TCB info for FMSPC 000000000000" in found.notes[0]


@pytest.mark.parametrize("kind", APPRAISED)
def test_what_a_peer_damaged_is_refused(endorser: Endorser, kind: ItemKind) -> None:
    found = Desk(endorser).find(collateral_of(damaged(endorser.item(kind))))
    assert found.collateral == Collateral()
    (note,) = (note for note in found.notes if "peer" in note)
    assert "the peer's own is refused" in note
    assert "does not verify" in note


def test_expired_items_of_a_peer_are_handed_out_for_the_appraisal_to_refuse(endorser: Endorser) -> None:
    found = Desk(endorser).find(endorser.peer(1, days=5))
    assert sources_of(found) == all_from("peer")
    assert "the newest known, from peer, expired at 2026-03-06T00:00:00Z" in found.notes[0]


# --- threads and time ---


def test_of_many_callers_one_asks_and_all_are_served(endorser: Endorser) -> None:
    shelf = Shelf(*endorser.items(source="shelf"))
    gate = Event()
    shelf.before_answer = lambda _: gate.wait(10)
    desk = Desk(endorser, shelf)
    with ThreadPoolExecutor(32) as pool:
        calls = [pool.submit(desk.find) for _ in range(32)]
        until(lambda: len(shelf.asked) == 4)
        time.sleep(0.05)
        gate.set()
        assert all(sources_of(call.result()) == all_from("shelf") for call in calls)
    assert sorted(shelf.asked) == sorted(APPRAISED)


def test_a_flight_that_starts_late_finds_the_item_there(endorser: Endorser) -> None:
    shelf = Shelf(*endorser.items(source="shelf"))
    desk = Desk(endorser, shelf)
    desk.find()
    desk.service._fetch(endorser.key(TCB_INFO), NOW)
    assert len(shelf.asked) == 4


def test_of_many_callers_one_learns_of_the_failure_for_all(endorser: Endorser) -> None:
    shelf = Shelf()
    shelf.down = "closed"
    gate = Event()
    shelf.before_answer = lambda _: gate.wait(10)
    desk = Desk(endorser, shelf)
    with ThreadPoolExecutor(16) as pool:
        calls = [pool.submit(desk.find) for _ in range(16)]
        until(lambda: len(shelf.asked) == 4)
        time.sleep(0.05)
        gate.set()
        assert all("shelf: closed" in call.result().notes[0] for call in calls)
    assert len(shelf.asked) == 4


def test_a_source_that_hangs_holds_nobody_beyond_the_time_allowed(endorser: Endorser) -> None:
    shelf = Shelf(*endorser.items(source="shelf"))
    gate = Event()
    shelf.before_answer = lambda _: gate.wait(10)
    desk = Desk(endorser, shelf, call_seconds=0.2)
    begun = time.monotonic()
    found = desk.find(endorser.peer(1, kinds=(TCB_INFO,)))
    assert 0.2 <= time.monotonic() - begun < 2
    assert sources_of(found) == {TCB_INFO: "peer"}
    assert found.notes[2] == "CRL of the root CA: none; no source answered within 0.2 s"
    desk.find()
    assert len(shelf.asked) == 4  # the one that hangs is still waited for, no other is started
    gate.set()
    until(lambda: sources_of(desk.find()) == all_from("shelf"))


def test_why_a_source_failed_once_is_not_said_after_it_answered(endorser: Endorser) -> None:
    shelf = Shelf(*endorser.items(source="shelf"))
    shelf.down = "closed"
    desk = Desk(endorser, shelf, call_seconds=0.2)
    assert "closed" in desk.find().notes[0]
    shelf.down = ""
    desk.seconds.now += 6
    desk.find()
    gate = Event()
    shelf.before_answer = lambda _: gate.wait(10)
    assert "closed" not in desk.find(at=START + 31 * DAY).notes[0]
    gate.set()


def test_too_many_fetches_at_once_are_not_started(endorser: Endorser) -> None:
    shelf = Shelf()
    gate = Event()
    shelf.before_answer = lambda _: gate.wait(10)
    desk = Desk(endorser, shelf, call_seconds=0.005)
    for number in range(70):
        desk.service.collateral_for(root=endorser.root, fmspc=bytes([number] * 6), pck_ca="platform", peer=None, at=NOW)
    assert len(shelf.asked) == 64
    gate.set()


def test_a_source_gets_a_deadline_before_the_callers_own(endorser: Endorser) -> None:
    given: list[float] = []
    shelf = Shelf()
    shelf.before_answer = lambda deadline: given.append(deadline.remaining)
    Desk(endorser, shelf).find()
    assert given == [pytest.approx(9.0)] * 4


def test_a_first_source_that_takes_its_time_leaves_some_to_the_second(endorser: Endorser) -> None:
    given: list[float] = []
    slow, healthy = Shelf(), Shelf(*endorser.items(source="healthy"))
    slow.down = "timed out"
    slow.before_answer = lambda deadline: given.append(deadline.remaining)
    found = Desk(endorser, slow, healthy).find()
    assert given == [pytest.approx(4.5)] * 4
    assert sources_of(found) == all_from("healthy")


def test_a_fault_of_ours_is_not_taken_for_missing_collateral(endorser: Endorser) -> None:
    shelf = Shelf()

    def fail(_: Deadline) -> None:
        raise ZeroDivisionError

    shelf.before_answer = fail
    desk = Desk(endorser, shelf)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            desk.find(endorser.peer(1))


# --- whatever happens ---

ENDORSER = Endorser()
SETS = {
    (number, day): {item.kind: item for item in ENDORSER.items(number, day=day, days=8, source=f"{number}/{day}")}
    for number in (1, 2, 3)
    for day in (0, 6, 12)
}
PEERS = {
    chosen: collateral_of(*(ENDORSER.item(kind, chosen[0], day=chosen[1], days=8, source="peer") for kind in APPRAISED))
    for chosen in SETS
}
STEP = st.tuples(
    st.sampled_from([None, *SETS]),  # what the source has from now on; None: it is down
    st.sampled_from([None, *SETS]),  # what the peer brings
    st.integers(0, 4),  # days that pass
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, min_size=1, max_size=8))
def test_nothing_ever_goes_back_and_no_peer_takes_the_place_of_the_sources(
    steps: list[tuple[tuple[int, int] | None, tuple[int, int] | None, int]],
) -> None:
    shelf = Shelf()
    desk = Desk(ENDORSER, shelf)
    none = (0, START)
    at, own_newest, newest_of_peers = START, none, none
    for has, brings, days in steps:
        at += days * DAY
        desk.seconds.now += 10
        shelf.down = "" if has is not None else "closed"
        shelf.items = SETS[has] if has is not None else {}
        document = desk.find(None if brings is None else PEERS[brings], at=at).collateral.tcb_info

        brought = none if brings is None else (brings[0], START + brings[1] * DAY)
        brought = brought if brought[1] <= at else none  # not yet valid: as if it were not there
        newest_of_peers = max(newest_of_peers, brought)
        own = next((held for held in desk.service.held(at) if held.kind is TCB_INFO and held.source != "peer"), None)
        if own is None:
            assert (document is None) == (newest_of_peers == none)
            assert document is None or document.source == "peer"
            continue
        assert document is not None
        assert own.sequence >= own_newest
        own_newest = own.sequence
        if own.in_time:
            is_newer = brought > own.sequence and at < brought[1] + 8 * DAY
            assert document.source == ("peer" if is_newer else own.source)
        else:
            assert document.source == ("peer" if newest_of_peers > own.sequence else own.source)


# --- after a reload ---


def test_a_reload_forgets_nothing_that_was_newest_although_no_source_answers(endorser: Endorser) -> None:
    before = Desk(endorser, Shelf(*endorser.items(2, source="newer")))
    before.find()
    closed = Shelf()
    closed.down = "closed"
    after = Desk(endorser, closed)
    after.service.inherit(before.service, NOW)
    found = after.find(endorser.peer(1))
    assert sources_of(found) == all_from("newer"), "an older set that is still in time does not count again"


def test_a_reload_asks_for_what_is_newer_before_it_is_done(endorser: Endorser) -> None:
    before = Desk(endorser, Shelf(*endorser.items(source="old")))
    before.find()
    shelf = Shelf(*endorser.items(2, source="new"))
    after = Desk(endorser, shelf)
    after.service.inherit(before.service, NOW)
    asked = len(shelf.asked)
    assert sources_of(after.find()) == all_from("new")
    assert len(shelf.asked) == asked == len(APPRAISED)


def test_what_a_reload_did_not_get_to_ask_for_stays_due(endorser: Endorser) -> None:
    before, gate = Desk(endorser), Event()
    for number in range(40):
        before.service.offer(endorser.tcb_info(fmspc=bytes([number] * 6)), NOW)
    shelf = Shelf()
    shelf.before_answer = lambda _: gate.wait(30)
    after = Desk(endorser, shelf, call_seconds=0.05)
    after.service._clock = time.monotonic
    after.service.inherit(before.service, NOW)
    assert len(shelf.asked) == 16
    gate.set()
    until(lambda: not after.service._flights._flights)
    shelf.before_answer = lambda _: None
    while len(shelf.asked) < 40:  # a pass asks for sixteen at least, and never again for what has just failed
        asked = len(shelf.asked)
        after.service.refresh_due(NOW)
        until(lambda: not after.service._flights._flights)
        assert len(shelf.asked) > asked
    assert len(shelf.asked) == 40


def test_a_reload_leaves_behind_what_its_roots_no_longer_vouch_for(endorser: Endorser) -> None:
    stranger = Endorser()
    before = Desk(stranger, Shelf(*stranger.items(source="stranger")))
    before.find()
    after = Desk(endorser)
    after.service.inherit(before.service, NOW)
    assert after.service.held(NOW) == ()
