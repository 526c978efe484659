"""A simulated vendor and caches of its collateral as processes of their own, and what is asked of them."""

import contextlib
import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.e2e.processes import Service
from verdictd.simulator.family import encode_identity
from verdictd.simulator.platform import SimulatedPlatform

V4 = "/sgx/certification/v4"


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        """The body of an answer that says why there is nothing."""
        found: dict[str, Any] = json.loads(self.body)
        return found


def request(
    url: str, target: str, *, method: str = "GET", body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Reply:
    """Send one request to the server of a URL, on a connection of its own."""
    connection = http.client.HTTPConnection(str(urlsplit(url).netloc), timeout=30)
    try:
        connection.request(method, target, body, dict(headers or {}))
        answer = connection.getresponse()
        return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


@dataclass(frozen=True, slots=True)
class Vendor:
    """A running tee-sim, whose platform is in ``vendor``."""

    url: str
    service: Service

    def told(self, **behaviour: object) -> None:
        """Tell it how to behave."""
        done = request(self.url, "/tee-sim/behaviour", method="PUT", body=json.dumps(behaviour).encode())
        assert done.status < 300, done.body

    def counts(self) -> dict[str, int]:
        """Return how often each path was asked for."""
        found: dict[str, int] = json.loads(request(self.url, "/tee-sim/requests").body)["counts"]
        return found


@dataclass(frozen=True, slots=True)
class RunningCache:
    """A running `pccs`."""

    url: str
    service: Service

    def get(
        self, route: str, query: Mapping[str, str] | None = None, *, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Ask it for something of API v4."""
        return request(self.url, f"{V4}/{route}{'?' if query else ''}{urlencode(query or {})}", headers=headers)

    def pck_certificate(self, machine: "Machine") -> Reply:
        """Ask it for a platform's PCK certificate."""
        return self.get("pckcert", machine.query)


@dataclass(frozen=True, slots=True)
class Machine:
    """A platform of the vendor's as it names itself to a cache."""

    seed: bytes
    platform: SimulatedPlatform = field(repr=False)
    family: int = 0

    @property
    def query(self) -> dict[str, str]:
        """The parameters of ``pckcert``."""
        hardware = self.platform.hardware
        return {
            "qeid": self.seed.hex().ljust(32, "0").upper(),
            "encrypted_ppid": encode_identity(self.seed, family=self.family).hex(),
            "cpusvn": hardware.cpu_svn.hex(),
            "pcesvn": hardware.pce_svn.to_bytes(2, "little").hex(),
            "pceid": hardware.pce_id.hex(),
        }


def make_vendor(directory: Path) -> SimulatedPlatform:
    """Make the vendor's platform in a directory."""
    platform = SimulatedPlatform.create(at=datetime.now(UTC) - timedelta(minutes=1))
    platform.save(directory / "vendor")
    return platform


@contextlib.contextmanager
def vendor(directory: Path) -> Iterator[Vendor]:
    """Run tee-sim for the platform in ``vendor``."""
    with Service("tee-sim", "serve", "vendor", cwd=directory) as service:
        yield Vendor(service.wait_for(r"serving simulated collateral at (http://\S+)")[1], service)


@contextlib.contextmanager
def cache(directory: Path, *words: str) -> Iterator[RunningCache]:
    """Run `pccs` on the database in ``cache`` unless the words name another."""
    where = () if {"--database", "--data-dir"} & {*words} else ("--data-dir", "cache")
    fixed = ["--listen", "127.0.0.1:0", "--trust-root", "vendor/root-ca.pem", *where]
    with Service("pccs", "serve", *fixed, *words, cwd=directory) as service:
        yield RunningCache(service.wait_for(r"serving collateral at (http://\S+)")[1], service)
