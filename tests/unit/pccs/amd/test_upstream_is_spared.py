"""AMD's service, which limits how often it is asked, is asked no more than it takes."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from tests.unit.pccs.amd.conftest import CHAIN, CHIP, CRL, KDS, LEAF, NOW, Clock, Process
from tests.unit.pccs.amd.test_cache import SVNS, crl, refused
from verdictd.collateral.amd_names import AMDCertificateName
from verdictd.pccs.amd.recent_refusals import RecentRefusals
from verdictd.pccs.errors import UnavailableError
from verdictd.pccs.model import Mode
from verdictd.simulator.amd_certificates import issue_amd_crl, issue_endorsement_key

Start = Callable[..., Process]
CHIPS = tuple(LEAF._replace(chip_id=bytes([number]) * 64) for number in range(1, 9))


def refusal(message: str = "no") -> UnavailableError:
    return UnavailableError(message, status=404, problem="no-cache-data", remedy="do")


def test_leaves_of_many_chips_share_one_request_for_their_chain(start: Start, kds: KDS, clock: Clock) -> None:
    process = start()
    others = threading.Event()  # nobody sets it: time for the others to ask for the chain as well, if they do
    kds.before = lambda: others.wait(0.3)
    with ThreadPoolExecutor(len(CHIPS)) as pool:
        answers = [pool.submit(process.cache.find, name, clock()) for name in CHIPS]
        assert {answer.result().name for answer in answers} == set(CHIPS)
    assert sum(asked.endswith("cert_chain") for asked in kds.asked) == 1
    assert len(kds.asked) == len(CHIPS) + 1


def fail_with_status(status: int) -> Callable[[KDS], None]:
    return lambda kds: setattr(kds, "status", status)


def give_something_else(kds: KDS) -> None:
    kds.instead["crl"] = b"something else"


def be_down(kds: KDS) -> None:
    kds.is_down = True


@pytest.mark.parametrize(
    ("fail", "expected"),
    [
        (fail_with_status(404), (404, "no-cache-data")),
        (fail_with_status(500), (502, "upstream-down")),
        (give_something_else, (460, "integrity")),
        (be_down, (502, "upstream-down")),
    ],
)
def test_what_could_not_be_had_is_not_asked_for_by_each_client(
    start: Start, kds: KDS, clock: Clock, fail: Callable[[KDS], None], expected: tuple[int, str]
) -> None:
    process = start()
    fail(kds)
    assert refused(process, CRL, clock) == expected
    clock.pass_by(seconds=9)
    with pytest.raises(UnavailableError) as caught:
        process.cache.find(CRL, clock())
    assert (caught.value.status, caught.value.problem, caught.value.retry_after_s) == (*expected, 1)
    assert len(kds.asked) == 1
    clock.pass_by(seconds=1)
    assert refused(process, CRL, clock) == expected
    assert len(kds.asked) == 2
    kds.status, kds.is_down = 200, False
    kds.instead.clear()
    assert process.cache.find(CHAIN, clock()).name == CHAIN  # what is asked for otherwise does not wait
    assert process.cache.find(CRL, clock.pass_by(seconds=10)).name == CRL


def test_a_leaf_whose_chain_is_revoked_is_not_asked_for_by_each_client(start: Start, kds: KDS, clock: Clock) -> None:
    process = start()
    process.cache.find(LEAF, clock())
    process.cache.offer(CRL, crl(kds.pki, 5, 0x10001), clock())
    kds.asked.clear()
    for _ in range(3):
        assert refused(process, LEAF, clock) == (404, "revoked")
    assert kds.asked == ["/vcek/v1/Milan/cert_chain"]


def test_an_operator_who_refreshes_does_not_wait(start: Start, kds: KDS, clock: Clock) -> None:
    process = start()
    process.cache.find(CRL, clock())
    kds.is_down = True
    assert "cannot be reached" in process.cache.refresh(clock.pass_by(seconds=1))[0][1]
    kds.is_down = False
    assert process.cache.refresh(clock()) == [("the CRL for a Milan VCEK", "")]


def test_upstream_that_wishes_to_be_left_alone_for_no_time_is_left_alone(start: Start, kds: KDS, clock: Clock) -> None:
    kds.status, kds.headers = 429, {"retry-after": "0"}
    process = start()
    assert refused(process, CRL, clock) == (503, "rate-limited")
    assert refused(start(), CHAIN, clock) == (503, "rate-limited")
    assert len(kds.asked) == 1


def test_a_chip_that_does_not_tell_its_id_is_not_asked_for(start: Start, kds: KDS, clock: Clock) -> None:
    assert refused(start(), LEAF._replace(chip_id=bytes(64)), clock) == (404, "platform-unknown")
    assert not kds.asked


def test_what_is_not_valid_yet_is_kept_and_not_handed_out(start: Start, kds: KDS, clock: Clock) -> None:
    process = start(Mode.OFFLINE)
    process.cache.offer(CHAIN, kds.pki.chain("vcek"), clock())
    early = kds.pki.spec("vcek", CHIP, SVNS, NOW + timedelta(hours=1))
    process.cache.offer(LEAF, issue_endorsement_key(early, kds.pki.ask.key), clock())
    for each in (process, start(Mode.OFFLINE)):
        assert each.cache.held(LEAF, clock()) is None
        assert refused(each, LEAF, clock) == (404, "offline")
    assert process.cache.find(LEAF, clock.pass_by(hours=1)).name == LEAF


def test_a_newer_crl_past_its_time_is_not_handed_out_for_an_older_one(start: Start, kds: KDS, clock: Clock) -> None:
    process = start()
    newer = issue_amd_crl(
        kds.pki.ark.certificate.subject,
        kds.pki.ark.key,
        number=5,
        this_update=NOW - timedelta(days=2),
        next_update=NOW + timedelta(days=1),
    )
    process.cache.offer(CRL, newer, clock())
    clock.pass_by(days=1)
    found = process.cache.find(CRL, clock())
    assert found.sequence == 1
    assert found.expires_at > clock()


def test_how_long_a_refusal_counts() -> None:
    refusals, name = RecentRefusals(most=2), CRL
    assert refusals.find(name, NOW) is None
    lasts = []
    at = NOW
    for _ in range(8):
        refusals.add(name, refusal(), at)
        found = refusals.find(name, at)
        assert found is not None
        assert (found.status, found.problem, found.remedy) == (404, "no-cache-data", "do")
        lasts.append(found.retry_after_s)
        at += timedelta(seconds=found.retry_after_s or 0)
        assert refusals.find(name, at) is None
    assert lasts == [10, 10, 20, 40, 60, 60, 60, 60]
    refusals.forget(name)
    refusals.add(name, refusal(), at)
    assert refusals.find(name, at + timedelta(seconds=10)) is None
    assert refusals.find(name, at - timedelta(days=1)) is None  # the clock was set back


def test_the_oldest_refusals_are_forgotten() -> None:
    refusals = RecentRefusals(most=2)
    names: tuple[AMDCertificateName, ...] = CHIPS[:3]
    for name in (*names[:2], names[0], names[2]):
        refusals.add(name, refusal(), NOW)
    assert [refusals.find(name, NOW) is None for name in names] == [False, True, False]
