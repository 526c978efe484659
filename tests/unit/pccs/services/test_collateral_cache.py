"""What is held is handed out while it is in time, whatever becomes of upstream; what has expired never is."""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.collateral.endorser import Endorser, damaged
from tests.unit.pccs.services.world import World, made_world
from verdictd.collateral.items import CollateralItem, ItemKind, ItemName, VerifiedItem
from verdictd.core.errors import AuthenticityError, CollateralUnavailableError, MalformedError, VerdictdError
from verdictd.pccs.collateral_cache import MAX_NUMBERED
from verdictd.pccs.errors import UnavailableError
from verdictd.pccs.model import STANDARD, Edition, Mode

QE = ItemName(ItemKind.QE_IDENTITY, tee="SGX")
CRL = ItemName(ItemKind.PCK_CRL, pck_ca="platform")
ROOT_CRL = ItemName(ItemKind.ROOT_CA_CRL)
DOWN = CollateralUnavailableError("nobody answers")
SHARED = Endorser()


def identity(world: World, number: int, *, days: float = 30) -> CollateralItem:
    return world.endorser.qe_identity(number, day=world.seconds() / 86400 - 1, days=days + 1)


def number_of(found: VerifiedItem) -> int:
    return found.sequence[0]


def test_what_was_fetched_is_held_by_every_process_without_asking_again(world: World) -> None:
    world.publish(identity(world, 1), QE)
    one, other = world.cache("one"), world.cache("other")
    assert one.held(STANDARD, QE, world.now) is None
    assert number_of(one.find(STANDARD, QE, world.now)) == 1
    assert other.held(STANDARD, QE, world.now) is None
    other.follow(world.now)
    held = other.held(STANDARD, QE, world.now)
    assert held is not None
    assert number_of(held) == 1
    assert number_of(world.cache("third").find(STANDARD, QE, world.now)) == 1  # from the database at its start
    assert world.upstream.asked == [QE]


def test_a_process_that_has_not_followed_yet_reads_what_another_has_just_fetched(world: World) -> None:
    world.publish(identity(world, 1), QE)
    one, other = world.cache("one"), world.cache("other")
    one.find(STANDARD, QE, world.now)
    assert number_of(other.find(STANDARD, QE, world.now)) == 1
    assert world.upstream.asked == [QE]


def test_many_askers_in_many_processes_have_upstream_asked_once(world: World) -> None:
    world.publish(identity(world, 1), QE)
    world.upstream.before_answer = lambda: sleep(0.2)
    caches = [world.cache(name) for name in ("one", "two", "three")]
    with ThreadPoolExecutor(12) as threads:
        found = list(threads.map(lambda cache: cache.find(STANDARD, QE, world.now), caches * 4))
    assert {number_of(each) for each in found} == {1}
    assert world.upstream.asked == [QE]


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


@pytest.mark.parametrize(
    ("failure", "status", "problem"),
    [
        (CollateralUnavailableError("no", status=404), 404, "no-cache-data"),
        (CollateralUnavailableError("no", status=410), 404, "no-cache-data"),
        (CollateralUnavailableError("no", status=429, retry_after_s=30), 503, "rate-limited"),
        (CollateralUnavailableError("no", status=500), 502, "upstream-down"),
        (DOWN, 502, "upstream-down"),
        (MalformedError("no JSON"), 460, "integrity"),
        (AuthenticityError("forged"), 460, "integrity"),
    ],
)
def test_each_failure_of_upstream_has_its_status(
    world: World, failure: VerdictdError, status: int, problem: str
) -> None:
    world.upstream.failure = failure
    with pytest.raises(UnavailableError) as refused:
        world.cache().find(STANDARD, QE, world.now)
    assert (refused.value.status, refused.value.problem) == (status, problem)
    assert refused.value.remedy


def test_what_does_not_verify_is_neither_handed_out_nor_stored(world: World) -> None:
    world.publish(damaged(identity(world, 1)), QE)
    with pytest.raises(UnavailableError) as refused:
        world.cache().find(STANDARD, QE, world.now)
    assert (refused.value.status, refused.value.problem) == (460, "integrity")
    assert list(world.storage().items.changed_since(0)) == []


