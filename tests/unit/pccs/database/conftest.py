from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.collateral.endorser import Endorser
from tests.unit.pccs.database.postgresql import PostgreSQL, ServerMissingError, postgresql_server
from verdictd.pccs.database import open_storage
from verdictd.pccs.database.storage import DatabaseStorage


@pytest.fixture(scope="session")
def endorser() -> Endorser:
    return Endorser()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    try:
        with postgresql_server() as server:
            yield server
    except ServerMissingError as missing:
        pytest.skip(f"PostgreSQL is not tested: {missing}")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/data/pccs.db"
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.url(server.create_database())


@pytest.fixture
def storage(url: str, endorser: Endorser) -> Iterator[DatabaseStorage]:
    opened = open_storage(url, endorser.roots)
    yield opened
    opened.close()
