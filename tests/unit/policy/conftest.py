from collections.abc import Iterator

import pytest

from verdictd.policy.runner import PolicyRunner


@pytest.fixture(scope="session")
def runner() -> Iterator[PolicyRunner]:
    """Two workers for all tests that do nothing unkind to them."""
    with PolicyRunner(workers=2, deadline_s=20.0) as runner:
        runner.start()
        yield runner