def test_another_item_than_was_asked_for_is_not_taken_for_it(world: World) -> None:
    world.publish(world.endorser.qe_identity(1, day=1, days=99, enclave_id="TD_QE"), QE)
    with pytest.raises(UnavailableError) as refused:
        world.cache().find(STANDARD, QE, world.now)
    assert refused.value.problem == "integrity"
    assert list(world.storage().items.changed_since(0)) == []


def test_all_processes_leave_upstream_alone_for_as_long_as_it_asked_one_of_them(world: World) -> None:
    world.upstream.failure = CollateralUnavailableError("too often", status=429, retry_after_s=60)
    one, other = world.cache("one"), world.cache("other")
    for cache in (one, other, one, other):
        with pytest.raises(UnavailableError) as refused:
            cache.find(STANDARD, QE, world.now)
        assert refused.value.problem == "rate-limited"
        assert refused.value.retry_after_s is not None
        world.wait(seconds=10)
    assert world.upstream.asked == [QE]
    world.upstream.failure = None
    world.publish(identity(world, 1), QE)
    world.wait(seconds=61)
    assert number_of(world.cache("third").find(STANDARD, QE, world.now)) == 1


def test_a_refresh_asks_anew_although_another_process_has_just_done_so(world: World) -> None:
    world.publish(identity(world, 1), QE)
    cache = world.cache()
    cache.find(STANDARD, QE, world.now)
    world.wait(seconds=1)
    world.publish(identity(world, 2), QE)
    assert cache.refresh(world.now) == [("SGX QE identity, v4/standard", "")]
    assert number_of(cache.find(STANDARD, QE, world.now)) == 2


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


@pytest.mark.parametrize(("mode", "problem"), [(Mode.REQ, "no-cache-data"), (Mode.OFFLINE, "offline")])
def test_where_upstream_is_not_to_be_asked_it_is_not(world: World, mode: Mode, problem: str) -> None:
    world.publish(identity(world, 1), QE)
    cache = world.cache(mode=mode)
    with pytest.raises(UnavailableError) as refused:
        cache.find(STANDARD, QE, world.now)
    assert (refused.value.status, refused.value.problem) == (404, problem)
    assert world.upstream.asked == []
    cache.offer(STANDARD, identity(world, 3), world.now)
    assert number_of(cache.find(STANDARD, QE, world.now)) == 3


def test_a_registration_may_ask_in_the_mode_req(world: World) -> None:
    world.publish(identity(world, 1), QE)
    assert number_of(world.cache(mode=Mode.REQ).fetch(STANDARD, QE, world.now)) == 1


def test_editions_never_stand_in_for_one_another(world: World) -> None:
    early = Edition(update="early")
    cache = world.cache(mode=Mode.OFFLINE)
    cache.offer(early, identity(world, 9), world.now)
    assert cache.held(STANDARD, QE, world.now) is None
    assert number_of(cache.find(early, QE, world.now)) == 9


def test_crls_are_the_same_in_every_edition(world: World) -> None:
    cache = world.cache(mode=Mode.OFFLINE)
    cache.offer(Edition(3), world.endorser.pck_crl(4, day=1, days=99), world.now)
    assert number_of(cache.find(Edition(update="early"), CRL, world.now)) == 4


def test_version_3_is_asked_only_of_upstreams_that_speak_it(world: World) -> None:
    with pytest.raises(UnavailableError, match="no upstream hands out v3/standard"):
        world.cache().find(Edition(3), QE, world.now)
    assert world.upstream.asked == []


def test_of_numbered_editions_only_so_many_are_held(world: World) -> None:
    cache = world.cache()
    world.upstream.failure = CollateralUnavailableError("no", status=404)
    for number in range(MAX_NUMBERED * 2):
        with pytest.raises(UnavailableError):
            cache.find(Edition(update=number), QE, world.now)
    assert len(cache._shelves) <= MAX_NUMBERED


