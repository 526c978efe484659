"""Accepted connections on their way to a worker, and their tokens on the way back."""

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from verdictd.daemon.handover import (
    HandoverLostError,
    TokenReturner,
    hand_over,
    make_handover,
    take_handed,
    take_tokens,
)


@contextmanager
def handover() -> Iterator[tuple[socket.socket, socket.socket]]:
    supervisor, worker = make_handover()
    with supervisor, worker:
        yield supervisor, worker


def test_the_worker_speaks_over_the_very_connection_that_was_accepted() -> None:
    near, far = socket.socketpair()
    with handover() as (supervisor, worker), far:
        near.setblocking(False)
        with near:
            assert hand_over(supervisor, near, "[2001:db8::1]:4711", 2**63)
        handed = take_handed(worker)
        assert handed is not None
        with handed.accepted:
            assert (handed.peer, handed.token) == ("[2001:db8::1]:4711", 2**63)
            assert not handed.accepted.get_inheritable()
            assert not os.get_blocking(handed.accepted.fileno())
            handed.accepted.send(b"hello")
            assert far.recv(10) == b"hello"
        assert far.recv(10) == b"", "somebody still holds the connection"


def test_a_worker_that_takes_nothing_is_told_apart_from_one_that_does() -> None:
    near, far = socket.socketpair()
    with handover() as (supervisor, worker), near, far:
        handed = 0
        while hand_over(supervisor, near, "192.0.2.1:1", handed):
            handed += 1
        assert handed > 10
        for token in range(handed):
            taken = take_handed(worker)
            assert taken is not None
            assert taken.token == token
            taken.accepted.close()
        assert take_handed(worker) is None
        assert hand_over(supervisor, near, "192.0.2.1:1", handed)


def test_the_end_of_the_supervisor_is_noticed() -> None:
    with handover() as (supervisor, worker):
        supervisor.close()
        with pytest.raises(EOFError):
            take_handed(worker)


def test_a_connection_that_is_lost_for_want_of_descriptors_gives_its_token_back() -> None:
    near, far = socket.socketpair()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with handover() as (supervisor, worker), near, far:
        assert hand_over(supervisor, near, "192.0.2.1:1", 5)
        resource.setrlimit(resource.RLIMIT_NOFILE, (worker.fileno() + 1, hard))
        try:
            with pytest.raises(HandoverLostError) as lost:
                take_handed(worker)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert lost.value.token == 5


def test_every_token_comes_back_once_also_where_the_supervisor_is_busy() -> None:
    with handover() as (supervisor, worker):
        returner = TokenReturner(worker)
        for token in range(50_000):
            returner.keep(token)
        assert returner.give_back(), "the supervisor takes nothing, and yet all was sent"
        back = list(take_tokens(supervisor))
        while returner.give_back():
            back += take_tokens(supervisor)
        back += take_tokens(supervisor)
        assert back == list(range(50_000))
