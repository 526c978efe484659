from pathlib import Path

import pytest

from tests.unit.simulator.oracle import AT
from verdictd.simulator.platform import SimulatedPlatform


@pytest.fixture(scope="session")
def platform() -> SimulatedPlatform:
    """A platform that is immutable, as all are, and so may be shared."""
    return SimulatedPlatform.create(at=AT)


@pytest.fixture
def directory(tmp_path: Path, platform: SimulatedPlatform) -> Path:
    """A directory that holds the shared platform."""
    path = tmp_path / "platform"
    platform.save(path)
    return path
