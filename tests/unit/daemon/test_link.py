"""The link between supervisor and worker: questions, answers and news, from any thread, and what happens at its end."""

import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from verdictd.core.errors import ConfigError, PolicyError
from verdictd.daemon.link import MAX_FRAME_BYTES, Handler, Link, LinkLostError, Question
from verdictd.daemon.proto.worker_pb2 import Commit, Figures, FiguresRequest, Frame, Stop


@contextmanager
def linked(handler: Handler) -> Iterator[tuple[Link, Link, threading.Event]]:
    """Two ends; the second one answers by `handler`, and the event says that the first is lost."""
    ours, its = socket.socketpair()
    lost = threading.Event()
    one = Link(ours, ignore, lost.set, name="one")
    other = Link(its, handler, lambda: None, name="other")
    one.start()
    other.start()
    try:
        yield one, other, lost
    finally:
        one.close()
        assert lost.wait(10)
        other.close()


def ignore(question: Question) -> None:
    del question


def test_each_question_gets_its_own_answer_whatever_the_order_of_the_answers() -> None:
    asked: list[Question] = []
    complete = threading.Event()

    def collect(question: Question) -> None:
        asked.append(question)
        if len(asked) == 8:
            complete.set()

    with linked(collect) as (link, _, _):
        answers = [link.ask_later(Frame(stop=Stop(grace_s=number))) for number in range(8)]
        assert complete.wait(10)
        for question in reversed(asked):
            question.answer(Frame(figures=Figures(metrics=bytes([int(question.frame.stop.grace_s)]))))
        assert [answer.result(10).figures.metrics for answer in answers] == [bytes([number]) for number in range(8)]


def test_both_sides_may_ask_at_the_same_time_under_the_same_number() -> None:
    def answer(question: Question) -> None:
        question.answer(Frame(figures=Figures(metrics=b"seven")))

    ours, its = socket.socketpair()
    one = Link(ours, answer, lambda: None, name="one")
    other = Link(its, answer, lambda: None, name="other")
    one.start()
    other.start()
    first, second = one.ask_later(Frame(figures_request=FiguresRequest())), other.ask_later(Frame(commit=Commit()))
    assert first.result(10).figures.metrics == second.result(10).figures.metrics == b"seven"
    one.close()
    other.close()


def test_what_the_other_side_could_not_do_is_raised_with_its_remedy() -> None:
    with (
        linked(lambda question: question.answer_error(PolicyError("no such thing", remedy="make one"))) as (link, _, _),
        pytest.raises(ConfigError, match="no such thing; make one"),
    ):
        link.ask(Frame(commit=Commit()), timeout_s=10)


def test_an_answer_that_does_not_come_is_a_lost_link_to_whoever_waits() -> None:
    with linked(ignore) as (link, _, _), pytest.raises(LinkLostError, match=r"did not answer within 0\.01 s"):
        link.ask(Frame(commit=Commit()), timeout_s=0.01)


def test_whoever_waits_when_the_other_side_ends_is_told_at_once_and_nobody_can_ask_any_more() -> None:
    with linked(lambda question: question._link.close()) as (link, _, lost):
        with pytest.raises(LinkLostError, match="has ended"):
            link.ask(Frame(commit=Commit()), timeout_s=10)
        assert lost.wait(10)
        with pytest.raises(LinkLostError):
            link.ask(Frame(commit=Commit()), timeout_s=10)


def test_news_arrive_in_their_order_and_are_answered_to_nobody() -> None:
    heard: queue.Queue[float] = queue.Queue()

    def hear(question: Question) -> None:
        heard.put(question.frame.stop.grace_s)
        question.answer_done()

    with linked(hear) as (link, _, _):
        for number in range(100):
            link.send(Frame(stop=Stop(grace_s=number)))
        assert [heard.get(timeout=10) for _ in range(100)] == list(range(100))


@pytest.mark.parametrize(
    "nonsense", [(MAX_FRAME_BYTES + 1).to_bytes(4, "little"), b"\3\0\0\0\xff\xff\xff", b"\1\0", b"\5\0\0\0x"]
)
def test_nonsense_ends_the_link(nonsense: bytes) -> None:
    ours, its = socket.socketpair()
    lost = threading.Event()
    link = Link(ours, ignore, lost.set, name="one")
    link.start()
    with its:
        its.sendall(nonsense)
        its.shutdown(socket.SHUT_WR)
        assert lost.wait(10)


def test_the_other_side_taking_nothing_loses_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verdictd.daemon.link.SEND_TIMEOUT_S", 0.05)
    ours, its = socket.socketpair()
    lost = threading.Event()
    link = Link(ours, ignore, lost.set, name="one")
    link.start()
    with its, pytest.raises(LinkLostError, match="takes nothing"):
        link.send(Frame(pairs=bytes(8 * 1024 * 1024)))
    assert lost.wait(10)
