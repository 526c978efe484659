"""A simulated vendor's service, a database, and caches of PCK certificates on it."""

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.unit.collateral.endorser import DAY, START
from tests.unit.pccs.services.shared import Clock
from verdictd.collateral.deadline import MonotonicClock
from verdictd.collateral.http_client import BoundedHTTPClient, Retries
from verdictd.collateral.pccs_client import PCCSClient
from verdictd.collateral.pccs_urls import parse_pccs_url
from verdictd.pccs.asking import Asking
from verdictd.pccs.collateral_cache import StoredCollateralCache
from verdictd.pccs.database import open_storage
from verdictd.pccs.errors import UnavailableError
from verdictd.pccs.model import Edition, Mode, Platform, PlatformKey, RawTCB, Registration
from verdictd.pccs.pck_cache import StoredPCKCache, build_pck_cache
from verdictd.pccs.pck_fetching import PCKFetcher
from verdictd.pccs.pck_upstream import PCKUpstream
from verdictd.pccs.ports import Storage
from verdictd.simulator.behaviour import Behaviour, Fault
from verdictd.simulator.family import MANIFEST_BYTES, encode_identity
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.simulator.server import CollateralServer
from verdictd.tees.dcap.trust_roots import TrustRoots, parse_trust_roots

PLATFORM = SimulatedPlatform.create(at=START - 100 * DAY)
ROOTS = TrustRoots(parse_trust_roots(PLATFORM.trust_root_pem, "simulated root"))
KEY = PlatformKey("00112233445566778899AABBCCDDEEFF", "0000")
OTHER = PlatformKey("FF" * 16, "0000")
PPID = PLATFORM.encrypted_ppid
HIGH = RawTCB(bytes([255] * 16), 0xFFFF)
OWN = RawTCB(PLATFORM.hardware.components, PLATFORM.hardware.pce_svn)
LIKE_A_PCCS = Fault(route="*/pckcerts", status=404)
MANIFEST = encode_identity(b"manifest", size=MANIFEST_BYTES.start)


@dataclass
class Desk:
    """A vendor, a database, and caches on it."""

    directory: Path
    server: CollateralServer
    storage: Storage
    clock: Clock
    asking: Asking | None = None

    def cache(
        self, mode: Mode = Mode.LAZY, holder: str = "one", *, ticks: MonotonicClock = time.monotonic
    ) -> StoredPCKCache:
        address = parse_pccs_url(self.server.url)
        http = BoundedHTTPClient(tls=ssl.create_default_context(), retries=Retries(times=0))

        def make_sources(edition: Edition) -> list[PCCSClient]:
            return [PCCSClient(address, http, update=edition.update)]

        self.collateral = StoredCollateralCache(
            self.storage, make_sources, roots=ROOTS, mode=mode, holder=holder, clock=self.clock, asking=self.asking
        )
        upstreams = [PCKUpstream(address, http, self.clock)]
        fetcher = PCKFetcher(self.storage, upstreams, roots=ROOTS, holder=holder, clock=self.clock, asking=self.asking)
        return build_pck_cache(
            self.storage, self.collateral, fetcher, roots=ROOTS, mode=mode, holder=holder, ticks=ticks
        )

    def told(self, *faults: Fault) -> None:
        self.server.service.behaviour = Behaviour(faults=faults)

    def asked(self, *names: str) -> int:
        counts = self.server.service.log.counts()
        return sum(count for path, count in counts.items() if path.rpartition("/")[2] in names)

    def ask(self, cache: StoredPCKCache, ppid: bytes = PPID, tcb: RawTCB = OWN, key: PlatformKey = KEY) -> RawTCB:
        certificate, pck_set = cache.certificate(key, tcb, ppid, self.clock())
        assert pck_set.platform.key == key
        return certificate.tcb

    def refused(
        self, cache: StoredPCKCache, ppid: bytes = PPID, tcb: RawTCB = OWN, key: PlatformKey = KEY
    ) -> UnavailableError:
        with pytest.raises(UnavailableError) as caught:
            self.ask(cache, ppid, tcb, key)
        return caught.value


@contextmanager
def open_desk(directory: Path) -> Iterator[Desk]:
    PLATFORM.save(directory / "vendor")
    clock = Clock()
    storage = open_storage(f"sqlite:///{directory / 'pccs.db'}", ROOTS)
    with CollateralServer(directory / "vendor", host="127.0.0.1", port=0, clock=clock) as server:
        yield Desk(directory / "vendor", server, storage, clock)
    storage.close()


def registration(ppid: bytes = PPID, manifest: bytes = b"", raw_tcb: RawTCB | None = OWN) -> Registration:
    return Registration(platform=Platform(key=KEY, enc_ppid=ppid, manifest=manifest), raw_tcb=raw_tcb)
