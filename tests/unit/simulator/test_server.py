import asyncio
import http.client
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import dcap_qvl
import pytest

from tests.unit.simulator.oracle import AT, REPORT_DATA, root_der
from verdictd.core.errors import ConfigError
from verdictd.simulator.family import FAMILIES, encode_identity, find_member
from verdictd.simulator.pck_certificates import PCKIssuer, PCKLevel
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.simulator.server import CollateralServer
from verdictd.tees.dcap.acceptance import TCBStatus

TCB_PATH = "/sgx/certification/v4/tcb?fmspc=53494D000000"


@pytest.fixture
def server(directory: Path) -> Iterator[CollateralServer]:
    with CollateralServer(directory, host="127.0.0.1", port=0, clock=lambda: AT) as running:
        yield running


def _connect(server: CollateralServer) -> http.client.HTTPConnection:
    host, _, port = server.address.rpartition(":")
    return http.client.HTTPConnection(host.strip("[]"), int(port), timeout=10)


def _get(server: CollateralServer, path: str, **headers: str) -> http.client.HTTPResponse:
    connection = _connect(server)
    connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    response.body = response.read()  # type: ignore[attr-defined]
    connection.close()
    return response


def _fetch_and_verify(
    server: CollateralServer, platform: SimulatedPlatform, url: str, given: bytes | None = None
) -> str:
    """Let the oracle fetch the collateral by itself, and verify a quote with it."""
    quote = given or platform.quote(report_data=REPORT_DATA)

    async def fetch() -> object:
        return await dcap_qvl.get_collateral(url, quote)

    return str(
        dcap_qvl.verify_with_root_ca(quote, asyncio.run(fetch()), root_der(platform), int(AT.timestamp())).status
    )


def test_oracle_fetches_what_it_needs(server: CollateralServer, platform: SimulatedPlatform) -> None:
    assert _fetch_and_verify(server, platform, server.url) == "UpToDate"
    assert _fetch_and_verify(server, platform, f"http://{server.address}") == "UpToDate"


@pytest.mark.parametrize("family", range(len(FAMILIES)))
def test_oracle_fetches_what_it_needs_for_a_platform_that_is_known_by_its_encrypted_ppid_alone(
    *, server: CollateralServer, platform: SimulatedPlatform, directory: Path, family: int
) -> None:
    member = find_member(encode_identity(b"one of many", family=family))
    assert member is not None
    issuer, level = PCKIssuer(platform, member), PCKLevel(platform.hardware.components, platform.hardware.pce_svn)
    parts = platform.quote_parts(report_data=REPORT_DATA)
    chain = issuer.pem(level) + issuer.issuer_chain
    quote = platform.sign(replace(parts, certification_data=chain), pck_key=issuer.key(level))
    assert _fetch_and_verify(server, platform, server.url, quote) == "UpToDate"
    SimulatedPlatform.update(directory, lambda present: present.with_early_tcb_status(TCBStatus.OUT_OF_DATE))
    assert _fetch_and_verify(server, platform, server.url, quote) == "UpToDate"
    SimulatedPlatform.update(directory, SimulatedPlatform.with_standard_following)
    assert _fetch_and_verify(server, platform, server.url, quote) == "OutOfDate"


def test_changes_in_the_directory_take_effect_at_once(
    server: CollateralServer, platform: SimulatedPlatform, directory: Path
) -> None:
    assert _fetch_and_verify(server, platform, server.url) == "UpToDate"
    SimulatedPlatform.update(directory, lambda present: present.with_tcb_status(TCBStatus.OUT_OF_DATE))
    assert _fetch_and_verify(server, platform, server.url) == "OutOfDate"
    SimulatedPlatform.update(directory, lambda present: present.with_revoked("pck"))
    with pytest.raises(ValueError, match=r"(?i)revoked"):
        _fetch_and_verify(server, platform, server.url)


def test_answer_is_framed_for_a_connection_that_stays_open(server: CollateralServer) -> None:
    connection = _connect(server)
    bodies = []
    for _ in range(3):
        connection.request("GET", TCB_PATH)
        response = connection.getresponse()
        assert response.status == 200
        assert response.version == 11
        assert not response.will_close
        bodies.append(response.read())
        assert response.getheader("Content-Length") == str(len(bodies[-1]))
    connection.close()
    assert all(body.startswith(b'{"tcbInfo":{') for body in bodies)


