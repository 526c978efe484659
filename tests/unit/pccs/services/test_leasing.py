"""What one process does, others wait for: no longer than they may, and whatever becomes of it."""

from contextlib import AbstractContextManager

import pytest

from tests.unit.pccs.services.world import World
from verdictd.collateral.deadline import Deadline
from verdictd.core.errors import CollateralUnavailableError
from verdictd.pccs.leasing import leased


class Desk:
    """Holders of one lease. Whoever waits lets the time pass that it waits for."""

    def __init__(self, world: World) -> None:
        self.now = world.now
        self.leases = world.storage().leases
        self.passed = 0.0

    def sleep(self, seconds: float) -> None:
        self.passed += seconds

    def leased(self, holder: str, *, is_done: bool = False) -> AbstractContextManager[None]:
        deadline = Deadline.after(1.0, lambda: self.passed)
        return leased(
            *(self.leases, "it", holder, deadline), clock=lambda: self.now, sleep=self.sleep, is_done=lambda: is_done
        )

    def is_free(self) -> bool:
        is_free = self.leases.acquire("it", "whoever looks", 1, self.now)
        if is_free:
            self.leases.release("it", "whoever looks")
        return is_free


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world)


def test_it_is_held_within_the_block_and_given_back_after_it(desk: Desk) -> None:
    with desk.leased("one"):
        assert not desk.is_free()
    assert desk.is_free()
    assert not desk.passed


def test_it_is_given_back_where_the_block_fails(desk: Desk) -> None:
    with pytest.raises(KeyError), desk.leased("one"):
        raise KeyError
    assert desk.is_free()


def test_at_the_deadline_it_is_too_late(desk: Desk) -> None:
    late = pytest.raises(CollateralUnavailableError, match="another process of this cache is asking for it")
    with desk.leased("one"), late, desk.leased("other"):
        pytest.fail("two hold it")
    assert 1.0 <= desk.passed < 1.1
    assert desk.is_free()


def test_what_another_has_done_needs_no_lease_and_takes_none_away(desk: Desk) -> None:
    with desk.leased("one"):
        with desk.leased("one", is_done=True):
            pass
        assert not desk.is_free()
    with desk.leased("one", is_done=True):
        assert desk.is_free()
