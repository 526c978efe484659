"""Collateral between supervisor and worker: what is written is read again, and what a worker asks is answered."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from tests.unit.collateral.desk import Shelf, until
from tests.unit.collateral.endorser import APPRAISED, START, Endorser
from verdictd.collateral.deadline import Deadline
from verdictd.collateral.items import CollateralItem, ItemKind, ItemName
from verdictd.collateral.service import CollateralService
from verdictd.core.errors import CollateralUnavailableError, ConfigError, MalformedError
from verdictd.daemon.collateral_wire import SupervisorSource, decode_item, decode_name, encode_item, encode_name
from verdictd.daemon.link import Handler, Link, LinkLostError, Question
from verdictd.daemon.proto.collateral_pb2 import RawCollateral
from verdictd.daemon.proto.worker_pb2 import FindRequest, Found, Frame, Item
from verdictd.daemon.worker_process import WorkerProcess
from verdictd.daemon.worker_requests import WorkerRequests
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.tees.dcap.collateral import SignedDocument
from verdictd.tees.dcap.memory import FactMemory

NOW = datetime.now(UTC)
TODAY = (NOW - START) / timedelta(days=1) - 1
"""The day on which to issue what is to be in time while the tests run."""

NAMES = [
    ItemName(ItemKind.TCB_INFO, tee="SGX", fmspc=bytes(range(6))),
    ItemName(ItemKind.TCB_INFO, tee="TDX", fmspc=bytes(6)),
    ItemName(ItemKind.QE_IDENTITY, tee="SGX"),
    ItemName(ItemKind.QE_IDENTITY, tee="TDX"),
    ItemName(ItemKind.PCK_CRL, pck_ca="platform"),
    ItemName(ItemKind.PCK_CRL, pck_ca="processor"),
    ItemName(ItemKind.ROOT_CA_CRL),
]


@pytest.fixture(scope="module")
def endorser() -> Endorser:
    return Endorser(SimulatedPlatform.create(at=NOW - timedelta(days=2)))


# --- the forms ---


@pytest.mark.parametrize("is_from_peer", [False, True])
@pytest.mark.parametrize("kind", list(ItemKind))
def test_an_item_arrives_as_it_was_sent(endorser: Endorser, kind: ItemKind, *, is_from_peer: bool) -> None:
    item = endorser.item(kind, source="PCCS https://[::1]/ «é»")
    sent = Item.FromString(encode_item(item, is_from_peer=is_from_peer).SerializeToString())
    assert decode_item(sent) == item
    assert sent.is_from_peer is is_from_peer


def test_a_file_whose_name_is_no_text_does_not_keep_its_item_from_being_sent(endorser: Endorser) -> None:
    raw = endorser.tcb_info().raw
    assert isinstance(raw, SignedDocument)
    item = CollateralItem(kind=ItemKind.TCB_INFO, raw=replace(raw, source="caf\udce9.json"))
    assert decode_item(encode_item(item)).source == r"caf\udce9.json"


@pytest.mark.parametrize("name", NAMES, ids=str)
def test_a_name_arrives_as_it_was_sent(name: ItemName) -> None:
    assert decode_name(FindRequest.FromString(encode_name(name).SerializeToString())) == name


@pytest.mark.parametrize(
    "message",
    [
        FindRequest(),
        FindRequest(kind="TCB_INFO"),
        FindRequest(kind="tcb_info", tee="SGX"),
        FindRequest(kind="tcb_info", tee="SGX", fmspc=bytes(5)),
        FindRequest(kind="tcb_info", tee="SEV", fmspc=bytes(6)),
        FindRequest(kind="tcb_info", fmspc=bytes(6)),
        FindRequest(kind="qe_identity"),
        FindRequest(kind="qe_identity", tee="sgx"),
        FindRequest(kind="pck_crl"),
        FindRequest(kind="pck_crl", pck_ca="Platform"),
    ],
    ids=str,
)
def test_a_name_of_nothing_is_malformed(message: FindRequest) -> None:
    with pytest.raises(MalformedError):
        decode_name(message)


@pytest.mark.parametrize("kind", ["", "TCB_INFO", "x" * 5000])
def test_an_item_of_no_kind_is_malformed(kind: str) -> None:
    with pytest.raises(MalformedError, match="no kind of collateral") as caught:
        decode_item(Item(raw=RawCollateral(kind=kind)))
    assert len(str(caught.value)) < 100


# --- a worker asks ---


def ignore(question: Question) -> None:
    del question


@dataclass(frozen=True, slots=True)
class Linked:
    """A worker's source, and the supervisor's end of its link."""

    source: SupervisorSource
    supervisor: Link


@contextmanager
def linked(handler: Handler) -> Iterator[Linked]:
    ours, its = socket.socketpair()
    lost = threading.Barrier(3)
    worker = Link(ours, ignore, lambda: wait_for(lost), name="worker")
    supervisor = Link(its, handler, lambda: wait_for(lost), name="supervisor")
    worker.start()
    supervisor.start()
    try:
        yield Linked(SupervisorSource(worker), supervisor)
    finally:
        worker.close()
        supervisor.close()
        lost.wait(10)


def wait_for(barrier: threading.Barrier) -> None:
    barrier.wait(10)


class Clock:
    """Stands still: a deadline has all its time left."""

    def __call__(self) -> float:
        return 0.0


def soon(seconds: float = 10.0) -> Deadline:
    return Deadline.after(seconds, Clock())


def test_a_worker_is_given_the_items_found(endorser: Endorser) -> None:
    items = (endorser.tcb_info(source="PCCS"), endorser.tcb_info(2, source="file"))
    asked: list[Frame] = []

    def answer(question: Question) -> None:
        asked.append(question.frame)
        question.answer(Frame(found=Found(items=[encode_item(item) for item in items])))

    with linked(answer) as ends:
        assert ends.source.fetch(NAMES[0], soon(7)) == items
    (frame,) = asked
    assert decode_name(frame.find) == NAMES[0]
    assert frame.find.seconds == 7


def test_a_worker_is_told_the_reasons(endorser: Endorser) -> None:
    found = Found(items=[encode_item(endorser.tcb_info())], reason="PCCS x: closed")
    with (
        linked(lambda question: question.answer(Frame(found=found))) as ends,
        pytest.raises(CollateralUnavailableError, match=r"^PCCS x: closed$"),
    ):
        ends.source.fetch(NAMES[0], soon())


def test_what_is_no_item_is_malformed() -> None:
    with (
        linked(lambda question: question.answer(Frame(found=Found(items=[Item(raw=RawCollateral(kind="x"))])))) as ends,
        pytest.raises(MalformedError),
    ):
        ends.source.fetch(NAMES[0], soon())


def test_a_supervisor_that_does_not_answer_is_given_up_a_moment_after_its_time() -> None:
    with linked(ignore) as ends, pytest.raises(LinkLostError, match="did not answer within 1 s"):
        ends.source.fetch(NAMES[0], soon(0))


def test_a_supervisor_that_ends_meanwhile_is_noticed_at_once() -> None:
    with linked(lambda _: ends.supervisor.close()) as ends:
        for _ in range(2):
            with pytest.raises(LinkLostError, match=r"ended|takes nothing"):
                ends.source.fetch(NAMES[0], soon(3600))


# --- the supervisor answers ---


@contextmanager
def answering(service: Callable[[], CollateralService | None]) -> Iterator[Linked]:
    """A worker's source, linked to what answers workers in a supervisor."""
    requests = WorkerRequests(service)
    try:
        with linked(requests.handler(cast("WorkerProcess", None))) as ends:
            yield ends
    finally:
        requests.close()


