"""PCK certificates from a vendor's service over HTTP: to whom, when it is asked, and what may take whose place."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.unit.collateral.endorser import DAY, START
from tests.unit.pccs.services.world import World
from verdictd.collateral.http_client import BoundedHTTPClient, Retries, tls_context
from verdictd.collateral.items import ItemKind, ItemName
from verdictd.collateral.pccs_client import PCCSClient
from verdictd.collateral.pccs_urls import parse_pccs_url
from verdictd.pccs.collateral_cache import StoredCollateralCache
from verdictd.pccs.errors import UnavailableError
from verdictd.pccs.model import STANDARD, Edition, Mode, Platform, PlatformKey, RawTCB, Registration, RegistrationState
from verdictd.pccs.pck_cache import StoredPCKCache
from verdictd.pccs.pck_fetching import PCKFetcher
from verdictd.pccs.pck_upstream import PCKUpstream
from verdictd.simulator.behaviour import Behaviour, Fault
from verdictd.simulator.family import MANIFEST_BYTES, encode_identity
from verdictd.simulator.server import CollateralServer

LOW = RawTCB(bytes(16), 0)
KEY = PlatformKey("AB" * 16, "0000")
MINE, THEIRS = encode_identity(b"mine"), encode_identity(b"theirs")


@dataclass
class Desk:
    """Caches, each as a process of its own would have it, and the vendor's service that all of them ask."""

    world: World
    server: CollateralServer

    @property
    def raw_tcb(self) -> RawTCB:
        hardware = self.world.endorser.platform.hardware
        return RawTCB(hardware.cpu_svn, hardware.pce_svn)

    def cache(self, holder: str = "one", mode: Mode = Mode.LAZY) -> StoredPCKCache:
        world, address = self.world, parse_pccs_url(self.server.url)
        http = BoundedHTTPClient(tls=tls_context(verify=True), retries=Retries(times=0), clock=world.seconds)

        def make_sources(edition: Edition) -> list[PCCSClient]:
            return [PCCSClient(address, http, update=edition.update)] if edition.version == 4 else []

        storage = world.storage()
        collateral = StoredCollateralCache(
            storage, make_sources, roots=world.endorser.roots, mode=mode, holder=holder, clock=lambda: world.now
        )
        upstream = PCKUpstream(address, http, lambda: world.now)
        fetcher = PCKFetcher(
            storage, [upstream], roots=world.endorser.roots, holder=holder, clock=lambda: world.now, call_seconds=8
        )
        return StoredPCKCache(storage, collateral, fetcher, roots=world.endorser.roots, mode=mode)

    def tell(self, *faults: Fault) -> None:
        self.server.service.behaviour = Behaviour(faults=faults)

    def count(self, path: str) -> int:
        return self.server.service.log.counts().get(f"/sgx/certification/v4/{path}", 0)

    def registration(self, enc_ppid: bytes = MINE) -> Registration:
        return Registration(platform=Platform(key=KEY, enc_ppid=enc_ppid), raw_tcb=self.raw_tcb)


@pytest.fixture
def desk(world: World, tmp_path: Path) -> Iterator[Desk]:
    world.now = START + DAY
    world.endorser.platform.save(tmp_path / "vendor")
    with CollateralServer(tmp_path / "vendor", host="127.0.0.1", port=0, clock=lambda: world.now) as server:
        yield Desk(world, server)


def refusal(desk: Desk, cache: StoredPCKCache, raw_tcb: RawTCB, enc_ppid: bytes) -> UnavailableError:
    with pytest.raises(UnavailableError) as refused:
        cache.certificate(KEY, raw_tcb, enc_ppid, desk.world.now)
    return refused.value


def test_a_platform_is_fetched_once_and_then_answered_by_every_process_without_upstream(desk: Desk) -> None:
    certificate, pck_set = desk.cache().certificate(KEY, desk.raw_tcb, MINE, desk.world.now)
    assert pck_set.is_complete
    assert pck_set.platform.fmspc == desk.world.endorser.fmspc
    desk.tell(Fault(status=503))
    other = desk.cache("other")
    assert other.certificate(KEY, desk.raw_tcb, b"", desk.world.now)[0] == certificate
    assert other.held(KEY, desk.raw_tcb, desk.world.now) is not None
    assert desk.count("pckcerts") == 1


