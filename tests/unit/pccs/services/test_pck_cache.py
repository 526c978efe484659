"""PCK certificates: a simulated vendor, caches on one database, and each reason why a certificate is not handed out."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.collateral.endorser import DAY, START
from tests.unit.pccs.services.pck_desk import (
    HIGH,
    KEY,
    LIKE_A_PCCS,
    MANIFEST,
    OTHER,
    OWN,
    PLATFORM,
    PPID,
    Desk,
    open_desk,
    registration,
)
from verdictd.collateral.items import ItemKind, ItemName
from verdictd.pccs.errors import StorageError, UnavailableError
from verdictd.pccs.model import STANDARD, Mode, RawTCB, RegistrationState
from verdictd.pccs.pck_choosing import EARLY
from verdictd.simulator.behaviour import Fault
from verdictd.simulator.family import encode_identity
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.simulator.server import CollateralServer
from verdictd.tees.dcap.acceptance import TCBStatus


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with open_desk(tmp_path) as opened:
        yield opened


def test_a_certificate_is_fetched_once_and_chosen_for_each_tcb(desk: Desk) -> None:
    cache = desk.cache()
    assert desk.ask(cache) == OWN
    assert desk.ask(cache, b"", HIGH) >= OWN
    desk.told(Fault(status=503))
    assert desk.ask(cache) == OWN
    assert desk.ask(desk.cache(holder="other"), b"") == OWN
    assert desk.asked("pckcerts") == 1


def test_a_platform_that_nobody_named_is_unknown(desk: Desk) -> None:
    error = desk.refused(desk.cache(), b"")
    assert (error.status, error.problem) == (461, "platform-unknown")
    assert not desk.asked("pckcerts", "pckcert")


def test_a_ppid_of_zeros_is_not_asked_with(desk: Desk) -> None:
    error = desk.refused(desk.cache(), bytes(384))
    assert (error.status, error.problem) == (404, "ppid-refused")
    assert not desk.asked("pckcerts", "pckcert")


def test_a_ppid_that_the_vendor_does_not_know_is_refused(desk: Desk) -> None:
    error = desk.refused(desk.cache(), encode_identity(b"x", is_known=False))
    assert (error.status, error.problem) == (404, "ppid-refused")
    assert desk.storage.platforms.count() == 0


@pytest.mark.parametrize(
    ("fault", "status", "problem"),
    [
        (Fault(status=503), 502, "upstream-down"),
        (Fault(resets=True), 502, "upstream-down"),
        (Fault(status=429, retry_after_s=30), 503, "rate-limited"),
        (Fault(route="*/pckcerts", body="no JSON"), 460, "integrity"),
        (Fault(route="*/pckcerts", body="{}"), 460, "integrity"),
        (Fault(route="*/pckcerts", body="[7]"), 460, "integrity"),
        (Fault(route="*/pckcerts", body='[{"tcbm": "00", "cert": "x"}]'), 460, "integrity"),
        (Fault(route="*/pckcerts", body='[{"tcbm": "' + "00" * 18 + '", "cert": "x"}]'), 460, "integrity"),
        (
            Fault(route="*/pckcerts", body='[{"tcbm": "' + "00" * 18 + '", "cert": "Not available"}]'),
            404,
            "ppid-refused",
        ),
    ],
)
def test_what_upstream_fails_with_gives_the_status(desk: Desk, fault: Fault, status: int, problem: str) -> None:
    desk.told(fault)
    error = desk.refused(desk.cache())
    assert (error.status, error.problem) == (status, problem), error
    assert (error.retry_after_s is not None) is (problem == "rate-limited")
    assert desk.storage.platforms.count() == 0


def test_all_caches_leave_upstream_alone_as_it_asked(desk: Desk) -> None:
    desk.told(Fault(status=429, retry_after_s=30))
    desk.refused(desk.cache())
    desk.told()
    error = desk.refused(desk.cache(holder="other"))
    assert (error.status, error.retry_after_s) == (503, 30)
    assert desk.asked("pckcerts") == 1
    desk.clock.now += timedelta(seconds=31)
    assert desk.ask(desk.cache(holder="other")) == OWN


def test_clients_are_told_when_to_come_back_for_anything_while_upstream_is_left_alone(desk: Desk) -> None:
    desk.told(Fault(route="*/tcb", status=429, retry_after_s=30))
    desk.cache()
    for kind in (ItemKind.QVE_IDENTITY, ItemKind.ROOT_CA_CRL):
        with pytest.raises(UnavailableError):
            desk.collateral.find(
                STANDARD, ItemName(ItemKind.TCB_INFO, tee="SGX", fmspc=PLATFORM.hardware.fmspc), desk.clock()
            )
        with pytest.raises(UnavailableError) as caught:
            desk.collateral.find(STANDARD, ItemName(kind), desk.clock())
        assert (caught.value.status, caught.value.problem) == (503, "rate-limited")
        assert 0 < (caught.value.retry_after_s or 0) <= 30
    assert not desk.asked("rootcacrl", "identity")


def test_a_certificate_of_another_vendor_is_not_stored(desk: Desk, tmp_path: Path) -> None:
    SimulatedPlatform.create(at=START - 100 * DAY).save(tmp_path / "foreign")
    with CollateralServer(tmp_path / "foreign", host="127.0.0.1", port=0, clock=desk.clock) as desk.server:
        error = desk.refused(desk.cache())
        assert (error.status, error.problem) == (460, "integrity")
        assert desk.storage.platforms.count() == 0


def test_of_a_level_without_certificate_the_next_is_handed_out(desk: Desk) -> None:
    """Nothing is remembered of that choice, for the better one may come."""
    SimulatedPlatform.update(desk.directory, lambda vendor: vendor.with_tcb_status(TCBStatus.OUT_OF_DATE))
    cache, ppid = desk.cache(), encode_identity(b"x", has_newest=False)
    assert desk.ask(cache, ppid, HIGH) <= OWN
    assert desk.storage.platforms.answer(KEY, HIGH) is None


def test_where_no_level_that_it_reaches_has_one_that_is_said_and_asked_again_later(desk: Desk) -> None:
    cache, lowest = desk.cache(), RawTCB(bytes(16), 0)
    error = desk.refused(cache, encode_identity(b"x", has_newest=False), lowest)
    assert (error.status, error.problem) == (462, "certificates-unavailable")
    assert desk.refused(cache, b"", lowest).status == 462
    assert desk.asked("pckcerts") == 1
    desk.clock.now += timedelta(hours=2)
    assert desk.refused(cache, b"", lowest).status == 462
    assert desk.asked("pckcerts") == 2


def test_a_tcb_below_every_certificate_does_not_have_upstream_asked_each_time(desk: Desk) -> None:
    cache = desk.cache()
    for _ in range(3):
        error = desk.refused(cache, PPID, RawTCB(bytes(16), 0))
        assert (error.status, error.problem) == (404, "no-cache-data")
        desk.clock.now += timedelta(minutes=1)
    assert desk.asked("pckcerts") == 1


def test_a_platform_is_known_by_its_manifest(desk: Desk) -> None:
    cache = desk.cache()
    cache.register(registration(b"", MANIFEST, None), desk.clock())
    assert desk.ask(cache, b"", HIGH)
    assert {entry.method for entry in desk.server.service.log.entries() if "pckcerts" in entry.target} == {"POST"}


def test_a_cache_as_upstream_gives_one_at_a_time(desk: Desk) -> None:
    desk.told(LIKE_A_PCCS)
    cache = desk.cache()
    assert desk.ask(cache) == OWN
    assert desk.ask(cache) == OWN
    assert desk.asked("pckcert") == 1
    above = RawTCB(OWN.cpu_svn, OWN.pce_svn + 1)
    assert desk.ask(cache, b"", above) == OWN  # what it chooses for another TCB it has to be asked
    assert desk.asked("pckcert") == 2
    assert dict(cache.refresh(desk.clock()))
    assert desk.asked("pckcert") == 4
    desk.told(Fault(status=503))
    assert desk.ask(cache, b"", above) == OWN


@pytest.mark.parametrize("faults", [(), (LIKE_A_PCCS,)])
def test_many_who_ask_in_two_caches_have_it_fetched_once(desk: Desk, faults: tuple[Fault, ...]) -> None:
    slow = tuple(replace(fault, delay_s=0.1) for fault in faults) or (Fault(route="*/pckcerts", delay_s=0.2),)
    desk.told(*slow)
    caches = [desk.cache(), desk.cache(holder="other")]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda turn: desk.ask(caches[turn % 2]), range(16)))
    assert set(found) == {OWN}
    assert desk.asked("pckcerts") == 1
    assert desk.asked("pckcert") == len(faults)


def test_many_with_different_tcbs_get_each_their_own(desk: Desk) -> None:
    desk.told(replace(LIKE_A_PCCS, delay_s=0.1))
    SimulatedPlatform.update(desk.directory, lambda vendor: vendor.with_tcb_status(TCBStatus.OUT_OF_DATE))
    cache, tcbs = desk.cache(), [OWN, HIGH]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda turn: desk.ask(cache, PPID, tcbs[turn % 2]), range(4)))
    assert found[:2] == found[2:]
    assert found[0] == OWN
    assert found[1] > OWN


def test_a_revoked_certificate_is_not_handed_out(desk: Desk) -> None:
    cache = desk.cache()
    desk.ask(cache)
    SimulatedPlatform.update(desk.directory, lambda vendor: vendor.with_revoked("pck"))
    assert desk.ask(cache) == OWN  # no CRL is held yet
    desk.collateral.find(STANDARD, ItemName(ItemKind.PCK_CRL, pck_ca="platform"), desk.clock())
    error = desk.refused(cache)
    assert (error.status, error.problem) == (404, "revoked")


def test_expired_certificates_are_fetched_anew(desk: Desk) -> None:
    cache = desk.cache()
    desk.ask(cache)
    desk.clock.now += 9 * 365 * DAY
    # the vendor of these tests issues nothing that is valid then; what counts is that it is asked
    desk.refused(cache)
    assert desk.asked("pckcerts") == 2


def test_expired_certificates_of_a_platform_that_registers_are_fetched_anew(desk: Desk) -> None:
    cache = desk.cache()
    cache.register(registration(), desk.clock())
    cache.register(registration(), desk.clock())
    assert desk.asked("pckcerts") == 1
    desk.clock.now += 9 * 365 * DAY
    cache.register(registration(), desk.clock())
    assert desk.asked("pckcerts") == 2


def test_a_registration_has_everything_cached_that_an_appraisal_needs(desk: Desk) -> None:
    cache, fmspc = desk.cache(Mode.REQ), PLATFORM.hardware.fmspc
    cache.register(registration(), desk.clock(), updates=("all",))
    names = [
        ItemName(ItemKind.TCB_INFO, tee="SGX", fmspc=fmspc),
        ItemName(ItemKind.TCB_INFO, tee="TDX", fmspc=fmspc),
        ItemName(ItemKind.QE_IDENTITY, tee="SGX"),
        ItemName(ItemKind.QE_IDENTITY, tee="TDX"),
        ItemName(ItemKind.QVE_IDENTITY),
        ItemName(ItemKind.PCK_CRL, pck_ca="platform"),
        ItemName(ItemKind.ROOT_CA_CRL),
    ]
    for edition in (STANDARD, EARLY):
        assert [name for name in names if desk.collateral.held(edition, name, desk.clock()) is None] == []
    desk.told(Fault(status=503))
    assert desk.ask(cache, b"") == OWN


def test_a_family_without_tdx_registers(desk: Desk) -> None:
    cache = desk.cache(Mode.REQ)
    cache.register(registration(encode_identity(b"x", family=1)), desk.clock())
    assert desk.ask(cache, b"") == OWN


def test_on_request_only_registrations_ask_upstream(desk: Desk) -> None:
    cache = desk.cache(Mode.REQ)
    error = desk.refused(cache)
    assert (error.status, error.problem) == (461, "platform-unknown")
    cache.register(registration(), desk.clock())
    desk.clock.now += 60 * DAY  # TCB info has expired, and the choice for this TCB was not made before
    asked = desk.asked("tcb")
    assert desk.refused(cache, PPID, HIGH).status == 404
    assert desk.asked("tcb") == asked


def test_offline_registrations_wait(desk: Desk) -> None:
    cache = desk.cache(Mode.OFFLINE)
    cache.register(registration(), desk.clock())
    assert desk.storage.registrations.count(RegistrationState.NEW) == 1
    assert desk.refused(cache).status == 461
    with pytest.raises(UnavailableError) as caught:
        cache.refresh(desk.clock())
    assert (caught.value.status, caught.value.problem) == (503, "offline")
    assert not desk.server.service.log.counts()


def test_a_refresh_of_which_one_platform_fails_leaves_the_rest(desk: Desk) -> None:
    cache = desk.cache()
    desk.ask(cache)
    desk.ask(cache, encode_identity(b"x", family=2), key=OTHER)
    desk.told(Fault(route="*/pckcerts", status=500, times=1))
    outcomes = dict(cache.refresh(desk.clock()))
    assert sorted(map(bool, outcomes.values())) == [False, True]
    assert desk.ask(cache, b"") == OWN
    assert desk.ask(cache, b"", key=OTHER) == OWN
    asked = desk.asked("pckcerts")
    assert len(cache.refresh(desk.clock(), fmspc=PLATFORM.hardware.fmspc)) == 1
    assert desk.asked("pckcerts") == asked + 1


def test_a_failure_of_the_database_is_told_as_one(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(type(desk.storage.platforms), "keep", fail)
    with pytest.raises(StorageError, match="disk is full"):
        desk.ask(desk.cache())
