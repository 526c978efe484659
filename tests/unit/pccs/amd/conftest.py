"""A simulated AMD, and caches of what it issues that share a database."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from verdictd.collateral.amd_names import AMDCertificateName
from verdictd.collateral.deadline import Deadline
from verdictd.collateral.http_client import BoundedHTTPClient, HTTPAnswer
from verdictd.collateral.kds import KDSUpstream
from verdictd.core.errors import CollateralUnavailableError
from verdictd.pccs.amd.cache import StoredAMDCache
from verdictd.pccs.amd.fetching import AMDFetcher
from verdictd.pccs.amd.held import HeldAMD
from verdictd.pccs.amd.verification import AMDVerifier
from verdictd.pccs.database import open_storage
from verdictd.pccs.database.storage import DatabaseStorage
from verdictd.pccs.model import Mode
from verdictd.simulator.amd_pki import AMDPKI, create_amd_pki
from verdictd.simulator.kds_api import answer_kds
from verdictd.tees.amd.roots import AMDRoots, parse_amd_roots
from verdictd.tees.dcap.trust_roots import TrustRoots, intel_trust_root

NOW = datetime(2026, 6, 1, tzinfo=UTC)
CHIP = bytes(range(64))
TCB = bytes([3, 0, 0, 0, 0, 0, 8, 115])
LEAF = AMDCertificateName("vcek", "Milan", "leaf", CHIP, TCB)
CHAIN = AMDCertificateName("vcek", "Milan", "cert_chain")
CRL = AMDCertificateName("vcek", "Milan", "crl")
VLEK = AMDCertificateName("vlek", "Milan", "leaf", b"", TCB)


class Clock:
    """An instant that moves when it is told to."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, **time: float) -> datetime:
        self.now += timedelta(**time)
        return self.now


@dataclass
class KDS:
    """Stands in for HTTP: the simulator's answers, or what a test puts in their place."""

    pki: AMDPKI
    clock: Clock
    asked: list[str] = field(default_factory=list)
    instead: dict[str, bytes] = field(default_factory=dict)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    is_down: bool = False
    lifetime: timedelta | None = None
    before: Callable[[], object] = lambda: None

    def get(self, url: str, *, max_bytes: int, deadline: Deadline) -> HTTPAnswer:
        assert deadline.remaining
        target = url.removeprefix("https://kds.invalid")
        self.asked.append(target)
        self.before()
        if self.is_down:
            raise CollateralUnavailableError(f"{url} cannot be reached")
        answer = answer_kds(target, lambda _: self.pki, self.clock.now, lifetime=self.lifetime)
        body = self.instead.get(target.split("/")[-1], answer.body)
        status = answer.status if self.status == 200 else self.status
        assert len(body) <= max_bytes
        return HTTPAnswer(url=url, status=status, headers=self.headers, body=body)


@dataclass
class Process:
    """One process's part of a cache."""

    cache: StoredAMDCache
    storage: DatabaseStorage
    verifier: AMDVerifier


@pytest.fixture(scope="session")
def milan() -> AMDPKI:
    return create_amd_pki("Milan", NOW)


@pytest.fixture(scope="session")
def other() -> AMDPKI:
    """Another AMD, which nobody trusts."""
    return create_amd_pki("Milan", NOW)


@pytest.fixture(scope="session")
def roots(milan: AMDPKI) -> AMDRoots:
    return AMDRoots(parse_amd_roots(milan.ark.pem, "milan.pem"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kds(milan: AMDPKI, clock: Clock) -> KDS:
    return KDS(milan, clock)


@pytest.fixture
def start(tmp_path: Path, roots: AMDRoots, kds: KDS, clock: Clock) -> Iterator[Callable[..., Process]]:
    """Starts processes of one database."""
    opened: list[DatabaseStorage] = []

    def start_one(mode: Mode = Mode.LAZY, database: str = "pccs") -> Process:
        verifier = AMDVerifier(roots)
        intel = TrustRoots((intel_trust_root(),))
        storage = open_storage(f"sqlite:///{tmp_path}/{database}.db", intel, verify_amd=verifier)
        opened.append(storage)
        verifier.read_chains_from(storage.amd)
        held = HeldAMD(storage.amd, verifier)
        upstream = KDSUpstream("https://kds.invalid", cast("BoundedHTTPClient", kds))
        fetcher = AMDFetcher(storage, held, upstream, verifier, holder=f"process {len(opened)}", clock=clock)
        return Process(
            StoredAMDCache(storage.amd, held, fetcher, verifier, mode=mode, random=lambda: 1.0), storage, verifier
        )

    yield start_one
    for storage in opened:
        storage.close()
