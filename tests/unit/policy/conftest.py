import gc
from collections.abc import Iterator

import pytest

from verdictd.policy.runner import PolicyRunner


@pytest.fixture(scope="session")
def runner() -> Iterator[PolicyRunner]:
    """Two workers for all tests that do nothing unkind to them."""
    with PolicyRunner(workers=2, deadline_s=20.0) as runner:
        runner.start()
        yield runner


@pytest.fixture(scope="module", autouse=True)
def engines_end_in_their_thread() -> Iterator[None]:
    """An engine that a test used in this process must not be dropped by whichever thread collects garbage later."""
    yield
    gc.collect()
