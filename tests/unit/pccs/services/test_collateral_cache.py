"""The cache's collateral: whatever upstream does, whichever process is asked, in whatever mode."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.collateral.endorser import DAY, Endorser, damaged
from tests.unit.pccs.services.shared import ENDORSER, TCB_INFO, Site, Upstream, open_site
from verdictd.collateral.items import CollateralItem, ItemKind, ItemName
from verdictd.core.errors import CollateralUnavailableError, MalformedError, VerdictdError
from verdictd.pccs.collateral_cache import MAX_NUMBERED, StoredCollateralCache
from verdictd.pccs.distribution_points import MAX_URI_CHARACTERS, find_crl
from verdictd.pccs.errors import StorageError, UnavailableError
from verdictd.pccs.model import STANDARD, Edition, Mode
from verdictd.pccs.refreshing import BackgroundRefresh
from verdictd.tees.dcap.collateral import RevocationList
from verdictd.tees.dcap.trust_roots import TrustRoots, intel_trust_root

REFUSED = CollateralUnavailableError("cannot be reached")


@pytest.fixture
def site() -> Iterator[Site]:
    with open_site(Upstream()) as opened:
        yield opened


def refused(cache: StoredCollateralCache, site: Site, edition: Edition = STANDARD) -> UnavailableError:
    with pytest.raises(UnavailableError) as caught:
        cache.find(edition, TCB_INFO, site.clock())
    return caught.value


def await_fetches() -> None:
    """Wait for all that is fetched in the background."""
    deadline = time.monotonic() + 60
    while any(thread.name == "collateral" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.001)


STEPS = st.one_of(
    st.tuples(st.sampled_from(["newer", "older", "down", "garbage", "future", "expired", "other", "slow down"])),
    st.tuples(st.just("time"), st.sampled_from([1, 40, 3600, 40_000, 90_000, 200_000])),
    st.tuples(st.just("ask"), st.integers(0, 1)),
    st.tuples(st.just("ask"), st.integers(0, 1)),
    st.tuples(st.just("refresh"), st.integers(0, 1)),
    st.tuples(st.just("background"), st.integers(0, 1)),
)


@dataclass
class Course:
    """What becomes of two caches in the course of a test, and what must hold at each step."""

    site: Site
    number: int = 10
    rest_until: datetime | None = None
    caches: list[StoredCollateralCache] = field(default_factory=list)
    served: tuple[int, ...] = (0,)
    is_operator: bool = False

    def __post_init__(self) -> None:
        self.caches = [self.site.cache(holder=holder) for holder in ("one", "other")]
        self.upstream = self.site.upstreams[0]
        self.upstream.meanwhile = self.require_rest
        self.turn("newer")

    def require_rest(self) -> None:
        assert self.is_operator or self.rest_until is None or self.site.clock() >= self.rest_until, "not left alone"
        if isinstance(self.upstream.answer, CollateralUnavailableError) and self.upstream.answer.retry_after_s:
            self.rest_until = self.site.clock() + timedelta(seconds=self.upstream.answer.retry_after_s)

    def issue(self, number: int, *, hours: float = 0, days: float = 2) -> CollateralItem:
        day = (self.site.clock.ticks() - 60) / 86_400 + hours / 24
        return ENDORSER.tcb_info(number, day=day, days=days)

    def turn(self, what: str) -> None:
        self.number += what == "newer"
        answers: dict[str, Callable[[], CollateralItem | VerdictdError]] = {
            "newer": lambda: self.issue(self.number),
            "older": lambda: self.issue(self.number - 1),
            "down": lambda: REFUSED,
            "garbage": lambda: damaged(self.issue(self.number)),
            "future": lambda: self.issue(self.number + 1, hours=12),
            "expired": lambda: self.issue(self.number - 1, hours=-72, days=1),
            "other": lambda: ENDORSER.tcb_info(self.number, fmspc=b"\xff" * 6),
            "slow down": lambda: CollateralUnavailableError("too many", status=429, retry_after_s=3000),
        }
        self.upstream.answer = answers[what]()

    def ask(self, index: int) -> None:
        cache, at = self.caches[index], self.site.clock()
        cache.follow(at)
        stored = self.site.storage.items.get(STANDARD, ENDORSER.key(ItemKind.TCB_INFO))
        try:
            found = cache.find(STANDARD, TCB_INFO, at)
        except UnavailableError:
            assert stored is None or not stored.item.is_in_time(at), "what is in time was not handed out"
            return
        assert found.is_in_time(at)
        assert (found.sequence[0],) >= self.served, "an older one was handed out after a newer one"
        self.served = (found.sequence[0],)

    def take(self, step: tuple[object, ...]) -> None:
        match step:
            case ("time", int(seconds)):
                self.site.clock.now += timedelta(seconds=seconds)
            case ("ask", int(index)):
                self.ask(index)
            case ("refresh", int(index)):
                before, self.is_operator = len(self.upstream.asked), True
                outcomes = self.caches[index].refresh(self.site.clock())
                await_fetches()
                self.is_operator = False
                assert len(self.upstream.asked) - before == len(outcomes), "an operator's refresh asks anew"
            case ("background", int(index)):
                self.caches[index].follow(self.site.clock())
                self.caches[index].refresh_due(self.site.clock())
            case (str(what),):
                self.turn(what)
        await_fetches()
        assert self.upstream.most_at_once <= 1


@settings(max_examples=40, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_whatever_upstream_does_in_whatever_order(steps: list[tuple[object, ...]]) -> None:
    with open_site(Upstream()) as site:
        course = Course(site)
        for step in steps:
            course.take(step)


@pytest.mark.parametrize(
    ("answers", "status", "problem"),
    [
        ([CollateralUnavailableError("no", status=404)], 404, "no-cache-data"),
        ([CollateralUnavailableError("no", status=461)], 404, "no-cache-data"),
        ([CollateralUnavailableError("no", status=429, retry_after_s=30)], 503, "rate-limited"),
        ([CollateralUnavailableError("no", status=503, retry_after_s=30)], 503, "rate-limited"),
        ([CollateralUnavailableError("no", status=503)], 502, "upstream-down"),
        ([CollateralUnavailableError("no", status=500)], 502, "upstream-down"),
        ([REFUSED], 502, "upstream-down"),
        ([damaged(ENDORSER.tcb_info())], 460, "integrity"),
        ([ENDORSER.tcb_info(fmspc=b"\xff" * 6)], 460, "integrity"),
        ([MalformedError("no JSON")], 460, "integrity"),
        ([CollateralUnavailableError("no", status=404), REFUSED], 502, "upstream-down"),
        ([CollateralUnavailableError("no", status=404), damaged(ENDORSER.tcb_info())], 502, "upstream-down"),
        ([damaged(ENDORSER.tcb_info()), REFUSED], 502, "upstream-down"),
        ([REFUSED, CollateralUnavailableError("no", status=429, retry_after_s=30)], 503, "rate-limited"),
        ([CollateralUnavailableError("no", status=404)] * 2, 404, "no-cache-data"),
    ],
)
def test_what_upstream_fails_with_gives_the_status(
    answers: list[CollateralItem | VerdictdError], status: int, problem: str
) -> None:
    upstreams = [Upstream(f"upstream {number}") for number, _ in enumerate(answers)]
    for upstream, answer in zip(upstreams, answers, strict=True):
        upstream.answer = answer
    with open_site(*upstreams) as site:
        cache = site.cache()
        for _ in range(2):  # the second time nobody is asked, and the reason is the same
            error = refused(cache, site)
            assert (error.status, error.problem) == (status, problem)
            assert (error.retry_after_s is not None) is (problem == "rate-limited")
            assert error.remedy
            is_outage = status != 404  # anybody can ask for what there is not
            assert ("could not be had since" in error.message) is is_outage
        assert [len(upstream.asked) for upstream in upstreams] == [1] * len(upstreams)


@pytest.mark.parametrize("seconds", [1e9, float("inf")])
def test_clients_are_not_told_to_wait_for_ever(site: Site, seconds: float) -> None:
    site.upstreams[0].answer = CollateralUnavailableError("no", status=429, retry_after_s=seconds)
    assert refused(site.cache(), site).retry_after_s == 3600


def test_the_second_upstream_has_what_the_first_has_not() -> None:
    with open_site(Upstream("first"), Upstream("second")) as site:
        site.upstreams[0].answer = CollateralUnavailableError("no", status=404)
        site.upstreams[1].answer = ENDORSER.tcb_info()
        assert site.cache().find(STANDARD, TCB_INFO, site.clock()).item == site.upstreams[1].answer


def test_a_failure_of_the_database_is_told_as_one(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bool:
        raise StorageError("the disk is full")

    site.upstreams[0].answer = ENDORSER.tcb_info()
    monkeypatch.setattr(type(site.storage.items), "keep", fail)
    with pytest.raises(StorageError, match="disk is full"):
        site.cache().find(STANDARD, TCB_INFO, site.clock())


def test_on_request_upstream_is_asked_for_a_registration_only(site: Site) -> None:
    site.upstreams[0].answer = ENDORSER.tcb_info()
    cache = site.cache(Mode.REQ)
    error = refused(cache, site)
    assert (error.status, error.problem) == (404, "no-cache-data")
    assert not site.upstreams[0].asked
    found = cache.fetch(STANDARD, TCB_INFO, site.clock())
    assert cache.find(STANDARD, TCB_INFO, site.clock()) == found


def test_offline_upstream_is_never_asked(site: Site) -> None:
    site.upstreams[0].answer = ENDORSER.tcb_info()
    cache = site.cache(Mode.OFFLINE)
    for ask in (cache.find, cache.fetch):
        with pytest.raises(UnavailableError) as caught:
            ask(STANDARD, TCB_INFO, site.clock())
        assert (caught.value.status, caught.value.problem) == (404, "offline")
    with pytest.raises(UnavailableError) as caught:
        cache.refresh(site.clock())
    assert caught.value.status == 503
    cache.offer(STANDARD, ENDORSER.tcb_info(), site.clock())
    site.clock.now += 20 * DAY
    assert cache.find(STANDARD, TCB_INFO, site.clock()).is_in_time(site.clock())
    cache.refresh_due(site.clock())
    await_fetches()
    assert not site.upstreams[0].asked
    assert not site.editions


def test_what_another_has_stored_just_now_is_handed_out_at_once(site: Site) -> None:
    reader, writer = site.cache(Mode.OFFLINE), site.cache(Mode.OFFLINE, "writer")
    item = ENDORSER.tcb_info()
    writer.offer(STANDARD, item, site.clock())
    assert reader.held(STANDARD, TCB_INFO, site.clock()) is None
    assert reader.find(STANDARD, TCB_INFO, site.clock()).item == item


def test_an_operator_cannot_bring_what_is_of_the_future(site: Site) -> None:
    cache = site.cache(Mode.OFFLINE)
    with pytest.raises(MalformedError, match="valid only from"):
        cache.offer(STANDARD, ENDORSER.tcb_info(2, day=3), site.clock())
    assert not site.storage.items.changed_since(0)


def test_version_3_has_documents_of_its_own(site: Site) -> None:
    site.upstreams[0].answer = ENDORSER.tcb_info()
    cache = site.cache()
    cache.find(STANDARD, TCB_INFO, site.clock())
    old = Edition(version=3)
    assert cache.held(old, TCB_INFO, site.clock()) is None
    error = refused(cache, site, old)
    assert error.status == 404
    assert "ask for version 4" in error.remedy
    cache.offer(old, ENDORSER.tcb_info(1), site.clock())
    assert cache.find(old, TCB_INFO, site.clock()).sequence[0] == 1
    failures = dict(cache.refresh(site.clock()))
    assert [failure for failure in failures.values() if failure] == ["no upstream hands out v3/standard"]


def test_crls_are_the_same_in_all_editions(site: Site) -> None:
    site.upstreams[0].answer = ENDORSER.root_ca_crl()
    cache, name = site.cache(), ItemName(ItemKind.ROOT_CA_CRL)
    found = cache.find(Edition(update="early"), name, site.clock())
    assert cache.held(Edition(version=3), name, site.clock()) == found
    assert len(site.upstreams[0].asked) == 1


def test_so_many_numbered_editions_are_held_and_none_is_lost(site: Site) -> None:
    cache = site.cache()
    for number in range(1, 3 * MAX_NUMBERED):
        site.upstreams[0].answer = ENDORSER.tcb_info(number)
        cache.find(Edition(update=number), TCB_INFO, site.clock())
        assert cache.held(Edition(update=1), TCB_INFO, site.clock()), "what is used is held on to"
    held = [n for n in range(1, 3 * MAX_NUMBERED) if cache.held(Edition(update=n), TCB_INFO, site.clock())]
    assert held == [1, *range(2 * MAX_NUMBERED + 1, 3 * MAX_NUMBERED)]
    asked = len(site.upstreams[0].asked)
    site.upstreams[0].answer = REFUSED
    site.clock.now += 20 * DAY  # nothing was checked lately
    for other in (cache, site.cache(Mode.OFFLINE)):
        found = other.find(Edition(update=2), TCB_INFO, site.clock())
        assert found.sequence[0] == 2
    await_fetches()
    assert len(site.upstreams[0].asked) <= asked + 1


def test_a_refresh_tells_of_each_item(site: Site) -> None:
    cache = site.cache()
    for item in (ENDORSER.tcb_info(), ENDORSER.item(ItemKind.QE_IDENTITY), ENDORSER.root_ca_crl()):
        cache.offer(STANDARD, item, site.clock())
    cache.offer(Edition(update="early"), ENDORSER.tcb_info(fmspc=b"\xff" * 6), site.clock())

    def answer(name: ItemName) -> CollateralItem | VerdictdError:
        return REFUSED if name.kind is ItemKind.QE_IDENTITY else ENDORSER.item(name.kind, 2)

    site.upstreams[0].answer = answer
    outcomes = dict(cache.refresh(site.clock(), fmspc=ENDORSER.fmspc))
    assert len(outcomes) == 3  # nothing of the other family
    assert "cannot be reached" in outcomes["SGX QE identity, v4/standard"]
    assert outcomes["CRL of the root CA"] == ""
    assert outcomes[f"SGX TCB info for FMSPC {ENDORSER.fmspc.hex()}, v4/standard"] == ""
    assert cache.find(STANDARD, TCB_INFO, site.clock()).sequence[0] == 2


ROOTS = TrustRoots((intel_trust_root(),))
API = "https://api.trustedservices.intel.com/sgx/certification/v4/pckcrl"
ROOT_CRL = ItemName(ItemKind.ROOT_CA_CRL)
PLATFORM_CRL, PROCESSOR_CRL = (
    ItemName(ItemKind.PCK_CRL, pck_ca="platform"),
    ItemName(ItemKind.PCK_CRL, pck_ca="processor"),
)


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("https://certificates.trustedservices.intel.com/IntelSGXRootCA.der", ROOT_CRL),
        ("https://certificates.trustedservices.intel.com/IntelSGXRootCA.crl", ROOT_CRL),
        ("https://certificates.trustedservices.intel.com/IntelSGXRootCA.pem", None),
        ("https://certificates.example/IntelSGXRootCA.der", None),
        (f"{API}?ca=platform&encoding=der", PLATFORM_CRL),
        (f"{API}?ca=processor&encoding=der", PROCESSOR_CRL),
        (f"{API}?CA=processor", None),
        (f"{API}?ca=other", None),
        (API, None),
        (f"{API}?ca=platform".replace("https", "http"), None),
        (f"{API}?ca=platform".replace("intel.com", "intel.com.example"), None),
        (f"{API}/other?ca=platform", None),
        (f"{API}?ca=platform&{'a=b&' * 9}", None),
        ("https://[half/pckcrl?ca=platform", None),
        ("file:///etc/passwd", None),
        ("", None),
        (f"{API}?ca=platform&pad={'a' * MAX_URI_CHARACTERS}", None),
    ],
)
def test_which_crl_an_address_stands_for(uri: str, name: ItemName | None) -> None:
    assert find_crl(uri, ROOTS) == name


@given(st.text(max_size=80) | st.text(max_size=60).map(lambda tail: "https://[" + tail))
def test_any_address_is_answered(uri: str) -> None:
    assert find_crl(uri, ROOTS) is None


def test_a_crl_is_asked_of_upstream_by_its_name_and_never_of_its_address(site: Site) -> None:
    site.upstreams[0].answer = ENDORSER.root_ca_crl()
    extension = site.roots.roots[0].certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints)
    uri = (extension.value[0].full_name or [])[0].value
    cache = site.cache()
    raw = site.upstreams[0].answer.raw
    assert isinstance(raw, RevocationList)
    assert cache.crl_at(uri, site.clock()) == raw.der
    with pytest.raises(UnavailableError) as caught:
        cache.crl_at("http://127.0.0.1:1/IntelSGXRootCA.der", site.clock())
    assert caught.value.status == 404
    assert site.upstreams[0].asked == [ROOT_CRL]


def test_under_two_roots_an_item_is_asked_for_one_at_a_time() -> None:
    other = Endorser()
    with open_site(Upstream(), roots=TrustRoots((*ENDORSER.roots.roots, *other.roots.roots))) as site:
        site.upstreams[0].answer = ENDORSER.root_ca_crl()
        site.upstreams[0].meanwhile = lambda: time.sleep(0.05)
        assert site.cache().find(STANDARD, ROOT_CRL, site.clock()).key.name == ROOT_CRL
        await_fetches()
        assert site.upstreams[0].most_at_once == 1


def test_what_one_stores_shows_up_in_the_other_and_a_fault_does_not_end_that(site: Site) -> None:
    reader = site.cache(Mode.OFFLINE)
    faults = [StorageError("the database is away"), RuntimeError("a fault")]

    class Faulty:
        def follow(self, at: datetime) -> None:
            if faults:
                raise faults.pop()
            reader.follow(at)

        def refresh_due(self, at: datetime) -> None:
            reader.refresh_due(at)

    with BackgroundRefresh(Faulty(), site.clock, interval_s=0.01):
        site.cache(Mode.OFFLINE, "writer").offer(STANDARD, ENDORSER.tcb_info(), site.clock())
        deadline = time.monotonic() + 60
        while reader.held(STANDARD, TCB_INFO, site.clock()) is None:
            assert time.monotonic() < deadline
            time.sleep(0.005)


def test_what_is_due_is_asked_for_ahead_of_its_end(site: Site) -> None:
    site.upstreams[0].answer = ENDORSER.tcb_info(days=3)
    cache = site.cache()
    cache.find(STANDARD, TCB_INFO, site.clock())
    site.upstreams[0].answer = ENDORSER.tcb_info(2, day=1, days=3)
    site.clock.now += DAY
    cache.refresh_due(site.clock())
    await_fetches()
    held = cache.held(STANDARD, TCB_INFO, site.clock())
    assert held is not None
    assert held.sequence[0] == 2
