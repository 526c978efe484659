"""Platforms and their PCK certificates in the database."""

import logging
from dataclasses import replace

import pytest
from sqlalchemy import text

from tests.unit.collateral.endorser import START, Endorser
from tests.unit.pccs.database.samples import DAY, ENC_PPID, certificate, change, pck_set, platform, raw_tcb
from verdictd.core.errors import AuthenticityError, LimitExceededError, MalformedError, VerdictdError
from verdictd.pccs.database.platforms import _PAGE_ROWS
from verdictd.pccs.database.sizes import MAX_ANSWERS, MAX_LEVELS, MAX_MANIFEST_BYTES
from verdictd.pccs.database.storage import DatabaseStorage
from verdictd.pccs.model import PCKSet, PlatformKey, RawTCB

KEY = PlatformKey("AB12", "0000")


def found(storage: DatabaseStorage, key: PlatformKey = KEY) -> PCKSet:
    pck = storage.platforms.get(key)
    assert pck is not None
    return pck


def levels(pck: PCKSet) -> set[RawTCB]:
    return {each.tcb for each in pck.certificates}


def test_a_platform_comes_back_as_it_was(storage: DatabaseStorage, endorser: Endorser) -> None:
    kept = pck_set(endorser, 1, 2, unavailable=(3,))
    storage.platforms.keep(kept)
    assert found(storage) == replace(kept, certificates=found(storage).certificates)
    assert [each.pem for each in found(storage).certificates] == [each.pem for each in kept.certificates]
    assert [each.components for each in found(storage).certificates] == [b"\1" * 16, b"\2" * 16]
    assert all(each.expires_at.tzinfo is not None for each in found(storage).certificates)
    assert storage.platforms.platform(KEY) == kept.platform


def test_what_is_unknown_is_nothing(storage: DatabaseStorage, endorser: Endorser) -> None:
    assert storage.platforms.get(KEY) is None
    assert storage.platforms.platform(KEY) is None
    assert storage.platforms.answer(KEY, raw_tcb(1)) is None
    storage.platforms.keep_answer(KEY, raw_tcb(1), raw_tcb(1))
    assert storage.platforms.answer(KEY, raw_tcb(1)) is None
    assert (storage.platforms.count(), storage.platforms.families(), list(storage.platforms.platforms())) == (0, [], [])
    storage.platforms.keep(pck_set(endorser, 1))
    for key in (PlatformKey("AB12", "0001"), PlatformKey("AB13", "0000")):
        assert storage.platforms.get(key) is None


def test_a_platform_without_any_certificate_is_known_but_has_none(storage: DatabaseStorage, endorser: Endorser) -> None:
    storage.platforms.keep(pck_set(endorser, unavailable=(1, 2)))
    assert storage.platforms.get(KEY) is None
    assert storage.platforms.platform(KEY) == platform(endorser)


def test_an_incomplete_set_adds_and_a_complete_one_replaces(storage: DatabaseStorage, endorser: Endorser) -> None:
    storage.platforms.keep(pck_set(endorser, 1, unavailable=(2, 4), is_complete=False))
    storage.platforms.keep(pck_set(endorser, 2, unavailable=(3,), is_complete=False, day=1))
    assert levels(found(storage)) == {raw_tcb(1), raw_tcb(2)}
    assert set(found(storage).unavailable) == {raw_tcb(3), raw_tcb(4)}
    assert (found(storage).is_complete, found(storage).fetched_at) == (False, START + DAY)
    storage.platforms.keep(pck_set(endorser, 3, day=2))
    assert (levels(found(storage)), found(storage).unavailable) == ({raw_tcb(3)}, ())
    assert (found(storage).is_complete, found(storage).fetched_at) == (True, START + 2 * DAY)


def test_a_complete_set_stays_complete_as_of_its_day_when_one_is_added(
    storage: DatabaseStorage, endorser: Endorser
) -> None:
    storage.platforms.keep(pck_set(endorser, 1))
    storage.platforms.keep(pck_set(endorser, 2, is_complete=False, day=3))
    assert levels(found(storage)) == {raw_tcb(1), raw_tcb(2)}
    assert (found(storage).is_complete, found(storage).fetched_at) == (True, START)


def test_what_is_known_of_a_platform_is_not_replaced_by_nothing(storage: DatabaseStorage, endorser: Endorser) -> None:
    kept = pck_set(endorser, 1)
    storage.platforms.keep(replace(kept, platform=replace(kept.platform, manifest=b"manifest")))
    storage.platforms.keep(replace(kept, platform=replace(kept.platform, enc_ppid=b"")))
    assert found(storage).platform == replace(kept.platform, manifest=b"manifest")
    storage.platforms.keep(replace(kept, platform=replace(kept.platform, enc_ppid=b"\1" * 384)))
    assert found(storage).platform.enc_ppid == b"\1" * 384


