"""Collateral in the database: the newest wins, what does not verify does not count, and changes can be followed."""

import logging
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.collateral.endorser import DAY, START, Endorser
from tests.unit.pccs.database.samples import change, verified
from verdictd.collateral.items import ItemKey, ItemKind, ItemName, VerifiedItem
from verdictd.core.errors import LimitExceededError
from verdictd.core.limits import MAX_CHAIN_BYTES, MAX_CRL_BYTES, MAX_SIGNED_DOCUMENT_BYTES
from verdictd.pccs.database import open_storage
from verdictd.pccs.database.items import _content_columns
from verdictd.pccs.database.storage import DatabaseStorage
from verdictd.pccs.model import STANDARD, Edition
from verdictd.tees.dcap.collateral import RevocationList, SignedDocument
from verdictd.tees.dcap.trust_roots import TrustRoots

EARLY, NUMBERED = Edition(4, "early"), Edition(4, 17)
NOW = START + 5 * DAY
SECOND = timedelta(seconds=1)


def every_item(endorser: Endorser, number: int = 1) -> list[VerifiedItem]:
    items = [
        endorser.tcb_info(number),
        endorser.tcb_info(number, tee="TDX"),
        endorser.qe_identity(number),
        endorser.qe_identity(number, enclave_id="TD_QE"),
        endorser.pck_crl(number),
        endorser.root_ca_crl(number),
    ]
    return [verified(endorser, item) for item in items]


def test_every_kind_comes_back_as_it_was(storage: DatabaseStorage, endorser: Endorser) -> None:
    items = every_item(endorser)
    assert [storage.items.keep(STANDARD, item, NOW) for item in items] == [True] * len(items)
    for item in items:
        stored = storage.items.get(STANDARD, item.key)
        assert stored is not None
        assert (stored.item, stored.edition, stored.fetched_at, stored.checked_at) == (item, STANDARD, NOW, NOW)
    assert [stored.item for stored in storage.items.changed_since(0)] == items


def test_what_is_not_there_is_nothing(storage: DatabaseStorage, endorser: Endorser) -> None:
    key = ItemKey(endorser.root, ItemName(ItemKind.QVE_IDENTITY))
    assert storage.items.get(STANDARD, key) is None
    assert storage.items.changed_since(0) == []


def test_an_identity_of_the_qve_comes_back(storage: DatabaseStorage, endorser: Endorser) -> None:
    identity = endorser.qe_identity(1, enclave_id="QVE")
    item = verified(endorser, type(identity)(kind=ItemKind.QVE_IDENTITY, raw=identity.raw))
    assert storage.items.keep(STANDARD, item, NOW)
    stored = storage.items.get(STANDARD, item.key)
    assert stored is not None
    assert stored.item == item


def test_a_newer_item_takes_the_place_and_an_older_one_does_not(storage: DatabaseStorage, endorser: Endorser) -> None:
    first, second = (verified(endorser, endorser.tcb_info(number)) for number in (1, 2))
    assert storage.items.keep(STANDARD, first, NOW)
    assert storage.items.keep(STANDARD, second, NOW + DAY)
    assert not storage.items.keep(STANDARD, first, NOW + 2 * DAY)
    stored = storage.items.get(STANDARD, first.key)
    assert stored is not None
    assert (stored.item, stored.fetched_at, stored.checked_at) == (second, NOW + DAY, NOW + DAY)
    assert len(storage.items.changed_since(0)) == 1


def test_an_item_that_is_there_is_noted_as_checked_and_never_backwards(
    storage: DatabaseStorage, endorser: Endorser
) -> None:
    item = verified(endorser, endorser.pck_crl(1))
    storage.items.keep(STANDARD, item, NOW)
    seen = storage.items.changed_since(0)[-1].revision
    assert not storage.items.keep(STANDARD, item, NOW + SECOND)
    (followed,) = storage.items.changed_since(seen)
    assert (followed.checked_at, followed.fetched_at) == (NOW + SECOND, NOW)
    assert not storage.items.keep(STANDARD, item, NOW)
    assert storage.items.changed_since(followed.revision) == []


def test_editions_stand_beside_one_another(storage: DatabaseStorage, endorser: Endorser) -> None:
    editions = [Edition(3, "standard"), STANDARD, EARLY, NUMBERED]
    items = [verified(endorser, endorser.tcb_info(number)) for number in (4, 3, 2, 1)]
    for edition, item in zip(editions, items, strict=True):
        assert storage.items.keep(edition, item, NOW)
    for edition, item in zip(editions, items, strict=True):
        stored = storage.items.get(edition, item.key)
        assert stored is not None
        assert (stored.edition, stored.item) == (edition, item)
    assert len(storage.items.changed_since(0)) == 4


@pytest.mark.parametrize("kind", [ItemKind.PCK_CRL, ItemKind.ROOT_CA_CRL])
def test_crls_belong_to_no_edition(storage: DatabaseStorage, endorser: Endorser, kind: ItemKind) -> None:
    item = verified(endorser, endorser.item(kind))
    assert storage.items.keep(EARLY, item, NOW)
    for edition in (STANDARD, EARLY, NUMBERED):
        stored = storage.items.get(edition, item.key)
        assert stored is not None
        assert stored.edition == STANDARD
    assert len(storage.items.changed_since(0)) == 1


def test_revisions_go_up(storage: DatabaseStorage, endorser: Endorser) -> None:
    seen = [0]
    for number in range(1, 4):
        item = verified(endorser, endorser.tcb_info(number))
        storage.items.keep(STANDARD, item, NOW)
        (stored,) = storage.items.changed_since(seen[-1])
        assert stored.revision > seen[-1]
        seen.append(stored.revision)


