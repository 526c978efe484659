"""Whose certificates a platform has, and who may have others put in their place."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.unit.collateral.endorser import DAY, START
from tests.unit.pccs.services.world import World
from verdictd.collateral.http_client import BoundedHTTPClient, Retries, tls_context
from verdictd.collateral.pccs_client import PCCSClient
from verdictd.collateral.pccs_urls import parse_pccs_url
from verdictd.pccs.collateral_cache import StoredCollateralCache
from verdictd.pccs.errors import UnavailableError
from verdictd.pccs.model import Edition, Mode, Platform, PlatformKey, RawTCB, Registration, RegistrationState
from verdictd.pccs.pck_cache import StoredPCKCache, build_pck_cache
from verdictd.pccs.pck_fetching import PCKFetcher
from verdictd.pccs.pck_upstream import PCKUpstream
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
        return build_pck_cache(storage, collateral, fetcher, roots=world.endorser.roots, mode=mode, holder=holder)

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


def test_whoever_asks_cannot_have_another_processors_certificates_put_in_the_place_of_a_platforms(desk: Desk) -> None:
    cache = desk.cache()
    mine = cache.certificate(KEY, desk.raw_tcb, MINE, desk.world.now)[0]
    desk.world.wait(hours=1)
    assert refusal(desk, cache, LOW, THEIRS).status == 404  # asked for by the PPID that was given before
    assert desk.count("pckcerts") == 2
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
    assert desk.world.storage().attempts.count_failures() == 0  # what there is not is no outage


def test_tcbs_without_a_certificate_are_listed_for_whoever_fetches_them(desk: Desk) -> None:
    lacking = encode_identity(b"lacking", has_newest=False)
    desk.cache(mode=Mode.REQ).register(desk.registration(lacking), desk.world.now)
    waiting = desk.world.storage().registrations.take(RegistrationState.NOT_AVAILABLE)
    assert [each.raw_tcb for each in waiting] == [desk.raw_tcb]
