"""Nothing that a client names, and nothing older, takes the place of what is held; only time does."""

import pytest

from tests.unit.collateral.endorser import damaged
from tests.unit.pccs.services.world import World
from verdictd.collateral.items import CollateralItem, ItemKind, ItemName, VerifiedItem
from verdictd.core.errors import CollateralUnavailableError
from verdictd.pccs.collateral_cache import MAX_NUMBERED
from verdictd.pccs.errors import UnavailableError
from verdictd.pccs.model import STANDARD, Edition, Mode

QE = ItemName(ItemKind.QE_IDENTITY, tee="SGX")
ROOT_CRL = ItemName(ItemKind.ROOT_CA_CRL)
DOWN = CollateralUnavailableError("nobody answers")


def identity(world: World, number: int, *, days: float = 30) -> CollateralItem:
    return world.endorser.qe_identity(number, day=world.seconds() / 86400 - 1, days=days + 1)


def number_of(found: VerifiedItem) -> int:
    return found.sequence[0]


def test_what_is_in_time_is_handed_out_while_upstream_is_down_and_not_a_moment_longer(world: World) -> None:
    world.publish(identity(world, 1, days=5), QE)
    cache = world.cache()
    expires_at = cache.find(STANDARD, QE, world.now).expires_at
    world.upstream.failure = DOWN
    world.now = expires_at - (expires_at - world.now) / 100
    assert number_of(cache.find(STANDARD, QE, world.now)) == 1
    world.now = expires_at
    assert cache.held(STANDARD, QE, world.now) is None
    with pytest.raises(UnavailableError) as refused:
        cache.find(STANDARD, QE, world.now)
    assert (refused.value.status, refused.value.problem) == (502, "upstream-down")
    assert "nobody answers" in refused.value.message
    assert "since" in refused.value.message


def test_one_item_that_cannot_be_refreshed_leaves_the_others_refreshed(world: World) -> None:
    cache = world.cache()
    world.publish(identity(world, 1), QE)
    world.publish(world.endorser.root_ca_crl(1, day=1, days=99), ROOT_CRL)
    cache.find(STANDARD, QE, world.now)
    cache.find(STANDARD, ROOT_CRL, world.now)
    world.wait(seconds=1)
    world.publish(identity(world, 2), QE)
    world.publish(damaged(world.endorser.root_ca_crl(2, day=1, days=99)), ROOT_CRL)
    outcomes = dict(cache.refresh(world.now))
    assert outcomes["SGX QE identity, v4/standard"] == ""
    assert "does not verify" in outcomes["CRL of the root CA"]
    assert number_of(cache.find(STANDARD, QE, world.now)) == 2
    assert number_of(cache.find(STANDARD, ROOT_CRL, world.now)) == 1


def test_editions_never_stand_in_for_one_another(world: World) -> None:
    early = Edition(update="early")
    cache = world.cache(mode=Mode.OFFLINE)
    cache.offer(early, identity(world, 9), world.now)
    assert cache.held(STANDARD, QE, world.now) is None
    assert number_of(cache.find(early, QE, world.now)) == 9


def test_an_older_offer_displaces_nothing(world: World) -> None:
    cache = world.cache(mode=Mode.OFFLINE)
    cache.offer(STANDARD, identity(world, 5), world.now)
    cache.offer(STANDARD, identity(world, 4), world.now)
    assert number_of(cache.find(STANDARD, QE, world.now)) == 5
    assert number_of(world.cache("other", Mode.OFFLINE).find(STANDARD, QE, world.now)) == 5


def test_numbers_that_anybody_may_name_displace_no_edition_that_is_held(world: World) -> None:
    numbered = Edition(update=17)
    cache = world.cache(mode=Mode.OFFLINE)
    cache.offer(numbered, identity(world, 17), world.now)
    for number in range(1000, 1000 + 2 * MAX_NUMBERED):
        with pytest.raises(UnavailableError):
            cache.find(Edition(update=number), QE, world.now)
    assert cache.held(numbered, QE, world.now) is not None
