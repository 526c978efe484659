"""One simulated platform, its PCCS and one verdictd, for all tests that change nothing they cannot share."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.e2e.processes import Verifier, pccs, verifier
from verdictd.simulator.collateral_file import encode_collateral_file
from verdictd.simulator.platform import SimulatedPlatform

TRUST = ("--trust-root", "platform/root-ca.pem")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verifier]:
    """A verdictd that accepts the simulated platform's usual enclave, and collateral from a PCCS."""
    directory = tmp_path_factory.mktemp("shared")
    SimulatedPlatform.create(at=datetime.now(UTC) - timedelta(minutes=1)).save(directory / "platform")
    with pccs(directory) as url, verifier(directory, *TRUST, "--pccs-url", url) as running:
        running.name_reference()
        yield running


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a simulated platform and its collateral in a file."""
    platform = SimulatedPlatform.create(at=datetime.now(UTC) - timedelta(minutes=1))
    platform.save(tmp_path / "platform")
    write_collateral(tmp_path, platform)
    return tmp_path


def write_collateral(directory: Path, platform: SimulatedPlatform) -> None:
    (directory / "collateral.json").write_bytes(encode_collateral_file(platform.collateral(datetime.now(UTC))))