def test_of_many_askers_in_many_processes_one_asks(desk: Desk) -> None:
    desk.tell(Fault(route="*/pckcerts", delay_s=0.3))
    caches = [desk.cache(name) for name in ("one", "two", "three")]
    with ThreadPoolExecutor(9) as threads:
        found = list(threads.map(lambda cache: cache.certificate(KEY, desk.raw_tcb, MINE, desk.world.now), caches * 3))
    assert len({certificate.pem for certificate, _ in found}) == 1
    assert desk.count("pckcerts") == 1


def test_whoever_asks_cannot_have_another_processors_certificates_put_in_the_place_of_a_platforms(desk: Desk) -> None:
    cache = desk.cache()
    mine = cache.certificate(KEY, desk.raw_tcb, MINE, desk.world.now)[0]
    desk.world.wait(hours=1)
    assert refusal(desk, cache, LOW, THEIRS).status == 404  # what is held is all there is
    assert desk.count("pckcerts") == 1
    assert cache.certificate(KEY, desk.raw_tcb, THEIRS, desk.world.now)[0] == mine


def test_not_even_where_nothing_is_known_by_which_the_vendor_would_know_it(desk: Desk) -> None:
    cache = desk.cache()
    _, pck_set = cache.certificate(KEY, desk.raw_tcb, MINE, desk.world.now)
    imported = replace(pck_set, platform=replace(pck_set.platform, enc_ppid=b""), is_complete=False)
    storage = desk.world.storage()
    storage.platforms.keep(replace(imported, is_complete=True))
    before = storage.platforms.get(KEY)
    assert before is not None
    desk.world.now = max(each.expires_at for each in before.certificates)  # all of them are to be fetched anew
    with pytest.raises(UnavailableError):
        desk.cache("other").certificate(KEY, desk.raw_tcb, THEIRS, desk.world.now)
    after = storage.platforms.get(KEY)
    assert after is not None
    assert after.certificates == before.certificates


def test_who_registers_may_have_the_processor_replaced(desk: Desk) -> None:
    cache = desk.cache()
    mine = cache.certificate(KEY, desk.raw_tcb, MINE, desk.world.now)[0]
    registration = Registration(
        platform=Platform(key=KEY, manifest=encode_identity(b"new", size=MANIFEST_BYTES[0])), raw_tcb=desk.raw_tcb
    )
    cache.register(registration, desk.world.now)
    assert cache.certificate(KEY, desk.raw_tcb, b"", desk.world.now)[0] != mine


@pytest.mark.parametrize(
    ("enc_ppid", "status", "problem"),
    [
        (b"", 461, "platform-unknown"),
        (bytes(384), 404, "ppid-refused"),
        (encode_identity(b"other vendor's", is_known=False), 404, "ppid-refused"),
    ],
)
def test_a_platform_that_the_vendor_cannot_know_is_refused(
    desk: Desk, enc_ppid: bytes, status: int, problem: str
) -> None:
    refused = refusal(desk, desk.cache(), desk.raw_tcb, enc_ppid)
    assert (refused.status, refused.problem) == (status, problem)
    assert refused.remedy
    assert list(desk.world.storage().attempts.all()) == []  # what there is not is no outage


def test_the_newest_level_without_a_certificate_gives_the_next_one_and_is_not_remembered(desk: Desk) -> None:
    cache = desk.cache()
    lacking = encode_identity(b"lacking", has_newest=False)
    certificate, pck_set = cache.certificate(KEY, desk.raw_tcb, lacking, desk.world.now)
    assert pck_set.unavailable
    assert certificate.tcb not in pck_set.unavailable
    assert desk.world.storage().platforms.answer(KEY, desk.raw_tcb) is None


def test_upstream_that_fails_is_said_to(desk: Desk) -> None:
    desk.tell(Fault(route="*/pckcert*", status=500))
    refused = refusal(desk, desk.cache(), desk.raw_tcb, MINE)
    assert (refused.status, refused.problem) == (502, "upstream-down")
    assert "since" in refused.message
    assert [attempt.failure != "" for attempt in desk.world.storage().attempts.all()] == [True]