def test_an_answer_is_remembered_until_a_complete_set_comes(storage: DatabaseStorage, endorser: Endorser) -> None:
    storage.platforms.keep(pck_set(endorser, 1, 2))
    storage.platforms.keep_answer(KEY, raw_tcb(9), raw_tcb(1))
    storage.platforms.keep_answer(KEY, raw_tcb(9), raw_tcb(2))
    storage.platforms.keep_answer(KEY, raw_tcb(8), raw_tcb(1))
    answer = storage.platforms.answer(KEY, raw_tcb(9))
    assert answer is not None
    assert (answer[0].tcb, answer[1]) == (raw_tcb(2), found(storage))
    storage.platforms.keep(pck_set(endorser, 3, is_complete=False))
    assert storage.platforms.answer(KEY, raw_tcb(9)) is not None
    storage.platforms.keep(pck_set(endorser, 1, 2))
    assert storage.platforms.answer(KEY, raw_tcb(9)) is None
    asked = [raw_tcbs for _, raw_tcbs in storage.platforms.platforms()]
    assert asked == [(raw_tcb(9), raw_tcb(8))], "what it asked for is still known"


def test_an_answer_whose_certificate_is_gone_is_none(storage: DatabaseStorage, endorser: Endorser) -> None:
    storage.platforms.keep(pck_set(endorser, 1, 2))
    storage.platforms.keep_answer(KEY, raw_tcb(9), raw_tcb(2))
    assert change(storage, "DELETE FROM pccs_pck_certificates WHERE tcb = :tcb", tcb=str(raw_tcb(2))) == 1
    assert storage.platforms.answer(KEY, raw_tcb(9)) is None


def test_the_raw_tcbs_of_a_platform_are_bounded(storage: DatabaseStorage, endorser: Endorser) -> None:
    storage.platforms.keep(pck_set(endorser, 1))
    storage.platforms.keep(pck_set(endorser, 1, qe_id="CD"))
    storage.platforms.keep_answer(PlatformKey("CD", "0000"), raw_tcb(1), raw_tcb(1))
    for svn in range(MAX_ANSWERS + 5):
        storage.platforms.keep_answer(KEY, raw_tcb(svn), raw_tcb(1))
    asked = {each.key.qe_id: raw_tcbs for each, raw_tcbs in storage.platforms.platforms()}
    assert asked["AB12"] == tuple(raw_tcb(svn) for svn in range(5, MAX_ANSWERS + 5))
    assert asked["CD"] == (raw_tcb(1),)


