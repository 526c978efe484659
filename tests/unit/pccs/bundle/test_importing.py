"""What is brought in is kept only where it verifies, and never displaces what is newer."""

from dataclasses import replace

import pytest

from tests.unit.pccs.filled import (
    AT,
    DAY,
    KEY,
    LATER,
    PLATFORM,
    VCEK,
    collateral_entries,
    empty_cache,
    filled_cache,
    offered,
    statuses,
)
from verdictd.collateral.items import CollateralItem, ItemKind
from verdictd.core.errors import AuthenticityError, LimitExceededError, MalformedError
from verdictd.pccs.bundle_entries import BundledAMD, BundledCollateral
from verdictd.pccs.exporting import export_entries
from verdictd.pccs.importing import Importer
from verdictd.pccs.model import STANDARD, PlatformKey, RawTCB
from verdictd.pccs.pck_offers import MAX_CERTIFICATES, OfferedPCKSet, verify_pck_set
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.tees.dcap.collateral import RevocationList, SignedDocument
from verdictd.tees.dcap.memory import FactMemory

STRANGER = SimulatedPlatform.create(at=AT - 100 * DAY)


def test_what_one_cache_exports_another_holds() -> None:
    source, target = filled_cache(), empty_cache()
    outcomes = list(Importer(target).take_all(export_entries(source.storage, ()), AT))
    assert set(statuses(outcomes)) == {"kept"}
    assert sorted(map(repr, export_entries(target.storage, ()))) == sorted(
        map(repr, export_entries(source.storage, ()))
    )


def test_what_is_held_already_is_said_to_be() -> None:
    cache = filled_cache()
    outcomes = list(Importer(cache).take_all(list(export_entries(cache.storage, ())), AT))
    assert set(statuses(outcomes)) == {"already held"}


def test_what_is_older_keeps_nothing_newer_out() -> None:
    cache = empty_cache()
    importer = Importer(cache)
    newer = collateral_entries(AT)
    list(importer.take_all(newer, AT))
    assert set(statuses(list(importer.take_all(collateral_entries(AT - 20 * DAY), AT)))) == {"older than what is held"}
    assert {stored.item.item for stored in cache.storage.items.changed_since(0)} == {entry.item for entry in newer}


def test_what_is_expired_is_named() -> None:
    outcomes = list(Importer(empty_cache()).take_all(collateral_entries(), LATER))
    assert all(outcome.is_expired(LATER) and outcome.needs_attention(LATER) for outcome in outcomes)
    assert not any(outcome.needs_attention(AT) for outcome in outcomes)


def test_what_another_vendor_signed_is_refused_with_the_reason_and_the_rest_is_kept() -> None:
    cache = empty_cache()
    foreign = CollateralItem(kind=ItemKind.QE_IDENTITY, raw=STRANGER.issue_qe_identity(STRANGER.qe_identity_spec(), AT))
    entries = [BundledCollateral(edition=STANDARD, item=foreign), *collateral_entries()]
    first, *others = Importer(cache).take_all(entries, AT)
    assert first.status == "refused"
    assert "not trusted" in first.reason
    assert first.needs_attention(AT)
    assert set(statuses(others)) == {"kept"}


@pytest.mark.parametrize("index", range(5))
def test_one_changed_byte_of_any_item_is_refused(index: int) -> None:
    entry = collateral_entries()[index]
    raw = entry.item.raw
    changed: SignedDocument | RevocationList
    if isinstance(raw, SignedDocument):
        changed = replace(raw, body=raw.body.replace(b"issueDate", b"issuedate"))
    else:
        changed = replace(raw, der=raw.der[:-1] + bytes([raw.der[-1] ^ 1]))
    cache = empty_cache()
    damaged = replace(entry, item=replace(entry.item, raw=changed))
    assert statuses(list(Importer(cache).take_all([damaged], AT))) == ["refused"]
    assert not cache.storage.items.changed_since(0)


