from collections.abc import Iterator

import pytest

from verdictd.policy.runner import PolicyRunner


@pytest.fixture(scope="session")
def runner() -> Iterator[PolicyRunner]:
    with PolicyRunner(workers=1) as running:
        yield running
