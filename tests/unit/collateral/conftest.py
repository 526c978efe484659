import pytest

from tests.unit.collateral.endorser import Endorser


@pytest.fixture(scope="package")
def endorser() -> Endorser:
    return Endorser()


@pytest.fixture(scope="package")
def stranger() -> Endorser:
    """Another vendor, of the same names, whose root is trusted only where a test says so."""
    return Endorser()
