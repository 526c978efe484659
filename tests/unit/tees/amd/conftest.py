"""One simulated AMD for all tests: its keys take seconds to make."""

from datetime import UTC, datetime

import pytest

from verdictd.simulator.amd_pki import AMDPKI, create_amd_pki
from verdictd.tees.amd.roots import AMDRoots, parse_amd_roots

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="session")
def milan() -> AMDPKI:
    return create_amd_pki("Milan", NOW)


@pytest.fixture(scope="session")
def turin() -> AMDPKI:
    return create_amd_pki("Turin", NOW)


@pytest.fixture(scope="session")
def roots(milan: AMDPKI, turin: AMDPKI) -> AMDRoots:
    return AMDRoots((*parse_amd_roots(milan.ark.pem, "milan.pem"), *parse_amd_roots(turin.ark.pem, "turin.pem")))