def test_an_older_offer_displaces_nothing(world: World) -> None:
    cache = world.cache(mode=Mode.OFFLINE)
    cache.offer(STANDARD, identity(world, 5), world.now)
    cache.offer(STANDARD, identity(world, 4), world.now)
    assert number_of(cache.find(STANDARD, QE, world.now)) == 5
    assert number_of(world.cache("other", Mode.OFFLINE).find(STANDARD, QE, world.now)) == 5


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 6)),
        st.tuples(st.just("fail"), st.sampled_from(["down", "limit", "forge", ""])),
        st.tuples(st.just("wait"), st.sampled_from([1, 7, 61, 3600, 40_000, 90_000, 400_000])),
        st.tuples(st.just("ask"), st.integers(0, 1)),
        st.tuples(st.just("refresh"), st.integers(0, 1)),
        st.tuples(st.just("follow"), st.integers(0, 1)),
    ),
    max_size=14,
)
FAILURES = {
    "down": DOWN,
    "limit": CollateralUnavailableError("too often", status=429, retry_after_s=100),
    "forge": AuthenticityError("forged"),
    "": None,
}


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_whatever_happens_nothing_expired_or_older_is_handed_out_and_what_is_in_time_is(
    steps: list[tuple[str, int | str]],
) -> None:
    with tempfile.TemporaryDirectory() as name, made_world(SHARED, Path(name)) as world:
        caches = (world.cache("one"), world.cache("other"))
        newest = [0, 0]
        held_until = [world.now, world.now]
        for step, value in steps:
            match step, value:
                case "publish", int(number):
                    world.publish(identity(world, number, days=3), QE)
                case "fail", str(how):
                    world.upstream.failure = FAILURES[how]
                case "wait", int(seconds):
                    world.wait(seconds=seconds)
                case "refresh", int(which):
                    caches[which].refresh(world.now)
                case "follow", int(which):
                    caches[which].follow(world.now)
                case "ask", int(which):
                    try:
                        found = caches[which].find(STANDARD, QE, world.now)
                    except UnavailableError:
                        assert world.now >= held_until[which], "it was held, and in time"
                        continue
                    assert found.is_in_time(world.now)
                    assert number_of(found) >= newest[which]
                    newest[which], held_until[which] = number_of(found), found.expires_at
        assert world.upstream.most_at_once <= 1


def test_numbers_that_anybody_may_name_displace_no_edition_that_is_held(world: World) -> None:
    numbered = Edition(update=17)
    cache = world.cache(mode=Mode.OFFLINE)
    cache.offer(numbered, identity(world, 17), world.now)
    for number in range(1000, 1000 + 2 * MAX_NUMBERED):
        with pytest.raises(UnavailableError):
            cache.find(Edition(update=number), QE, world.now)
    assert cache.held(numbered, QE, world.now) is not None


def test_an_edition_that_was_let_go_is_found_in_the_database_again(world: World) -> None:
    cache = world.cache(mode=Mode.OFFLINE)
    for number in range(1, MAX_NUMBERED + 3):
        cache.offer(Edition(update=number), identity(world, number), world.now)
    assert cache.held(Edition(update=1), QE, world.now) is None
    assert number_of(cache.find(Edition(update=1), QE, world.now)) == 1


def test_an_address_of_a_trusted_vendor_names_its_crl_and_no_other_is_looked_at(world: World) -> None:
    cache = world.cache(mode=Mode.OFFLINE)
    root_crl = world.endorser.root_ca_crl(1, day=1, days=99)
    cache.offer(STANDARD, root_crl, world.now)
    cache.offer(STANDARD, world.endorser.pck_crl(1, day=1, days=99), world.now)
    assert cache.crl_at("https://tee-sim.invalid/SimulatedSGXRootCA.der", world.now) == root_crl.raw.der  # type: ignore[union-attr]
    assert cache.crl_at("https://tee-sim.invalid/sgx/certification/v4/pckcrl?ca=platform&encoding=der", world.now)
    for uri in (
        "https://tee-sim.invalid/other.der",
        "https://example.invalid/sgx/certification/v4/pckcrl?ca=platform",
        "http://tee-sim.invalid/sgx/certification/v4/pckcrl?ca=platform",
        "https://tee-sim.invalid/sgx/certification/v4/pckcrl?ca=other",
        "file:///etc/passwd",
        "http://[",
        "https://tee-sim.invalid/" + "a" * 2048,
    ):
        with pytest.raises(UnavailableError, match="no distribution point"):
            cache.crl_at(uri, world.now)
