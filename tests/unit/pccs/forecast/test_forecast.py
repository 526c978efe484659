"""The forecast: what the early TCB info makes of a platform, and by which component."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.unit.pccs.filled import AT, EARLY, FMSPC, KEY, LATER, PLATFORM, collateral_entries, empty_cache, filled_cache
from verdictd.pccs.family_forecast import FamilyForecast, forecast_families
from verdictd.pccs.forecast import Change, Shortfall, forecast_platform
from verdictd.pccs.importing import Importer
from verdictd.pccs.model import PCKCertificate, PCKSet, Platform, RawTCB
from verdictd.tees.dcap.acceptance import TCBStatus
from verdictd.tees.dcap.tcb_info import TCBInfo, TCBLevel

DATE = datetime(2026, 1, 1, tzinfo=UTC)
TEN = bytes([10] * 16)
OLD = bytes([5] * 16)


def level(
    components: bytes = TEN,
    pce_svn: int = 10,
    status: TCBStatus = TCBStatus.UP_TO_DATE,
    advisories: tuple[str, ...] = (),
) -> TCBLevel:
    return TCBLevel(components=components, pce_svn=pce_svn, date=DATE, status=status, advisory_ids=advisories)


OUT = level(OLD, 5, TCBStatus.OUT_OF_DATE, ("INTEL-SA-00001",))


def info(*levels: TCBLevel, number: int = 17) -> TCBInfo:
    return TCBInfo(
        tee_id="SGX",
        version=3,
        issue_date=DATE,
        next_update=DATE,
        fmspc=bytes(6),
        pce_id=bytes(2),
        evaluation_data_number=number,
        levels=levels,
        component_names=tuple(f"part {number}" if number % 2 else "" for number in range(1, 17)),
    )


def certificate(components: bytes = TEN, pce_svn: int = 10) -> PCKCertificate:
    tcb = RawTCB(components, pce_svn)
    return PCKCertificate(tcb=tcb, pem=str(tcb).encode(), components=components, expires_at=DATE)


def pck_set(*certificates: PCKCertificate) -> PCKSet:
    return PCKSet(
        platform=Platform(key=KEY, fmspc=bytes(6)),
        certificates=certificates or (certificate(),),
        unavailable=(),
        issuer_chain=b"",
        is_complete=True,
        fetched_at=DATE,
    )


STANDARD = info(level(), OUT)


def raised(position: int) -> bytes:
    return TEN[:position] + bytes([11]) + TEN[position + 1 :]


@pytest.mark.parametrize("position", range(16))
def test_a_component_that_only_the_early_tcb_info_raises_is_named(position: int) -> None:
    early = info(level(raised(position)), OUT)
    (change,) = forecast_platform(pck_set(), [RawTCB(TEN, 10)], STANDARD, early)
    assert (change.before, change.after) == (TCBStatus.UP_TO_DATE, TCBStatus.OUT_OF_DATE)
    number = position + 1
    assert change.shortfalls == (Shortfall(number, f"part {number}" if number % 2 else "", 10, 11),)
    assert f"component {number}" in str(change.shortfalls[0])
    assert change.advisories == ("INTEL-SA-00001",)
    assert change.is_change


def test_a_pcesvn_that_only_the_early_tcb_info_raises_is_named() -> None:
    (change,) = forecast_platform(pck_set(), [RawTCB(TEN, 10)], STANDARD, info(level(pce_svn=11), OUT))
    assert change.shortfalls == (Shortfall(0, "", 10, 11),)
    assert str(change.shortfalls[0]) == "PCESVN has SVN 10, required 11"


@pytest.mark.parametrize(
    ("standard", "early", "expected"),
    [
        (STANDARD, STANDARD, (TCBStatus.UP_TO_DATE, TCBStatus.UP_TO_DATE, (), ())),
        # advisories without another status are no change of status
        (
            STANDARD,
            info(level(advisories=("INTEL-SA-00002",)), OUT),
            (TCBStatus.UP_TO_DATE, TCBStatus.UP_TO_DATE, ("INTEL-SA-00002",), ()),
        ),
        # the same level is judged otherwise
        (
            STANDARD,
            info(level(status=TCBStatus.SW_HARDENING_NEEDED), OUT),
            (TCBStatus.UP_TO_DATE, TCBStatus.SW_HARDENING_NEEDED, (), ()),
        ),
        # it falls below all levels
        (
            STANDARD,
            info(level(bytes([11] * 16))),
            (TCBStatus.UP_TO_DATE, None, (), tuple(range(1, 17))),
        ),
        # it was below all
        (info(level(bytes([11] * 16))), STANDARD, (None, TCBStatus.UP_TO_DATE, (), ())),
    ],
)
def test_what_becomes_of_a_platform(standard: TCBInfo, early: TCBInfo, expected: tuple[object, ...]) -> None:
    (change,) = forecast_platform(pck_set(), [RawTCB(TEN, 10)], standard, early)
    found = change.before, change.after, change.advisories, tuple(each.component for each in change.shortfalls)
    assert found == expected


def test_of_several_levels_with_its_status_the_nearest_says_what_is_missing() -> None:
    early = info(level(bytes([12] * 16)), level(raised(3)), OUT)
    (change,) = forecast_platform(pck_set(), [RawTCB(TEN, 10)], STANDARD, early)
    assert [each.component for each in change.shortfalls] == [4]


def test_each_tcb_that_a_platform_asked_with_is_looked_at() -> None:
    certificates = certificate(), certificate(OLD, 5)
    raw_tcbs = [RawTCB(TEN, 10), RawTCB(bytes([6] * 16), 7), RawTCB(bytes([7] * 16), 7)]
    changes = forecast_platform(pck_set(*certificates), raw_tcbs, STANDARD, info(level(raised(0)), OUT))
    assert [(each.tcb, each.is_change) for each in changes] == [(RawTCB(OLD, 5), False), (RawTCB(TEN, 10), True)]


def test_where_no_certificate_fits_it_cannot_be_told() -> None:
    assert forecast_platform(pck_set(), [], STANDARD, STANDARD) == []
    assert forecast_platform(pck_set(), [RawTCB(OLD, 10)], STANDARD, STANDARD) == []
    assert forecast_platform(pck_set(), [RawTCB(TEN, 9)], STANDARD, STANDARD) == []


def only(found: list[FamilyForecast]) -> FamilyForecast:
    (forecast,) = found
    return forecast


def test_a_familys_forecast_under_real_documents() -> None:
    cache = filled_cache()
    forecast = only(list(forecast_families(cache.storage, [FMSPC], AT)))
    assert forecast.problem == ""
    assert forecast.early_number > forecast.standard_number
    assert forecast.changing == (KEY,)
    assert forecast.is_change
    assert forecast.is_told
    ((change, count),) = forecast.changes
    assert (change.before, change.after, count) == (TCBStatus.UP_TO_DATE, TCBStatus.OUT_OF_DATE, 1)
    assert change.shortfalls


def test_a_platform_whose_tcb_has_no_certificate_is_counted() -> None:
    cache = filled_cache()
    cache.storage.platforms.answers.clear()
    cache.storage.platforms.keep_answer(KEY, RawTCB(bytes(16), 0), RawTCB(bytes(16), 0))
    forecast = only(list(forecast_families(cache.storage, [FMSPC], AT)))
    assert (forecast.untold, forecast.is_told, forecast.changes) == (1, False, ())


def test_what_cannot_be_told_is_said_with_the_reason() -> None:
    cache = filled_cache()
    found = {each.fmspc: each.problem for each in forecast_families(cache.storage, [], AT)}
    other = next(fmspc for fmspc in found if fmspc != FMSPC)
    assert "standard TCB info is not held" in found[other]
    assert "is expired" in only(list(forecast_families(cache.storage, [FMSPC], LATER))).problem
    assert "no platform of it" in only(list(forecast_families(cache.storage, [b"\xff" * 6], AT))).problem
    for stored in cache.storage.items.changed_since(0):
        if stored.edition == EARLY:
            cache.storage.items.lose(EARLY, stored.item.key)
    assert "early TCB info is not held" in only(list(forecast_families(cache.storage, [FMSPC], AT))).problem
    unknown = replace(cache.storage.platforms.sets[KEY], platform=Platform(key=KEY))
    cache.storage.platforms.keep(unknown)
    assert "family is not known" in only(list(forecast_families(cache.storage, [b""], AT))).problem


def test_early_tcb_info_that_is_older_than_the_standard_one_says_nothing() -> None:
    cache = empty_cache()
    platform = PLATFORM.with_standard_following().with_tcb_status(TCBStatus.REVOKED)
    document = platform.collateral(AT).tcb_info
    assert document is not None
    first, *rest = collateral_entries()
    newer = replace(first, item=replace(first.item, raw=document))
    list(Importer(cache).take_all([newer, *rest], AT))
    cache.storage.platforms.keep(filled_cache().storage.platforms.sets[KEY])
    assert "has number" in only(list(forecast_families(cache.storage, [FMSPC], AT))).problem


def test_a_change_is_told_apart_by_everything_in_it() -> None:
    change = Change(tcb=RawTCB(TEN, 1), before=None, after=None, advisories=(), shortfalls=())
    assert not change.is_change