def test_each_request_is_logged_with_its_status(server: CollateralServer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="verdictd.simulator.http_handler"):
        assert _get(server, TCB_PATH).getheader("Server") == "tee-sim"
        _get(server, "/nothing")
    logged = [(record.request, record.status) for record in caplog.records]  # type: ignore[attr-defined]
    assert logged == [(f"GET {TCB_PATH} HTTP/1.1", 200), ("GET /nothing HTTP/1.1", 404)]


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01 what a TLS client sends\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"x" * 65537]
)
def test_what_is_no_request_is_answered_and_logged(
    server: CollateralServer, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    with caplog.at_level("INFO", logger="verdictd.simulator.http_handler"), closing(_connect(server)) as connection:
        connection.connect()
        connection.sock.sendall(sent)
        assert connection.sock.recv(4096).startswith((b"HTTP/1.1 4", b"HTTP/1.1 505", b"<!DOCTYPE HTML>"))
    assert any(getattr(record, "reason", "").startswith("code ") for record in caplog.records)


def test_request_id_is_echoed_or_made(server: CollateralServer) -> None:
    assert _get(server, TCB_PATH, Request_ID="abc-123").getheader("Request-ID") == "abc-123"
    made = [_get(server, TCB_PATH).getheader("Request-ID") for _ in range(2)]
    assert all(made)
    assert made[0] != made[1]


def test_request_id_that_is_not_fit_to_repeat_is_not_repeated(server: CollateralServer) -> None:
    for unfit in ("a b", "x" * 65, "<script>"):
        assert _get(server, TCB_PATH, Request_ID=unfit).getheader("Request-ID") != unfit


def test_unknown_fmspc_is_not_found_and_says_why(server: CollateralServer) -> None:
    response = _get(server, "/sgx/certification/v4/tcb?fmspc=00906ED50000")
    assert response.status == 404
    assert b"00906ed50000" in response.body  # type: ignore[attr-defined]
    assert response.getheader("Request-ID")


def test_directory_that_vanished_is_a_failure_of_the_service(server: CollateralServer, directory: Path) -> None:
    (directory / "platform.json").unlink()
    response = _get(server, TCB_PATH)
    assert response.status == 503
    assert b"is no simulated platform" in response.body  # type: ignore[attr-defined]


def test_body_of_a_request_is_not_taken_for_the_next_one(server: CollateralServer) -> None:
    connection = _connect(server)
    for _ in range(2):
        connection.request("GET", TCB_PATH, body=b"GET /elsewhere HTTP/1.1\r\n\r\n")
        response = connection.getresponse()
        assert response.status == 200
        assert response.read().startswith(b'{"tcbInfo":')
    connection.close()


@pytest.mark.parametrize("header", [("Content-Length", "65537"), ("Content-Length", "-1"), ("Transfer-Encoding", "x")])
def test_body_whose_end_is_not_known_ends_the_connection(server: CollateralServer, header: tuple[str, str]) -> None:
    connection = _connect(server)
    connection.request("GET", TCB_PATH, headers=dict([header]))
    response = connection.getresponse()
    assert (response.status, response.will_close) == (400, True)
    connection.close()


def test_other_methods_are_refused(server: CollateralServer) -> None:
    connection = _connect(server)
    for method, status in (("POST", 405), ("PUT", 405), ("DELETE", 405), ("PATCH", 501)):
        connection.request(method, TCB_PATH, body=b"")
        response = connection.getresponse()
        response.read()
        assert response.status == status
    connection.close()


def test_an_idle_client_holds_nobody_up(server: CollateralServer) -> None:
    host, _, port = server.address.rpartition(":")
    idle = [socket.create_connection((host, int(port))) for _ in range(10)]
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: _get(server, TCB_PATH).status, range(40)))
    assert statuses == [200] * 40
    for connection in idle:
        connection.close()


def test_serves_on_ipv6(directory: Path, platform: SimulatedPlatform) -> None:
    try:
        server = CollateralServer(directory, host="::1", port=0, clock=lambda: AT)
    except ConfigError:
        pytest.skip("this machine has no IPv6 loopback")
    with server:
        assert server.url.startswith("http://[::1]:")
        assert _fetch_and_verify(server, platform, server.url) == "UpToDate"


def test_address_is_free_again_after_the_end(directory: Path) -> None:
    with CollateralServer(directory, host="127.0.0.1", port=0, clock=lambda: AT) as first:
        port = int(first.address.rpartition(":")[2])
        with pytest.raises(ConfigError, match="cannot listen"):
            CollateralServer(directory, host="127.0.0.1", port=port, clock=lambda: AT)
    again = CollateralServer(directory, host="127.0.0.1", port=port, clock=lambda: AT)
    again.close()


def test_address_of_another_machine_is_refused(directory: Path) -> None:
    with pytest.raises(ConfigError, match="cannot listen"):
        CollateralServer(directory, host="192.0.2.1", port=0, clock=lambda: AT)


def test_does_not_start_without_a_platform(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="tee-sim init"):
        CollateralServer(tmp_path, host="127.0.0.1", port=0, clock=lambda: AT)
