from dataclasses import replace
from itertools import permutations
from random import Random
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.collateral.endorser import DAY, START, Endorser, damaged
from verdictd.collateral.items import CollateralItem, ItemKey, ItemKind, ItemName, verify_item
from verdictd.collateral.store import CollateralStore, OfferStatus
from verdictd.tees.dcap.collateral import SignedDocument
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.trust_roots import TrustRoots

NOW = START + 10 * DAY
MEMORY = FactMemory()
ENDORSER = Endorser()
VARIANTS = {
    (number, day, days): ENDORSER.tcb_info(number, day=day, days=days, source=f"{number}/{day}/{days}")
    for number in (1, 2, 3)
    for day in (0, 5, 10)
    for days in (2, 30)
}
"""All were issued by NOW; some have expired by then, and numbers and dates may disagree on which is newer."""


def store(endorser: Endorser, *others: Endorser, **bounds: int) -> CollateralStore:
    roots = tuple(root for each in (endorser, *others) for root in each.roots.roots)
    return CollateralStore(TrustRoots(roots), MEMORY, **bounds)


@pytest.mark.parametrize("kind", list(ItemKind))
def test_each_kind_is_kept_under_what_was_signed(endorser: Endorser, kind: ItemKind) -> None:
    held = store(endorser)
    outcome = held.offer(endorser.item(kind, 7), NOW)
    assert outcome.status is OfferStatus.KEPT
    assert outcome.held is not None
    assert outcome.held.key == endorser.key(kind)
    assert outcome.held.sequence == (7, START)
    assert held.get(endorser.key(kind)) == outcome.held
    assert outcome.reason == ""


@pytest.mark.parametrize("kind", list(ItemKind))
def test_a_damaged_item_is_refused_and_leaves_what_was_there(endorser: Endorser, kind: ItemKind) -> None:
    held = store(endorser)
    held.offer(endorser.item(kind, 1), NOW)
    outcome = held.offer(damaged(endorser.item(kind, 2)), NOW)
    assert outcome.status is OfferStatus.REFUSED
    assert "does not verify" in outcome.reason
    assert outcome.held is None
    kept = held.get(endorser.key(kind))
    assert kept is not None
    assert kept.sequence[0] == 1


@pytest.mark.parametrize("kind", list(ItemKind))
def test_an_item_under_a_root_that_is_not_trusted_is_refused(
    endorser: Endorser, stranger: Endorser, kind: ItemKind
) -> None:
    held = store(endorser)
    assert held.offer(stranger.item(kind), NOW).status is OfferStatus.REFUSED
    assert held.items() == ()


@pytest.mark.parametrize("kind", list(ItemKind))
@pytest.mark.parametrize(("number", "day"), [(2, 9), (3, 0)], ids=["older date", "older number, newer date"])
def test_an_older_item_does_not_take_the_place_of_a_newer_one(
    endorser: Endorser, kind: ItemKind, number: int, day: int
) -> None:
    held = store(endorser)
    newer = endorser.item(kind, 3, day=1, source="newer") if number == 3 else endorser.item(kind, 3, source="newer")
    held.offer(newer, NOW)
    outcome = held.offer(endorser.item(kind, number, day=day, source="older"), NOW)
    assert outcome.status is OfferStatus.OLDER
    assert "from newer" in outcome.reason
    assert outcome.held is not None
    assert outcome.held.item == newer
    kept = held.get(endorser.key(kind))
    assert kept is not None
    assert kept.item == newer


def test_an_expired_item_still_bars_an_older_one_that_is_in_time(endorser: Endorser) -> None:
    held = store(endorser)
    held.offer(endorser.tcb_info(2, days=5), START + DAY)
    outcome = held.offer(endorser.tcb_info(1, day=4, days=30), NOW)
    assert outcome.status is OfferStatus.OLDER
    kept = held.get(endorser.key(ItemKind.TCB_INFO))
    assert kept is not None
    assert kept.sequence[0] == 2
    assert not kept.is_in_time(NOW)


def test_the_same_item_from_elsewhere_keeps_its_first_source(endorser: Endorser) -> None:
    held = store(endorser)
    item = endorser.tcb_info(1, source="first")
    held.offer(item, NOW)
    outcome = held.offer(CollateralItem(kind=item.kind, raw=replace(item.raw, source="second")), NOW)
    assert outcome.status is OfferStatus.ALREADY_HELD
    assert [entry.item.source for entry in held.items()] == ["first"]


def test_the_same_statement_under_a_chain_that_lasts_longer_is_preferred(endorser: Endorser) -> None:
    platform = endorser.platform
    spec = replace(platform.certificate_spec("tcb-signing"), not_after=START + 12 * DAY)
    short = Endorser(platform.with_certificate("tcb-signing", spec)).tcb_info(1, source="short")
    long = endorser.tcb_info(1, source="long")
    for order in permutations([short, long]):
        held = store(endorser)
        for item in order:
            held.offer(item, NOW)
        (kept,) = held.items()
        assert kept.item.source == "long"
        assert kept.is_in_time(START + 20 * DAY)


def test_an_item_expires_with_its_chain(endorser: Endorser) -> None:
    spec = replace(endorser.platform.certificate_spec("tcb-signing"), not_after=START + 12 * DAY)
    item = Endorser(endorser.platform.with_certificate("tcb-signing", spec)).tcb_info(1)
    verified = verify_item(item, endorser.roots, MEMORY)
    assert verified.next_update == START + 30 * DAY
    assert verified.expires_at == START + 12 * DAY
    assert verified.is_in_time(START + 12 * DAY - DAY / 86400)
    assert not verified.is_in_time(START + 12 * DAY)


