"""An upstream that several processes share: each rule of when it is asked, and what is stored."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from threading import Barrier, BrokenBarrierError

import pytest

from tests.unit.collateral.endorser import DAY, damaged
from tests.unit.pccs.services.shared import ENDORSER, TCB_INFO, Site, Upstream, open_site
from verdictd.collateral.deadline import Deadline
from verdictd.collateral.items import CollateralItem, ItemKind
from verdictd.core.errors import AuthenticityError, CollateralUnavailableError, MalformedError
from verdictd.pccs.asking import Asking
from verdictd.pccs.errors import StorageError
from verdictd.pccs.model import STANDARD
from verdictd.pccs.shared_source import SharedSource, name_attempt
from verdictd.tees.dcap.memory import FactMemory


@pytest.fixture
def site() -> Iterator[Site]:
    with open_site(Upstream()) as opened:
        yield opened


def source(site: Site, holder: str = "one", sleep: Callable[[float], None] | None = None) -> SharedSource:
    return SharedSource(
        site.upstreams[0],
        STANDARD,
        site.storage,
        roots=site.roots,
        memory=FactMemory(),
        holder=holder,
        clock=site.clock,
        recent=timedelta(hours=12),
        asking=Asking(site.storage.attempts, site.clock),
        sleep=sleep or site.clock.sleep,
    )


def fetch(asked: SharedSource, site: Site) -> tuple[CollateralItem, ...]:
    return asked.fetch(TCB_INFO, Deadline.after(10, site.clock.ticks))


def test_what_another_has_had_checked_lately_is_read_in_the_database(site: Site) -> None:
    site.upstreams[0].answer = ENDORSER.tcb_info()
    first = fetch(source(site), site)
    other = source(site, "other")
    site.clock.now += timedelta(hours=12)
    assert fetch(other, site) == first
    assert len(site.upstreams[0].asked) == 1
    site.clock.now += timedelta(seconds=1)
    fetch(other, site)
    assert len(site.upstreams[0].asked) == 2


def test_of_an_item_that_expires_soon_less_counts_as_lately(site: Site) -> None:
    """Else nobody asked again before it has expired."""
    site.upstreams[0].answer = ENDORSER.tcb_info(days=1 + 4 / 24)
    fetch(source(site), site)
    site.clock.now += timedelta(hours=1)
    fetch(source(site, "other"), site)
    assert len(site.upstreams[0].asked) == 1
    site.clock.now += timedelta(seconds=1)
    fetch(source(site, "other"), site)
    assert len(site.upstreams[0].asked) == 2


def test_what_was_checked_in_the_future_is_not_recent_for_ever(site: Site) -> None:
    site.upstreams[0].answer = ENDORSER.tcb_info(days=90)
    site.clock.now += 10 * DAY
    fetch(source(site), site)
    site.clock.now -= 10 * DAY
    fetch(source(site), site)
    assert len(site.upstreams[0].asked) == 2


def test_what_the_operator_wants_is_asked_for_anew(site: Site) -> None:
    site.upstreams[0].answer = ENDORSER.tcb_info()
    asked = source(site)
    fetch(asked, site)
    asked.want_anew(site.clock())
    fetch(asked, site)
    assert len(site.upstreams[0].asked) == 2


def test_upstream_is_left_alone_by_all_for_as_long_as_it_asked_one(site: Site) -> None:
    site.upstreams[0].answer = CollateralUnavailableError("too many", status=429, retry_after_s=30)
    with pytest.raises(CollateralUnavailableError):
        fetch(source(site), site)
    site.upstreams[0].answer = ENDORSER.tcb_info()
    site.clock.now += timedelta(seconds=29)
    other = source(site, "other")
    with pytest.raises(CollateralUnavailableError, match="asked again in 1 s") as caught:
        fetch(other, site)
    assert caught.value.retry_after_s == 1
    assert len(site.upstreams[0].asked) == 1
    site.clock.now += timedelta(seconds=1)
    fetch(other, site)
    assert len(site.upstreams[0].asked) == 2


@pytest.mark.parametrize("seconds", [1e9, 1e300, float("inf")])
def test_upstream_is_not_left_alone_for_ever(site: Site, seconds: float) -> None:
    site.upstreams[0].answer = CollateralUnavailableError("too many", status=429, retry_after_s=seconds)
    with pytest.raises(CollateralUnavailableError):
        fetch(source(site), site)
    attempt = site.storage.attempts.get("upstream")
    assert attempt is not None
    assert attempt.not_before == site.clock() + timedelta(hours=1)


def test_a_clock_that_was_set_back_leaves_upstream_alone_no_longer(site: Site) -> None:
    site.upstreams[0].answer = CollateralUnavailableError("too many", status=429, retry_after_s=30)
    site.clock.now += 10 * DAY
    with pytest.raises(CollateralUnavailableError):
        fetch(source(site), site)
    site.clock.now -= 10 * DAY
    site.upstreams[0].answer = ENDORSER.tcb_info()
    assert fetch(source(site), site)


def test_what_upstream_gives_is_never_older_than_what_another_has_had(site: Site) -> None:
    newer = ENDORSER.tcb_info(2)
    site.upstreams[0].answer = newer
    fetch(source(site), site)
    site.clock.now += DAY
    site.upstreams[0].answer = ENDORSER.tcb_info(1, day=1)
    (found,) = fetch(source(site, "other"), site)
    assert found.raw.source == newer.raw.source
    assert found == newer


def test_an_item_of_the_future_displaces_nothing(site: Site) -> None:
    good = ENDORSER.tcb_info()
    site.upstreams[0].answer = good
    fetch(source(site), site)
    site.clock.now += DAY
    site.upstreams[0].answer = ENDORSER.tcb_info(2, day=9)
    with pytest.raises(MalformedError, match="valid only from"):
        fetch(source(site), site)
    (stored,) = site.storage.items.changed_since(0)
    assert stored.item.item == good


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (damaged(ENDORSER.tcb_info()), AuthenticityError),
        (ENDORSER.tcb_info(fmspc=b"\xff" * 6), MalformedError),
        (ENDORSER.tcb_info(tee="TDX"), MalformedError),
        (ENDORSER.item(ItemKind.QE_IDENTITY), MalformedError),
    ],
)
def test_nothing_else_than_what_was_asked_for_is_stored(
    site: Site, answer: CollateralItem, error: type[Exception]
) -> None:
    site.upstreams[0].answer = answer
    asked = source(site)
    with pytest.raises(error):
        fetch(asked, site)
    assert isinstance(asked.last_failure(TCB_INFO), error)
    assert not site.storage.items.changed_since(0)
    attempt = site.storage.attempts.get(name_attempt(STANDARD, TCB_INFO, "upstream"))
    assert attempt is not None
    assert attempt.failure


def test_who_waits_for_another_takes_what_that_one_had(site: Site) -> None:
    other = source(site, "other")
    site.upstreams[0].answer = ENDORSER.tcb_info()
    label = name_attempt(STANDARD, TCB_INFO, "upstream")
    assert site.storage.leases.acquire(label, "somebody", 60, site.clock())
    with pytest.raises(CollateralUnavailableError, match="another process"):
        fetch(other, site)
    assert not site.upstreams[0].asked
    site.storage.leases.release(label, "somebody")
    fetch(source(site), site)
    assert fetch(other, site)
    assert len(site.upstreams[0].asked) == 1


def test_a_holder_that_was_killed_holds_others_up_for_a_while_only(site: Site) -> None:
    site.upstreams[0].answer = ENDORSER.tcb_info()
    label = name_attempt(STANDARD, TCB_INFO, "upstream")
    assert site.storage.leases.acquire(label, "killed", 5, site.clock())
    assert fetch(source(site), site)


def test_threads_of_one_process_ask_one_at_a_time_too(site: Site) -> None:
    """Under two roots a process asks for one item twice, and both times in its own name."""
    barrier = Barrier(2)

    def wait() -> None:
        with suppress(BrokenBarrierError):
            barrier.wait(0.3)

    site.upstreams[0].answer = ENDORSER.tcb_info()
    site.upstreams[0].meanwhile = wait
    asked = source(site, sleep=time.sleep)
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda _: fetch(asked, site), range(2)))
    assert found[0] == found[1]
    assert site.upstreams[0].most_at_once == 1
    assert len(site.upstreams[0].asked) == 1


def test_a_failure_of_the_database_is_none_of_upstream(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bool:
        raise StorageError("the disk is full")

    site.upstreams[0].answer = ENDORSER.tcb_info()
    monkeypatch.setattr(type(site.storage.items), "keep", fail)
    with pytest.raises(StorageError):
        fetch(source(site), site)
    assert site.storage.attempts.get(name_attempt(STANDARD, TCB_INFO, "upstream")) is None