def test_platforms_are_gone_through_by_family_in_pages(storage: DatabaseStorage, endorser: Endorser) -> None:
    number = 2 * _PAGE_ROWS + 3
    storage.platforms.keep(pck_set(endorser, 1))
    copied = """INSERT INTO pccs_platforms
        (qe_id, pce_id, enc_ppid, manifest, fmspc, ca, issuer_chain, is_complete, fetched_at)
        SELECT :qe_id, pce_id, enc_ppid, manifest, :fmspc, ca, issuer_chain, is_complete, fetched_at
        FROM pccs_platforms WHERE qe_id = 'AB12'"""
    storage._database.write(
        "copy",
        lambda connection: [
            connection.execute(text(copied), {"qe_id": f"{each:08X}", "fmspc": ("00906EA10000", "")[each % 2]})
            for each in range(number)
        ],
    )
    everything = [each for each, _ in storage.platforms.platforms()]
    assert len({each.key for each in everything}) == len(everything) == number + 1 == storage.platforms.count()
    family = bytes.fromhex("00906EA10000")
    assert storage.platforms.families() == [(family, number // 2 + 1), (endorser.fmspc, 1)]
    of_family = list(storage.platforms.platforms([family, family]))
    assert len(of_family) == number // 2 + 1
    assert {each.fmspc for each, _ in of_family} == {family}
    assert len(list(storage.platforms.platforms([family, endorser.fmspc]))) == number // 2 + 2
    assert list(storage.platforms.platforms([bytes(6)])) == []


def test_while_one_goes_through_them_others_can_write(storage: DatabaseStorage, endorser: Endorser) -> None:
    for qe_id in ("01", "02"):
        storage.platforms.keep(pck_set(endorser, 1, qe_id=qe_id))
    going = storage.platforms.platforms()
    next(going)
    storage.platforms.keep(pck_set(endorser, 2, qe_id="03"))
    assert storage.platforms.count() == 3
    assert next(going)[0].key.qe_id == "02"


def test_issuer_chains_are_stored_once(storage: DatabaseStorage, endorser: Endorser) -> None:
    for qe_id in ("01", "02", "03"):
        storage.platforms.keep(pck_set(endorser, 1, qe_id=qe_id))
    assert change(storage, "UPDATE pccs_issuer_chains SET digest = digest") == 1


DAMAGE = {
    "fmspc": ("UPDATE pccs_platforms SET fmspc = '00906EA10000'", "FMSPC"),
    "CA": ("UPDATE pccs_platforms SET ca = 'processor'", "CA"),
    "no CA": ("UPDATE pccs_platforms SET ca = ''", "CA"),
    "unknown CA": ("UPDATE pccs_platforms SET ca = 'other'", "CA"),
    "no FMSPC": ("UPDATE pccs_platforms SET fmspc = 'zz'", "FMSPC"),
    "TCB": ("UPDATE pccs_pck_certificates SET tcb = '" + "0" * 36 + "'", "TCB"),
    "no TCB": ("UPDATE pccs_pck_certificates SET tcb = 'zz'", "TCB"),
    "chain": ("UPDATE pccs_issuer_chains SET pem = ''", ""),
    "time": ("UPDATE pccs_platforms SET fetched_at = 9223372036854775807", "since when"),
}


@pytest.mark.parametrize(("damage", "reason"), DAMAGE.values(), ids=DAMAGE.keys())
def test_rows_that_do_not_verify_are_absent_with_one_warning(
    storage: DatabaseStorage, endorser: Endorser, damage: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    storage.platforms.keep(pck_set(endorser, 1))
    storage.platforms.keep_answer(KEY, raw_tcb(9), raw_tcb(1))
    assert change(storage, damage) == 1
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert storage.platforms.get(KEY) is None
            assert storage.platforms.answer(KEY, raw_tcb(9)) is None
    (record,) = caplog.records
    assert reason in record.getMessage()
    assert ENC_PPID.hex() not in record.getMessage()
    storage.platforms.keep(pck_set(endorser, 2, is_complete=False))
    assert raw_tcb(2) in levels(found(storage)), "it can be stored again"


def test_of_several_certificates_the_one_that_does_not_verify_is_absent(
    storage: DatabaseStorage, endorser: Endorser
) -> None:
    storage.platforms.keep(pck_set(endorser, 1, 2))
    other = certificate(Endorser(), 2).pem
    changed = change(
        storage, "UPDATE pccs_pck_certificates SET pem = :pem WHERE tcb = :tcb", pem=other, tcb=str(raw_tcb(2))
    )
    assert changed == 1
    assert levels(found(storage)) == {raw_tcb(1)}
    assert not found(storage).is_complete, "so that it is asked for again"
    storage.platforms.keep(pck_set(endorser, 3, is_complete=False))
    assert levels(found(storage)) == {raw_tcb(1), raw_tcb(3)}


def test_certificates_that_do_not_hold_are_not_stored(storage: DatabaseStorage, endorser: Endorser) -> None:
    kept = pck_set(endorser, 1)
    stranger = Endorser()
    wrong: list[tuple[PCKSet, type[VerdictdError]]] = [
        (pck_set(stranger, 1), AuthenticityError),
        (replace(kept, issuer_chain=stranger.platform.pki.chain("platform-ca")), AuthenticityError),
        (replace(kept, platform=platform(endorser, fmspc=bytes(6))), AuthenticityError),
        (replace(kept, platform=replace(kept.platform, ca="processor")), AuthenticityError),
        (replace(kept, certificates=(replace(kept.certificates[0], tcb=raw_tcb(2)),)), AuthenticityError),
        (replace(kept, platform=replace(kept.platform, enc_ppid=bytes(385))), LimitExceededError),
        (replace(kept, platform=replace(kept.platform, manifest=bytes(MAX_MANIFEST_BYTES + 1))), LimitExceededError),
        (replace(kept, platform=replace(kept.platform, key=PlatformKey("A" * 261, "0000"))), LimitExceededError),
        (replace(kept, platform=replace(kept.platform, key=PlatformKey("A", "00000"))), LimitExceededError),
        (replace(kept, platform=replace(kept.platform, key=PlatformKey("A\0", "0000"))), MalformedError),
        (replace(kept, platform=replace(kept.platform, key=PlatformKey("A\ud800", "0000"))), MalformedError),
        (replace(kept, unavailable=(raw_tcb(1),) * MAX_LEVELS), LimitExceededError),
    ]
    for each, error in wrong:
        with pytest.raises(error):
            storage.platforms.keep(each)
    assert storage.platforms.count() == 0