def service_of(endorser: Endorser, *sources: Shelf, call_seconds: float = 10.0) -> CollateralService:
    return CollateralService(roots=endorser.roots, memory=FactMemory(), sources=sources, call_seconds=call_seconds)


def test_all_workers_have_the_source_asked_once(endorser: Endorser) -> None:
    shelf = Shelf(*endorser.items(day=TODAY, source="shelf"))
    service = service_of(endorser, shelf)
    with answering(lambda: service) as one, answering(lambda: service) as other:
        for kind in APPRAISED:
            name = endorser.key(kind).name
            first, second = one.source.fetch(name, soon()), other.source.fetch(name, soon())
            assert first == second == (shelf.items[kind],)
    assert shelf.asked == list(APPRAISED)


def test_a_workers_service_judges_by_what_the_supervisor_found(endorser: Endorser) -> None:
    service = service_of(endorser, Shelf(*endorser.items(day=TODAY, source="shelf")))
    with answering(lambda: service) as ends:
        worker = CollateralService(roots=endorser.roots, memory=FactMemory(), sources=[ends.source])
        found = worker.collateral_for(
            root=endorser.root, fmspc=endorser.fmspc, pck_ca="platform", peer=None, at=datetime.now(UTC)
        )
        assert found.reasons == {}
        assert found.collateral.tcb_info is not None
        assert found.collateral.tcb_info.source == "shelf"