def test_amds_items_are_verified_by_the_cache() -> None:
    cache = empty_cache()
    forged, genuine = BundledAMD(name=VCEK, content=b"forged"), BundledAMD(name=VCEK, content=b"genuine leaf")
    longer = BundledAMD(name=VCEK, content=b"genuine, and of a higher sequence")
    outcomes = list(Importer(cache).take_all([forged, longer, genuine, longer], AT))
    assert statuses(outcomes) == ["refused", "kept", "older than what is held", "already held"]


def verify(entry: OfferedPCKSet) -> None:
    verify_pck_set(entry, empty_cache().roots, FactMemory())


def test_a_verified_set_says_what_its_certificates_say() -> None:
    pck_set = verify_pck_set(offered(), empty_cache().roots, FactMemory())
    assert pck_set.platform.fmspc == PLATFORM.hardware.fmspc
    assert pck_set.platform.ca == "platform"
    assert [each.components for each in pck_set.certificates] == [tcb.cpu_svn for tcb, _ in offered().certificates]
    assert len(pck_set.certificates) > 1


GOOD = offered()
FOREIGN = offered(PlatformKey("FF" * 16, "0000"))
OTHER_FAMILY = offered(PlatformKey("EE" * 16, "0000"), family=1)
FIRST_TCB, FIRST_PEM = GOOD.certificates[0]


@pytest.mark.parametrize(
    ("entry", "error", "why"),
    [
        (replace(GOOD, certificates=()), MalformedError, "no PCK certificate"),
        (replace(GOOD, certificates=GOOD.certificates[:1] * (MAX_CERTIFICATES + 1)), LimitExceededError, "limit is"),
        (replace(GOOD, certificates=GOOD.certificates[:1] * 2), MalformedError, "for one TCB"),
        (replace(GOOD, certificates=GOOD.certificates + FOREIGN.certificates[:1]), AuthenticityError, "their PPID"),
        (
            replace(GOOD, certificates=((RawTCB(FIRST_TCB.cpu_svn, FIRST_TCB.pce_svn + 1), FIRST_PEM),)),
            AuthenticityError,
            "is for the TCB",
        ),
        (
            replace(GOOD, platform=replace(GOOD.platform, key=PlatformKey(KEY.qe_id, "0001"))),
            AuthenticityError,
            "for the PCE 0000, expected 0001",
        ),
        (replace(GOOD, issuer_chain=STRANGER.pki.chain("platform-ca")), AuthenticityError, "."),
        (replace(GOOD, issuer_chain=b""), AuthenticityError, "."),
        (replace(GOOD, certificates=((FIRST_TCB, b"none"),)), AuthenticityError, "."),
    ],
)
def test_each_thing_that_is_wrong_with_a_set_refuses_it(entry: OfferedPCKSet, error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        verify(entry)


def test_a_refused_set_is_not_kept_and_named_without_its_identity_in_full() -> None:
    cache = empty_cache()
    (outcome,) = Importer(cache).take_all([replace(GOOD, certificates=FOREIGN.certificates + GOOD.certificates)], AT)
    assert outcome.status == "refused"
    assert outcome.is_platform
    assert not cache.storage.platforms.sets


def test_a_set_that_says_it_is_from_the_future_displaces_no_later_one() -> None:
    cache = filled_cache()
    held = cache.storage.platforms.sets[KEY]
    cache.storage.platforms.keep(replace(held, fetched_at=AT + DAY))
    older = replace(GOOD, certificates=GOOD.certificates[:1], fetched_at=AT + 1000 * DAY)
    assert statuses(list(Importer(cache).take_all([older], AT))) == ["already held"]
    other = replace(older, is_complete=True, certificates=GOOD.certificates)
    cache.storage.platforms.keep(replace(held, certificates=held.certificates[:1], fetched_at=AT + DAY))
    assert statuses(list(Importer(cache).take_all([other], AT))) == ["older than what is held"]
