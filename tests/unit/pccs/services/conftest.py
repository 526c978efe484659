from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.collateral.endorser import Endorser
from tests.unit.pccs.services.world import World, made_world


@pytest.fixture(scope="session")
def endorser() -> Endorser:
    return Endorser()


@pytest.fixture
def world(endorser: Endorser, tmp_path: Path) -> Iterator[World]:
    with made_world(endorser, tmp_path) as made:
        yield made
