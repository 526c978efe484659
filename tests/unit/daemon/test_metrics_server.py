"""The HTTP server for whoever watches: what it answers, and what no client can do to it."""

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from verdictd.configuration.address import Address
from verdictd.core.errors import ConfigError, TransportError
from verdictd.daemon import bounded_http
from verdictd.daemon.bounded_http import MAX_CLIENTS, MAX_REQUEST_BYTES
from verdictd.daemon.metrics_server import MetricsServer, comes_round

HANG_S = 30.0


class Watched:
    """What is told; tests change it."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.error: TransportError | None = None

    def metrics(self) -> bytes:
        if self.error is not None:
            raise self.error
        return b"verdictd_up 1\n"


@contextmanager
def running_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def make(address: Address, watched: Watched) -> MetricsServer:
    return MetricsServer(address, watched.metrics, lambda: watched.reasons)


@contextmanager
def served(watched: Watched, host: str = "127.0.0.1", loop_block: threading.Event | None = None) -> Iterator[Address]:
    with running_loop() as loop:
        server = asyncio.run_coroutine_threadsafe(make(Address(host, 0), watched), loop).result(HANG_S)
        server.start()
        if loop_block is not None:
            loop.call_soon_threadsafe(loop_block.wait, HANG_S)
        try:
            yield server.address
        finally:
            if loop_block is not None:
                loop_block.set()
            server.stop()


def ask(address: Address, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address.host, address.port, timeout=HANG_S)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(4096)
    except (ConnectionResetError, BrokenPipeError):
        return b""


def talk(address: Address, data: bytes) -> bytes:
    with socket.create_connection((address.host, address.port), timeout=HANG_S) as connection:
        with suppress(ConnectionResetError, BrokenPipeError):
            connection.sendall(data)
        received = b""
        while chunk := receive(connection):
            received += chunk
        return received


def test_it_tells_metrics_health_and_readiness() -> None:
    watched = Watched()
    with served(watched) as address:
        assert ask(address, "/metrics") == (200, b"verdictd_up 1\n")
        assert ask(address, "/metrics?name[]=verdictd_up") == (200, b"verdictd_up 1\n")
        assert ask(address, "/healthz") == (200, b'{"alive": true}\n')
        assert ask(address, "/readyz") == (200, b'{"ready": true, "why_not": []}\n')
        assert ask(address, "/metrics", "HEAD") == (200, b"")


def test_whoever_is_not_ready_says_why() -> None:
    watched = Watched()
    watched.reasons = ["no worker serves"]
    with served(watched) as address:
        status, body = ask(address, "/readyz")
        assert status == 503
        assert json.loads(body) == {"ready": False, "why_not": ["no worker serves"]}
        assert (ask(address, "/healthz"))[0] == 200


def test_metrics_that_cannot_be_had_are_an_error_with_its_reason() -> None:
    watched = Watched()
    watched.error = TransportError("the workers are gone")
    with served(watched) as address:
        assert ask(address, "/metrics") == (500, b"the workers are gone\n")


@pytest.mark.parametrize("path", ["/", "/metrics/", "/../etc/passwd", "/healthz%00"])
def test_there_is_nothing_else(path: str) -> None:
    with served(Watched()) as address:
        assert ask(address, path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "CONNECT", "TRACE"])
def test_it_is_only_read(method: str) -> None:
    with served(Watched()) as address:
        assert (ask(address, "/metrics", method))[0] == 501


def test_a_loop_that_does_not_come_round_is_not_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verdictd.daemon.metrics_server._LOOP_TIMEOUT_S", 0.05)
    with served(Watched(), loop_block=threading.Event()) as address:
        assert ask(address, "/healthz") == (503, b'{"alive": false}\n')
        assert ask(address, "/metrics")[0] == 200, "what else is told does not hang on the loop"


def test_a_loop_that_runs_comes_round_and_one_that_is_closed_does_not() -> None:
    with running_loop() as loop:
        assert comes_round(loop, HANG_S)
    assert not comes_round(loop, HANG_S)


@pytest.mark.parametrize("size", [MAX_REQUEST_BYTES, 10 * MAX_REQUEST_BYTES])
@pytest.mark.parametrize("start", [b"GET /metrics HTTP/1.0\r\nX: ", b"GET /", b""])
def test_a_request_that_is_too_long_is_not_answered(start: bytes, size: int) -> None:
    with served(Watched()) as address:
        said = talk(address, start + b"a" * (size - len(start)) + b"\r\n\r\n")
        assert b"200" not in said
        assert b"verdictd_up" not in said
        assert (ask(address, "/metrics"))[0] == 200


def test_a_request_below_the_limit_is_answered() -> None:
    start, end = b"GET /metrics HTTP/1.0\r\nX: ", b"\r\n\r\n"
    padding = b"a" * (MAX_REQUEST_BYTES - 1 - len(start) - len(end))
    with served(Watched()) as address:
        assert b"verdictd_up 1" in talk(address, start + padding + end)


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00", b"\r\n\r\n", b"\xff" * 100 + b"\n", b"GET\r\n\r\n"])
def test_what_is_no_request_leaves_it_serving(data: bytes) -> None:
    with served(Watched()) as address:
        with socket.create_connection((address.host, address.port), timeout=HANG_S) as connection:
            connection.sendall(data)
        assert (ask(address, "/metrics"))[0] == 200


def test_no_client_keeps_its_place_by_sending_a_byte_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes within the socket's own timeout, which alone would let them stay for ever."""
    monkeypatch.setattr(bounded_http, "CLIENT_TIMEOUT_S", 0.5)
    with served(Watched()) as address:
        slow = [socket.create_connection((address.host, address.port), timeout=HANG_S) for _ in range(MAX_CLIENTS)]
        over = threading.Event()

        def trickle() -> None:
            while not over.wait(0.05):
                for connection in slow:
                    try:
                        connection.send(b"G")
                    except OSError:
                        continue

        trickling = threading.Thread(target=trickle)
        trickling.start()
        try:
            assert [receive(connection) for connection in slow] == [b""] * MAX_CLIENTS
        finally:
            over.set()
            trickling.join()
            for connection in slow:
                connection.close()
        assert (ask(address, "/metrics"))[0] == 200


def test_so_many_clients_at_once_and_no_more() -> None:
    with served(Watched()) as address:
        connected = [socket.create_connection((address.host, address.port), timeout=HANG_S) for _ in range(MAX_CLIENTS)]
        try:
            assert talk(address, b"GET /metrics HTTP/1.0\r\n\r\n") == b""
        finally:
            for connection in connected:
                connection.close()


def test_where_somebody_else_listens_it_says_what_to_do() -> None:
    with served(Watched()) as address, pytest.raises(ConfigError, match="--metrics"):
        asyncio.run(make(address, Watched()))


def test_it_serves_on_ipv6() -> None:
    with served(Watched(), "::1") as address:
        assert (ask(address, "/healthz"))[0] == 200
