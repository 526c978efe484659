"""What upstream is spared: rests that it asked for, and questions that anybody may make up."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.pccs.services.pck_desk import KEY, OTHER, OWN, PPID, Desk, open_desk, registration
from verdictd.collateral.items import ItemKind, ItemName
from verdictd.core.errors import AuthenticityError, CollateralUnavailableError, VerdictdError
from verdictd.pccs.asking import Asking, UnknownBudget
from verdictd.pccs.errors import UnavailableError
from verdictd.pccs.model import STANDARD
from verdictd.pccs.web.metrics import Metrics
from verdictd.pccs.web.upstream_metrics import UpstreamMetrics
from verdictd.simulator.behaviour import Fault

INVENTED = ItemName(ItemKind.TCB_INFO, tee="SGX", fmspc=b"\xff" * 6)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with open_desk(tmp_path) as opened:
        yield opened


def test_a_budget_is_ten_seconds_worth_and_fills_again(desk: Desk) -> None:
    budget = UnknownBudget(3, ticks=desk.clock.ticks)
    for _ in range(30):
        budget.spend()
    with pytest.raises(CollateralUnavailableError, match="no more than 3 things a second") as caught:
        budget.spend()
    assert caught.value.retry_after_s == pytest.approx(1 / 3)
    assert caught.value.remedy
    desk.clock.now += timedelta(seconds=1)
    for _ in range(3):
        budget.spend()
    with pytest.raises(CollateralUnavailableError):
        budget.spend()
    desk.clock.now += timedelta(days=1)
    for _ in range(30):
        budget.spend()
    with pytest.raises(CollateralUnavailableError):
        budget.spend()


@pytest.fixture
def spent(desk: Desk) -> Desk:
    """A desk whose cache holds one platform, and may ask for nothing that it does not hold."""
    desk.cache().register(registration(), desk.clock())
    budget = UnknownBudget(1, ticks=desk.clock.ticks)
    for _ in range(10):
        budget.spend()
    desk.asking = Asking(desk.storage.attempts, desk.clock, budget=budget)
    return desk


def test_invented_families_and_platforms_are_refused_once_the_budget_is_spent(spent: Desk) -> None:
    cache = spent.cache()
    before = spent.asked("tcb", "pckcerts")
    with pytest.raises(UnavailableError) as caught:
        spent.collateral.find(STANDARD, INVENTED, spent.clock())
    assert (caught.value.status, caught.value.problem, caught.value.retry_after_s) == (503, "rate-limited", 1)
    error = spent.refused(cache, PPID, OWN, OTHER)
    assert (error.status, error.problem, error.retry_after_s) == (503, "rate-limited", 1)
    assert spent.asked("tcb", "pckcerts") == before
    assert spent.storage.attempts.count_failures() == 0 or not spent.storage.attempts.get("upstream")
    spent.clock.now += timedelta(seconds=2)
    assert spent.ask(cache, PPID, OWN, OTHER) == OWN


def test_what_is_held_and_who_registers_is_served_although_it_is_spent(spent: Desk) -> None:
    cache = spent.cache()
    before = spent.asked("tcb", "pckcerts")
    assert spent.ask(cache) == OWN
    assert all(not failure for _, failure in spent.collateral.refresh(spent.clock()))
    assert all(not failure for _, failure in cache.refresh(spent.clock()))
    cache.register(registration(b"\x01" * 384), spent.clock())
    assert spent.asked("tcb", "pckcerts") > before


def test_an_upstream_that_is_left_alone_for_one_thing_is_for_all(desk: Desk) -> None:
    desk.told(Fault(route="*/pckcerts", status=429, retry_after_s=30))
    desk.refused(desk.cache())
    desk.told()
    desk.cache(holder="other")
    with pytest.raises(UnavailableError) as caught:
        desk.collateral.find(STANDARD, ItemName(ItemKind.QVE_IDENTITY), desk.clock())
    assert (caught.value.problem, caught.value.retry_after_s) == ("rate-limited", 30)
    assert not desk.asked("identity")
    desk.clock.now += timedelta(seconds=31)
    assert desk.ask(desk.cache(holder="third")) == OWN
    assert desk.collateral.find(STANDARD, ItemName(ItemKind.QVE_IDENTITY), desk.clock()).is_in_time(desk.clock())


def test_an_operator_does_not_wait_for_what_upstream_wished_before_but_for_what_it_wishes_now(desk: Desk) -> None:
    cache = desk.cache()
    for key in (KEY, OTHER):
        desk.ask(cache, PPID, OWN, key)
    desk.storage.attempts.failed("PCCS " + desk.server.url, desk.clock(), "429", desk.clock() + timedelta(seconds=90))
    desk.clock.now += timedelta(seconds=1)
    assert all(not failure for _, failure in desk.cache().refresh(desk.clock()))
    assert desk.asked("pckcerts") == 4
    desk.told(Fault(route="*/pckcerts", status=429, retry_after_s=30))
    desk.clock.now += timedelta(seconds=1)
    refused = [failure for _, failure in desk.cache().refresh(desk.clock() - timedelta(microseconds=1))]
    assert len(refused) == 2
    assert all("429" in failure for failure in refused)
    assert desk.asked("pckcerts") == 5


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "success"),
        (CollateralUnavailableError("x", status=404), "not_there"),
        (CollateralUnavailableError("x", status=429, retry_after_s=1), "rate_limited"),
        (CollateralUnavailableError("x", status=503), "unavailable"),
        (AuthenticityError("x"), "unusable"),
    ],
)
def test_requests_are_counted_by_outcome(error: VerdictdError | None, outcome: str) -> None:
    counted, metrics = UpstreamMetrics(), Metrics()
    for collector in counted.collectors:
        metrics.add(collector)
    counted.observe("PCCS x", "tcb_info", error, 0.3)
    written = metrics.write().decode()
    labels = f'kind="tcb_info",outcome="{outcome}",upstream="PCCS x"'
    assert f"pccs_upstream_requests_total{{{labels}}} 1.0" in written
    assert 'pccs_upstream_request_seconds_sum{upstream="PCCS x"} 0.3' in written


def test_all_that_upstream_is_asked_for_is_told(desk: Desk) -> None:
    told: list[tuple[str, str, bool]] = []

    def take(upstream: str, what: str, error: VerdictdError | None, seconds: float) -> None:
        assert seconds >= 0
        told.append((upstream, what, error is None))

    desk.asking = Asking(desk.storage.attempts, desk.clock, on_upstream=take)
    cache = desk.cache()
    desk.ask(cache)
    with pytest.raises(UnavailableError):
        desk.collateral.find(STANDARD, INVENTED, desk.clock())
    name = "PCCS " + desk.server.url
    assert told == [(name, "pck_certificates", True), (name, "tcb_info", True), (name, "tcb_info", False)]
