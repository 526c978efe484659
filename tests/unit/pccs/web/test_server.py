"""The service on real sockets: what it takes, from whom, and for how long."""

import asyncio
import contextlib
import http.client
import os
import resource
import signal
import socket
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from tests.unit.pccs.web.desk import ADMIN_HEADERS, FMSPC, TDX, V4, Desk
from tests.unit.pccs.web.served import (
    PATIENCE_S,
    connect,
    fetch,
    read_all,
    running,
    served,
    shown_name,
    wait_until,
    write_pair,
)
from verdictd.collateral.pccs_urls import INTEL_ROOT_CRL_URL
from verdictd.core.errors import ConfigError
from verdictd.pccs.web import protocol
from verdictd.pccs.web.listening import ListenAddress, listen
from verdictd.pccs.web.protocol import ConnectionLimits
from verdictd.pccs.web.server import WebServer

SHORT = ConnectionLimits(head_s=0.3, request_s=0.6, keep_alive_s=0.3)
TCB = f"{TDX}/tcb?fmspc={FMSPC}"


def head_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[0]


def test_answers_have_their_length_and_the_request_id() -> None:
    desk = Desk()
    desk.fill()
    with served(desk.app) as address:
        connection = http.client.HTTPConnection(*address, timeout=PATIENCE_S)
        body = b""
        for _ in range(3):  # on one connection
            connection.request("GET", TCB, headers={"Request-ID": "abc-1"})
            response = connection.getresponse()
            body = response.read()
            assert response.status == 200
            assert response.getheader("content-length") == str(len(body))
            assert response.getheader("request-id") == "abc-1"
        connection.request("HEAD", TCB)
        response = connection.getresponse()
        assert (response.read(), response.getheader("content-length")) == (b"", str(len(body)))
        connection.close()


def test_a_head_that_does_not_come_to_its_end() -> None:
    with served(Desk().app, limits=SHORT) as address, connect(address) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"content-length: " in head_of(answer)


def test_a_head_that_comes_drop_by_drop() -> None:
    with served(Desk().app, limits=SHORT) as address, connect(address) as client:
        client.settimeout(0.05)
        answer = b""
        for _ in range(int(PATIENCE_S / 0.05)):
            try:
                client.sendall(b"x")
                answer = client.recv(65536)
            except TimeoutError:
                continue
            except ConnectionError:
                return  # reset, for what was still being sent
            break
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_second_head_that_does_not_come_to_its_end() -> None:
    limits = replace(SHORT, keep_alive_s=PATIENCE_S)
    with served(Desk().app, limits=limits) as address, connect(address) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /heal")
        answer = read_all(client)
    assert answer.count(b"HTTP/1.1 200 ") == 1
    assert answer.count(b"HTTP/1.1 408 ") == 1


def test_a_body_that_does_not_come_to_its_end() -> None:
    desk = Desk()
    with served(desk.app, limits=SHORT) as address, connect(address) as client:
        head = f"PUT {V4}/platformcollateral HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"
        client.sendall((head + "".join(f"{k}: {v}\r\n" for k, v in ADMIN_HEADERS.items()) + "\r\n{").encode())
        answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert desk.imported == []


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_an_idle_connection_is_closed(sent: bytes) -> None:
    with served(Desk().app, limits=SHORT) as address, connect(address) as client:
        client.sendall(sent)
        assert read_all(client).startswith(b"HTTP/1.1 200 ") is bool(sent)


@pytest.mark.parametrize("requests", [1, 5])
def test_a_client_that_takes_nothing_is_cut_off(requests: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "_FLUSH_S", 0.1)
    desk = Desk()
    desk.collateral.crls[INTEL_ROOT_CRL_URL] = bytes(1 << 25)
    request = f"GET {V4}/crl?uri={INTEL_ROOT_CRL_URL} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with running(desk.app, limits=SHORT) as server, connect(server.addresses[0]) as client:
        connections = server._server.server_state.connections
        client.sendall(request * requests)
        assert client.recv(1) == b"H"
        wait_until(lambda: len(connections) == 0)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nx: " + b"y" * 70000, b"431"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", b"200"),
    ],
    ids=["too long", "no HTTP", "no host", "upgrade"],
)
def test_heads(sent: bytes, status: bytes) -> None:
    with served(Desk().app, limits=SHORT) as address, connect(address) as client:
        client.sendall(sent)
        answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"content-length: " in head_of(answer)
    assert b"transfer-encoding" not in head_of(answer)


def test_a_damaged_body_behind_its_answer_is_hung_up_on() -> None:
    with served(Desk().app, limits=SHORT) as address, connect(address) as client:
        client.sendall(b"PUT /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 405 ")
        client.sendall(b"zz\r\n")
        assert read_all(client).count(b"HTTP/1.1") == 0