DAMAGE = {
    "signature": "UPDATE pccs_items SET signature = body",
    "body": "UPDATE pccs_items SET body = signature",
    "chain": "UPDATE pccs_items SET issuer_chain = signature",
    "fmspc": "UPDATE pccs_items SET fmspc = '00906EA10000'",
    "tee": "UPDATE pccs_items SET tee = 'TDX'",
    "root": "UPDATE pccs_items SET root = 'ab'",
    "kind": "UPDATE pccs_items SET kind = 'qe_identity'",
    "unknown kind": "UPDATE pccs_items SET kind = 'thing'",
    "CRL": "UPDATE pccs_items SET kind = 'pck_crl'",
    "publication": "UPDATE pccs_items SET publication = 'later'",
    "number": "UPDATE pccs_items SET publication = '-1'",
    "version": "UPDATE pccs_items SET api_version = 5",
    "far time": "UPDATE pccs_items SET fetched_at = 9223372036854775807",
}
OF_SQLITE = {
    "text for bytes": "UPDATE pccs_items SET body = 'text'",
    "text for a time": "UPDATE pccs_items SET checked_at = 'yesterday'",
    "text for a version": "UPDATE pccs_items SET api_version = 'four'",
    "bytes for text": "UPDATE pccs_items SET source = x'00ff'",
}


def assert_passed_over(
    storage: DatabaseStorage, endorser: Endorser, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = verified(endorser, endorser.root_ca_crl(1)), verified(endorser, endorser.tcb_info(2))
    storage.items.keep(STANDARD, bad, NOW)
    assert change(storage, damage) == 1
    storage.items.keep(STANDARD, good, NOW)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert [stored.item for stored in storage.items.changed_since(0)] == [good]
            assert storage.items.get(STANDARD, bad.key) is None
    (record,) = caplog.records
    assert "is passed over" in record.getMessage()
    older = verified(endorser, endorser.tcb_info(1))
    assert storage.items.keep(STANDARD, older, NOW), "what does not verify displaces nothing"
    stored = storage.items.get(STANDARD, older.key)
    assert stored is not None
    assert stored.item == older


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_row_that_does_not_verify_is_passed_over_with_one_warning(
    storage: DatabaseStorage, endorser: Endorser, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert_passed_over(storage, endorser, damage, caplog)


@pytest.mark.parametrize("damage", OF_SQLITE.values(), ids=OF_SQLITE.keys())
def test_sqlite_takes_any_type_anywhere_and_such_a_row_is_passed_over(
    tmp_path: Path, endorser: Endorser, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/pccs.db", endorser.roots)
    assert_passed_over(storage, endorser, damage, caplog)
    storage.close()


def test_what_another_process_trusts_does_not_count_here(url: str, endorser: Endorser) -> None:
    stranger = Endorser()
    ours, theirs = open_storage(url, endorser.roots), open_storage(url, stranger.roots)
    both = open_storage(url, TrustRoots(endorser.roots.roots + stranger.roots.roots))
    ours.items.keep(STANDARD, verified(endorser, endorser.tcb_info(2)), NOW)
    theirs.items.keep(STANDARD, verified(stranger, stranger.tcb_info(1)), NOW)
    assert [stored.item.key.root for stored in ours.items.changed_since(0)] == [endorser.root]
    assert [stored.item.key.root for stored in theirs.items.changed_since(0)] == [stranger.root]
    assert len(both.items.changed_since(0)) == 2
    for storage in (ours, theirs, both):
        storage.close()


@pytest.mark.parametrize(
    "raw",
    [
        SignedDocument(body=bytes(MAX_SIGNED_DOCUMENT_BYTES + 1), signature=b"", issuer_chain=b"", source=""),
        SignedDocument(body=b"", signature=b"", issuer_chain=bytes(MAX_CHAIN_BYTES + 1), source=""),
        RevocationList(der=bytes(MAX_CRL_BYTES + 1), issuer_chain=b"", source=""),
        RevocationList(der=b"", issuer_chain=bytes(MAX_CHAIN_BYTES + 1), source=""),
    ],
)
def test_nothing_larger_than_is_accepted_is_written(endorser: Endorser, raw: SignedDocument | RevocationList) -> None:
    kind = ItemKind.TCB_INFO if isinstance(raw, SignedDocument) else ItemKind.PCK_CRL
    with pytest.raises(LimitExceededError):
        _content_columns(type(endorser.tcb_info())(kind=kind, raw=raw))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(offers=st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2), st.sampled_from([10, 30])), max_size=8))
def test_whatever_comes_in_whatever_order_the_newest_is_there(
    tmp_path_factory: pytest.TempPathFactory, endorser: Endorser, offers: list[tuple[int, int, int]]
) -> None:
    storage = open_storage(f"sqlite:///{tmp_path_factory.mktemp('db')}/pccs.db", endorser.roots)
    newest: VerifiedItem | None = None
    for number, day, days in offers:
        item = verified(endorser, endorser.tcb_info(number, day=day, days=days))
        should_change = newest is None or item.replaces(newest)
        assert storage.items.keep(STANDARD, item, NOW) is should_change
        newest = item if should_change else newest
        stored = storage.items.get(STANDARD, item.key)
        assert stored is not None
        assert newest is not None
        assert (stored.item.sequence, stored.item.expires_at) == (newest.sequence, newest.expires_at)
    storage.close()
