"""A verdictd with low limits: who exceeds one is cut off, and the log names the limit, what was found, and the flag."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.e2e.attackers import certificate_with_extension
from tests.e2e.conftest import TRUST, write_collateral
from tests.e2e.processes import Verifier, verifier
from tests.e2e.test_concurrent_peers import attest
from tests.unit.ratstls.peers import RawPeer, make_context
from verdictd.ratstls.certificate_builder import Identity, build_identity
from verdictd.ratstls.channel import Role
from verdictd.simulator.attester import SimulatedAttester
from verdictd.simulator.platform import SimulatedPlatform

VERSION = b'{"command":"version"}'
LOW = {
    "--handshake-timeout": "2",
    "--max-handshake-bytes": "40000",
    "--idle-timeout": "2",
    "--request-timeout": "1",
    "--max-requests": "5",
    "--max-connection-bytes": "60000",
    "--max-silent-bytes": "1000",
}
FEW = {"--max-connections": "5", "--max-connections-per-address": "3", "--write-timeout": "1"}


class Accepted:
    """An accepted peer on a blocking socket."""

    def __init__(self, place: Verifier, honest: Identity) -> None:
        self.socket = socket.socket()
        # So that little fits between the two programs while nobody reads.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(20)
        self.socket.connect((place.host, int(place.port)))
        self.peer = RawPeer(Role.CLIENT, [honest.certificate_der], honest.private_key)
        self.socket.sendall(self.peer.step())
        while not self.peer.done:
            self.socket.sendall(self.peer.step(self.socket.recv(65536)))
        self.ask()

    def ask(self) -> None:
        """Ask, and await the answer."""
        self.send(VERSION)
        while b"OK" not in self.peer.received:
            data = self.socket.recv(65536)
            assert data, "the server is gone"
            self.peer.step(data)
        self.peer.received = b""

    def send(self, data: bytes) -> None:
        self.peer.connection.sendall(data)
        self.socket.sendall(self.peer.outgoing())

    def await_the_end(self) -> None:
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionError:
            pass
        finally:
            self.socket.close()


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Identity]:
    place = tmp_path_factory.mktemp("limits")
    platform = SimulatedPlatform.create(at=datetime.now(UTC) - timedelta(minutes=1))
    platform.save(place / "platform")
    write_collateral(place, platform)
    return place, build_identity(at=datetime.now(UTC), make_quote=SimulatedAttester(platform).quote)


@contextmanager
def limited(place: Path, data: str, limits: dict[str, str]) -> Iterator[Verifier]:
    flags = [word for pair in limits.items() for word in pair]
    collateral = ["--collateral", "collateral.json", "--workers", "1", "--data-dir", data]
    with verifier(place, *TRUST, *collateral, *flags) as running:
        running.name_reference()
        yield running


@pytest.fixture(scope="module")
def low(honest: tuple[Path, Identity]) -> Iterator[Verifier]:
    with limited(honest[0], "low", LOW) as running:
        yield running


def wait_in_the_handshake(place: Verifier, _: Identity) -> None:
    with socket.create_connection((place.host, int(place.port)), timeout=20) as silent:
        silent.sendall(RawPeer(Role.CLIENT, context=make_context(Role.CLIENT)).step()[:100])
        assert silent.recv(1) == b""


def show_much_in_the_handshake(place: Verifier, _: Identity) -> None:
    """More than the limit, and less than what OpenSSL refuses by itself."""
    certificate, key = certificate_with_extension("1.2.3.4", bytes(45_000))
    peer = RawPeer(Role.CLIENT, context=make_context(Role.CLIENT, [certificate], key))
    with socket.create_connection((place.host, int(place.port)), timeout=20) as large:
        large.sendall(peer.step())
        while not peer.done:
            large.sendall(peer.step(large.recv(65536)))
        while large.recv(65536):
            pass


def say_nothing(place: Verifier, honest: Identity) -> None:
    Accepted(place, honest).await_the_end()


def send_a_record_byte_by_byte(place: Verifier, honest: Identity) -> None:
    """Bytes come all the time, but no data."""
    peer = Accepted(place, honest)
    for byte in b"\x17\x03\x03\x40\x00" + bytes(95):
        try:
            peer.socket.sendall(bytes((byte,)))
        except OSError:
            peer.socket.close()
            return
        time.sleep(0.2)
    pytest.fail("nobody minded")


def send_a_request_byte_by_byte(place: Verifier, honest: Identity) -> None:
    """Data comes all the time, but no request."""
    peer = Accepted(place, honest)
    for byte in VERSION[:1] + b" " * 98:
        try:
            peer.send(bytes((byte,)))
        except OSError:
            peer.socket.close()
            return
        time.sleep(0.2)
    pytest.fail("nobody minded")


def ask_often(place: Verifier, honest: Identity) -> None:
    peer = Accepted(place, honest)
    for _ in range(4):
        peer.ask()
    peer.send(VERSION)
    peer.await_the_end()


def send_much(place: Verifier, honest: Identity) -> None:
    """In small records, as a large one that is not there whole holds no data either."""
    peer = Accepted(place, honest)
    try:
        for _ in range(120):
            peer.send(b" " * 600)
    except ConnectionError:
        peer.socket.close()
        return
    peer.await_the_end()


def send_what_holds_no_data(place: Verifier, honest: Identity) -> None:
    peer = Accepted(place, honest)
    peer.socket.sendall(b"\x17\x03\x03\x40\x00" + bytes(1200))
    peer.await_the_end()


@pytest.mark.parametrize(
    ("exceed", "said"),
    [
        (
            wait_in_the_handshake,
            r"the handshake was not complete after 2 seconds, in which the peer sent 100 bytes; raise --handshake-t",
        ),
        (
            show_much_in_the_handshake,
            r"the peer sent 4\d+ bytes without completing its handshake, the limit is 40000; raise --max-hand",
        ),
        (say_nothing, r"the peer sent no data for 2 seconds; raise --idle-timeout"),
        (send_a_record_byte_by_byte, r"the peer sent no data for 2 seconds; raise --idle-timeout"),
        (
            send_a_request_byte_by_byte,
            r"a request was not complete after 1 seconds; send it at once, or raise --request-timeout",
        ),
        (ask_often, r"more than 5 requests on one connection; connect again, or raise --max-requests"),
        (
            send_much,
            r"the peer sent [67]\d{4} bytes on one connection, the limit is 60000; raise --max-connection-bytes",
        ),
        (
            send_what_holds_no_data,
            r"the peer sent 1\d+ bytes without any data in it, the limit is 1000; raise --max-silent-bytes",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", "log"),
)
def test_who_exceeds_a_limit_is_cut_off_and_the_log_says_which(
    low: Verifier, honest: tuple[Path, Identity], exceed: Callable[[Verifier, Identity], None], said: str
) -> None:
    seen = len(low.service.lines)
    exceed(low, honest[1])
    low.service.wait_for(said, after=seen)
    refusals = [line for line in low.service.lines[seen:] if "raise --" in line]
    assert len(refusals) == 1, refusals
    assert attest(honest[1], low.host, int(low.port))


def test_connections_beyond_a_limit_and_answers_that_nobody_takes(honest: tuple[Path, Identity]) -> None:
    place, identity = honest
    with limited(place, "few", FEW) as few, ExitStack() as stack:

        def connect_from(address: str) -> None:
            where = (few.host, int(few.port))
            stack.enter_context(socket.create_connection(where, source_address=(address, 0), timeout=20))

        for _ in range(4):
            connect_from("127.0.0.2")
        few.service.wait_for(
            r'connection turned away peer="127\.0\.0\.2:\d+" why="there are 3 connections from 127\.0\.0\.2,'
            r" the limit is 3 \(raise --max-connections-per-address\)"
        )
        peer = Accepted(few, identity)  # another address is not concerned
        connect_from("127.0.0.3")
        deadline = time.monotonic() + 20
        while not any("--max-connections)" in line for line in few.service.lines):  # not each is said
            assert time.monotonic() < deadline
            connect_from("127.0.0.4")
            time.sleep(0.2)
        few.service.wait_for(r"there are 5 connections, the limit is 5 \(raise --max-connections\)")
        peer.send(b'{"command":"echo","data":"' + b"x" * 900_000 + b'"}')
        few.service.wait_for(r"the peer did not take what was sent to it within 1 seconds; raise --write-timeout")
        peer.socket.close()


def test_nobody_fills_the_disk_by_being_turned_away(honest: tuple[Path, Identity]) -> None:
    place, _ = honest
    flags = [*TRUST, "--collateral", "collateral.json", "--workers", "1", "--max-refusals-per-minute", "2"]
    with verifier(place, *flags) as verdictd:
        for _ in range(5):
            assert verdictd.attest("--debug-enclave").returncode == 255
        verdictd.service.wait_for(r"too many peers are refused: more are only counted \(--max-refusals-per-minute\)")
        verdictd.service.stop()
        shown = verdictd.verdict("audit", "show", "data/audit", "--json").stdout
    contents = [json.loads(line)["content"] for line in shown.splitlines()]
    refused = [content for content in contents if content["kind"] in {"attestation", "refusals"}]
    assert [content["kind"] for content in refused] == ["attestation", "attestation", "refusals"]
    assert refused[-1]["count"] == 3