def test_an_item_from_the_future_is_refused_so_that_it_cannot_displace_a_valid_one(endorser: Endorser) -> None:
    held = store(endorser)
    held.offer(endorser.tcb_info(1), NOW)
    later = endorser.tcb_info(2, day=11)
    outcome = held.offer(later, NOW)
    assert outcome.status is OfferStatus.REFUSED
    assert "valid only from 2026-03-12T00:00:00Z" in outcome.reason
    assert held.offer(later, START + 11 * DAY).status is OfferStatus.KEPT


def test_an_item_that_was_not_asked_for_is_refused(endorser: Endorser) -> None:
    held = store(endorser)
    other = endorser.tcb_info(1, fmspc=bytes(6))
    outcome = held.offer(other, NOW, only=endorser.key(ItemKind.TCB_INFO))
    assert outcome.status is OfferStatus.REFUSED
    assert "SGX TCB info for FMSPC 000000000000" in outcome.reason
    assert held.items() == ()
    assert held.offer(endorser.tcb_info(1), NOW, only=endorser.key(ItemKind.TCB_INFO)).status is OfferStatus.KEPT


def test_platforms_tees_and_roots_do_not_mix(endorser: Endorser, stranger: Endorser) -> None:
    held = store(endorser, stranger)
    offered = [
        endorser.tcb_info(1),
        endorser.tcb_info(1, fmspc=bytes(6)),
        endorser.tcb_info(1, tee="TDX"),
        endorser.qe_identity(1),
        endorser.qe_identity(1, enclave_id="TD_QE"),
        stranger.tcb_info(1),
        stranger.root_ca_crl(1),
        endorser.root_ca_crl(1),
    ]
    assert [held.offer(item, NOW).status for item in offered] == [OfferStatus.KEPT] * len(offered)
    assert len(held.items()) == len(offered)
    assert held.get(ItemKey(endorser.root, ItemName(ItemKind.QE_IDENTITY, tee="TDX"))) is not None
    assert held.get(ItemKey(stranger.root, ItemName(ItemKind.QE_IDENTITY, tee="TDX"))) is None


def test_an_enclave_that_quotes_nothing_is_refused(endorser: Endorser) -> None:
    outcome = store(endorser).offer(endorser.qe_identity(enclave_id="QVE"), NOW)
    assert outcome.status is OfferStatus.REFUSED
    assert "expected QE or TD_QE" in outcome.reason


def test_a_pck_crl_without_its_chain_is_refused_with_the_remedy(endorser: Endorser) -> None:
    outcome = store(endorser).offer(endorser.pck_crl(chain=b""), NOW)
    assert outcome.status is OfferStatus.REFUSED
    assert "SGX-PCK-CRL-Issuer-Chain" in outcome.reason


def test_the_store_is_bounded_by_number(endorser: Endorser) -> None:
    held = store(endorser, max_items=3)
    held.offer(endorser.tcb_info(1), NOW)
    for number in range(1, 6):
        held.get(endorser.key(ItemKind.TCB_INFO))  # used, hence not the one to be forgotten
        held.offer(endorser.tcb_info(1, fmspc=bytes([number] * 6)), NOW)
    assert len(held.items()) == 3
    assert held.get(endorser.key(ItemKind.TCB_INFO)) is not None


def test_the_store_is_bounded_by_bytes(endorser: Endorser) -> None:
    size = endorser.tcb_info(1).size
    held = store(endorser, max_bytes=3 * size)
    for number in range(10):
        held.offer(endorser.tcb_info(1, fmspc=bytes([number] * 6)), NOW)
        held.offer(endorser.tcb_info(2, fmspc=bytes([number] * 6)), NOW)  # replaces, and takes no further room
    assert len(held.items()) == 3


def test_of_many_threads_the_newest_wins(endorser: Endorser) -> None:
    held = store(endorser)
    items = [endorser.tcb_info(number) for number in range(1, 33)]

    def offer(part: list[CollateralItem]) -> None:
        for item in part:
            held.offer(item, NOW)

    threads = [Thread(target=offer, args=(items[index::8],)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (kept,) = held.items()
    assert kept.sequence[0] == 32


@given(st.lists(st.sampled_from(sorted(VARIANTS)), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_any_order_of_offers_ends_with_the_same_newest_item(offers: list[tuple[int, int, int]], random: Random) -> None:
    shuffled = list(offers)
    random.shuffle(shuffled)
    results = []
    for order in (offers, shuffled):
        held = store(ENDORSER)
        seen = []
        for variant in order:
            held.offer(VARIANTS[variant], NOW)
            (kept,) = held.items()
            seen.append((kept.sequence, kept.expires_at, kept.item.source))
        assert [sequence for sequence, _, _ in seen] == sorted(sequence for sequence, _, _ in seen)  # no roll-back
        results.append(seen[-1])
    assert results[0] == results[1]
    newest = max(offers)
    assert results[0][0] == (newest[0], START + newest[1] * DAY)


def test_an_item_must_be_of_its_kind(endorser: Endorser) -> None:
    with pytest.raises(TypeError):
        CollateralItem(kind=ItemKind.PCK_CRL, raw=endorser.tcb_info().raw)
    raw = endorser.pck_crl().raw
    assert not isinstance(raw, SignedDocument)
    with pytest.raises(TypeError):
        CollateralItem(kind=ItemKind.QE_IDENTITY, raw=raw)