def test_a_worker_explains_with_the_reasons_of_the_supervisors_sources(endorser: Endorser) -> None:
    shelf = Shelf()
    shelf.down = "no route to it"
    service = service_of(endorser, shelf)
    with answering(lambda: service) as ends:
        worker = CollateralService(roots=endorser.roots, memory=FactMemory(), sources=[ends.source])
        found = worker.collateral_for(
            root=endorser.root, fmspc=endorser.fmspc, pck_ca="platform", peer=None, at=datetime.now(UTC)
        )
    assert set(found.reasons) == set(APPRAISED)
    assert all("shelf: no route to it" in why for why in found.reasons.values())


def test_a_slow_source_holds_up_no_other_question(endorser: Endorser) -> None:
    shelf, gate = Shelf(*endorser.items(day=TODAY, source="shelf")), threading.Event()
    service = service_of(endorser, shelf, call_seconds=60)
    held = endorser.root_ca_crl(day=TODAY)
    service.offer(held, datetime.now(UTC))
    shelf.before_answer = lambda _: gate.wait(30)
    slow: list[tuple[CollateralItem, ...]] = []
    with answering(lambda: service) as ends:
        thread = threading.Thread(
            target=lambda: slow.append(ends.source.fetch(endorser.key(ItemKind.TCB_INFO).name, soon(60)))
        )
        thread.start()
        until(lambda: shelf.asked == [ItemKind.TCB_INFO])
        assert ends.source.fetch(endorser.key(ItemKind.ROOT_CA_CRL).name, soon()) == (held,)
        assert slow == []
        gate.set()
        thread.join(10)
    assert slow == [(shelf.items[ItemKind.TCB_INFO],)]


def test_what_a_peer_brought_to_one_worker_is_news_of_a_peer(endorser: Endorser) -> None:
    told: list[tuple[CollateralItem, bool]] = []
    heard = threading.Event()

    def note(item: CollateralItem, is_from_peer: bool) -> None:
        told.append((item, is_from_peer))
        heard.set()

    service = CollateralService(roots=endorser.roots, memory=FactMemory(), sources=(), on_newer=note)
    item = endorser.tcb_info(day=TODAY)
    with answering(lambda: service) as ends:
        ends.source._link.send(Frame(newer=encode_item(item, is_from_peer=True)))
        assert heard.wait(10)
    assert told == [(item, True)]
    assert service.known()[0] == ()


def test_news_and_names_of_nothing_are_refused_and_the_supervisor_goes_on(endorser: Endorser) -> None:
    service = service_of(endorser, Shelf(*endorser.items(day=TODAY)))
    with answering(lambda: service) as ends:
        ends.source._link.send(Frame(newer=Item(raw=RawCollateral(kind="x"))))
        with pytest.raises(ConfigError, match="of what is not said"):
            ends.source._link.ask(Frame(find=FindRequest(kind="tcb_info")), timeout_s=10)
        assert ends.source.fetch(endorser.key(ItemKind.TCB_INFO).name, soon())


def test_a_fault_of_ours_is_an_answer_too(endorser: Endorser, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: Deadline) -> None:
        raise ZeroDivisionError

    shelf = Shelf()
    shelf.before_answer = fail
    service = service_of(endorser, shelf)
    with answering(lambda: service) as ends, pytest.raises(CollateralUnavailableError, match="verdictd failed"):
        ends.source.fetch(endorser.key(ItemKind.TCB_INFO).name, soon())
    assert any("fault in the program" in message for message in caplog.messages)


def test_a_supervisor_that_has_nothing_yet_says_so() -> None:
    with answering(lambda: None) as ends, pytest.raises(CollateralUnavailableError, match="still starting"):
        ends.source.fetch(NAMES[0], soon())