def test_what_does_not_verify_is_not_stored(desk: Desk) -> None:
    desk.tell(Fault(route="*/pckcerts", body='[{"tcbm":"' + "00" * 18 + '","cert":"-----BEGIN CERTIFICATE-----"}]'))
    refused = refusal(desk, desk.cache(), desk.raw_tcb, MINE)
    assert (refused.status, refused.problem) == (460, "integrity")
    assert desk.world.storage().platforms.get(KEY) is None


def test_all_processes_wait_for_as_long_as_upstream_asked_one_of_them_to(desk: Desk) -> None:
    desk.tell(Fault(route="*/pckcerts", status=429, retry_after_s=120))
    for name in ("one", "two"):
        assert refusal(desk, desk.cache(name), desk.raw_tcb, MINE).problem == "rate-limited"
        desk.world.wait(seconds=30)
    assert desk.count("pckcerts") == 1


@pytest.mark.parametrize("mode", [Mode.REQ, Mode.OFFLINE])
def test_an_unknown_platform_is_fetched_only_by_registering_it(desk: Desk, mode: Mode) -> None:
    cache = desk.cache(mode=mode)
    refused = refusal(desk, cache, desk.raw_tcb, MINE)
    assert (refused.status, refused.problem) == (461, "platform-unknown")
    cache.register(desk.registration(), desk.world.now)
    if mode is Mode.OFFLINE:
        assert desk.server.service.log.counts() == {}
        assert desk.world.storage().registrations.take(RegistrationState.NEW) == [desk.registration()]
    else:
        assert cache.certificate(KEY, desk.raw_tcb, b"", desk.world.now)


def test_a_registration_has_everything_fetched_that_its_verifiers_need(desk: Desk) -> None:
    desk.cache(mode=Mode.REQ).register(desk.registration(), desk.world.now, updates=("all",))
    names = {(stored.edition, stored.item.key.name) for stored in desk.world.storage().items.changed_since(0)}
    fmspc, early = desk.world.endorser.fmspc, Edition(update="early")
    for edition in (STANDARD, early):
        for tee in ("SGX", "TDX"):
            assert (edition, ItemName(ItemKind.TCB_INFO, tee=tee, fmspc=fmspc)) in names
            assert (edition, ItemName(ItemKind.QE_IDENTITY, tee=tee)) in names
        assert (edition, ItemName(ItemKind.QVE_IDENTITY)) in names
    for ca in ("platform", "processor"):
        assert (STANDARD, ItemName(ItemKind.PCK_CRL, pck_ca=ca)) in names
    assert (STANDARD, ItemName(ItemKind.ROOT_CA_CRL)) in names


def test_tcbs_without_a_certificate_are_listed_for_whoever_fetches_them(desk: Desk) -> None:
    lacking = encode_identity(b"lacking", has_newest=False)
    desk.cache(mode=Mode.REQ).register(desk.registration(lacking), desk.world.now)
    waiting = desk.world.storage().registrations.take(RegistrationState.NOT_AVAILABLE)
    assert [each.raw_tcb for each in waiting] == [desk.raw_tcb]


def test_what_has_expired_is_fetched_anew_and_never_handed_out(desk: Desk) -> None:
    cache = desk.cache()
    certificate, _ = cache.certificate(KEY, desk.raw_tcb, MINE, desk.world.now)
    desk.world.now = certificate.expires_at
    desk.tell(Fault(status=503))
    assert refusal(desk, cache, desk.raw_tcb, MINE).status == 502


def test_one_platform_that_cannot_be_refreshed_leaves_the_others_refreshed(desk: Desk) -> None:
    cache = desk.cache()
    for number in range(3):
        key = KEY._replace(qe_id=f"{number:032X}")
        cache.certificate(key, desk.raw_tcb, encode_identity(b"%d" % number), desk.world.now)
    desk.world.wait(hours=1)
    desk.tell(Fault(route="*/pckcert*", status=500, times=1))
    outcomes = cache.refresh(desk.world.now)
    assert [failure == "" for _, failure in outcomes].count(True) == 1
    fetched = [desk.world.storage().platforms.get(KEY._replace(qe_id=f"{number:032X}")) for number in range(3)]
    assert sorted(each is not None and each.fetched_at == desk.world.now for each in fetched) == [False, True, True]