def test_those_who_are_too_many_are_turned_away_and_far_more_are_cut() -> None:
    limits = ConnectionLimits(connections=2)
    with served(Desk().app, limits=limits) as address:
        first, second, third, fourth, fifth = (connect(address) for _ in range(5))
        for client in (first, second, third, fourth):
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert first.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert second.recv(65536).startswith(b"HTTP/1.1 200 ")
        turned_away = read_all(third)
        assert turned_away.startswith(b"HTTP/1.1 503 ")
        assert b"error-code: busy" in head_of(turned_away)
        assert b"retry-after: 1" in head_of(turned_away)
        assert read_all(fifth) == b""
        for client in (first, second, third, fourth, fifth):
            client.close()


@pytest.mark.parametrize("host", ["0", "192.0.2.7", "::"])
def test_plain_http_is_served_to_this_machine_alone(host: str) -> None:
    with pytest.raises(ConfigError, match=r"reached from other machines.*name a TLS certificate"):
        listen([ListenAddress(host, 0)], with_tls=False)


def test_plain_http_is_served_on_localhost() -> None:
    sockets = listen([ListenAddress("localhost", 0)], with_tls=False)
    assert sockets
    for listening in sockets:
        listening.close()


def test_an_address_that_is_taken() -> None:
    [first] = listen([ListenAddress("127.0.0.1", 0)], with_tls=False)
    with first, pytest.raises(ConfigError, match="not possible to listen"):
        listen([ListenAddress("127.0.0.1", first.getsockname()[1])], with_tls=False)


@pytest.mark.parametrize(
    "address", [ListenAddress("127.0.0.1", 70000), ListenAddress("x" * 70, 1), ListenAddress("192.0.2.7", 0)]
)
def test_an_address_that_is_none(address: ListenAddress) -> None:
    with pytest.raises(ConfigError, match=r"address|port"):
        listen([address], with_tls=True)


def test_answers_are_sent_at_once() -> None:
    seen: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        [connection] = (
            transport.get_extra_info("socket")
            for transport in asyncio.get_running_loop()._transports.values()  # type: ignore[attr-defined]
        )
        seen.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    with served(app) as address:
        fetch(address, "/")
    assert seen == [1]


def test_nowhere_to_listen() -> None:
    with pytest.raises(ConfigError, match="no address"):
        listen([], with_tls=False)


def test_an_application_that_does_not_start() -> None:
    async def app(scope: object, receive: object, send: object) -> None:
        raise RuntimeError("it cannot")

    server = WebServer(app, [ListenAddress("127.0.0.1", 0)])
    with pytest.raises(ConfigError, match="did not start"):
        server.run()


def test_sighup_loads_the_certificate_again(tmp_path: Path) -> None:
    files = write_pair(tmp_path, "first")
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from tests.unit.pccs.web.desk import Desk
        from verdictd.pccs.web.listening import ListenAddress
        from verdictd.pccs.web.server import WebServer
        from verdictd.pccs.web.tls import TLSFiles

        files = TLSFiles(Path(sys.argv[1]), Path(sys.argv[2]))
        server = WebServer(Desk().app, [ListenAddress("127.0.0.1", 0)], tls=files, certificate_check_s=1e9)
        server.run(lambda: print(server.addresses[0].port, flush=True))
        """
    )
    process = subprocess.Popen([sys.executable, "-c", program, *files], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        address = ListenAddress("127.0.0.1", int(process.stdout.readline()))
        assert shown_name(address) == "first"
        write_pair(tmp_path, "second")
        assert shown_name(address) == "first"
        os.kill(process.pid, signal.SIGHUP)
        wait_until(lambda: shown_name(address) == "second")
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_signal_ends_the_service_in_order() -> None:
    program = textwrap.dedent(
        """
        from tests.unit.pccs.web.desk import Desk
        from verdictd.pccs.web.listening import ListenAddress
        from verdictd.pccs.web.server import WebServer

        server = WebServer(Desk().app, [ListenAddress("127.0.0.1", 0)])
        server.run(lambda: print(server.addresses[0].port, flush=True))
        print("ended", flush=True)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        address = ListenAddress("127.0.0.1", int(process.stdout.readline()))
        assert fetch(address, "/healthz").status == 200
        os.kill(process.pid, signal.SIGHUP)  # there is no certificate to load: nothing happens
        assert fetch(address, "/healthz").status == 200
        with socket.create_connection(address, timeout=PATIENCE_S):  # an idle client holds nothing up
            os.kill(process.pid, signal.SIGTERM)
            assert process.stdout.readline() == "ended\n"
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_no_more_connections_are_taken_than_files_may_be_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 100))
    with served(Desk().app) as address, contextlib.ExitStack() as opened:
        *_, third = [opened.enter_context(connect(address)) for _ in range(3)]  # two have a place
        third.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_all(third).split()[1] == b"503"
