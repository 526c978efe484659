import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from OpenSSL import SSL

from tests.unit.ratstls.peers import ACCEPT, CLIENT, SERVER, RawPeer, RecordingJudge, raw
from verdictd.core.errors import AppraisalRefusedError, TransportError
from verdictd.ratstls.channel import Role
from verdictd.ratstls.client import ClientChannel, connect
from verdictd.ratstls.endpoint import RATSTLSEndpoint
from verdictd.ratstls.tls_context import RATSTLSContext

BOTH = pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION], ids=["TLSv1.2", "TLSv1.3"])


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve one connection on a thread of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)

        def work() -> None:
            accepted, _ = listener.accept()
            with accepted:
                accepted.settimeout(20)
                serve(accepted)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join()


def reset(accepted: socket.socket) -> None:
    accepted.recv(65536)
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    accepted.close()


def read_once(accepted: socket.socket) -> None:
    accepted.recv(65536)


def shake_hands(accepted: socket.socket, peer: RawPeer) -> None:
    while not peer.done and not peer.error:
        data = accepted.recv(65536)
        accepted.sendall(peer.step(data))


def dial(port: int, judge: RecordingJudge = ACCEPT, *, mutual: bool = True, timeout_s: float = 20) -> ClientChannel:
    endpoint = RATSTLSEndpoint(RATSTLSContext(Role.CLIENT, CLIENT, mutual=mutual), judge)
    return connect("127.0.0.1", port, endpoint, timeout_s=timeout_s)


def ask(port: int, *, mutual: bool = True) -> bytes:
    with dial(port, mutual=mutual) as channel:
        channel.send(b"anything?")
        return channel.receive()


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(TransportError, match=f"cannot connect to 127.0.0.1:{port}: .*refused.*; check that the server"):
        dial(port)


def test_no_such_host_or_port() -> None:
    endpoint = RATSTLSEndpoint(RATSTLSContext(Role.CLIENT, None, mutual=False), ACCEPT)
    for host, port in (("no-such-host.invalid", 1234), ("127.0.0.1", 70000)):
        with pytest.raises(TransportError, match=f"cannot connect to {host}:{port}"):
            connect(host, port, endpoint)


def test_a_server_that_stays_silent() -> None:
    with listening(lambda accepted: time.sleep(1)) as port:
        started = time.monotonic()
        with pytest.raises(TransportError, match=r"did not answer within 0\.2 seconds"):
            dial(port, timeout_s=0.2)
        assert time.monotonic() - started < 1


def test_a_server_that_drips_cannot_draw_the_handshake_out() -> None:
    def drip(accepted: socket.socket) -> None:
        accepted.sendall(b"\x16")
        for _ in range(100):
            time.sleep(0.05)
            try:
                accepted.sendall(b"\x03")
            except OSError:
                return

    with listening(drip) as port:
        started = time.monotonic()
        with pytest.raises(TransportError):
            dial(port, timeout_s=0.5)
        assert time.monotonic() - started < 4


def test_a_server_that_does_not_speak_tls() -> None:
    with (
        listening(lambda accepted: accepted.sendall(b"220 mail.example.org ESMTP\r\n")) as port,
        pytest.raises(TransportError, match=f"127.0.0.1:{port}: the server does not speak TLS"),
    ):
        dial(port)


def test_a_server_that_closes_at_once() -> None:
    with (
        listening(read_once) as port,
        pytest.raises(TransportError, match=f"127.0.0.1:{port}: the server closed during the handshake"),
    ):
        dial(port)


def test_a_server_that_resets() -> None:
    with (
        listening(reset) as port,
        pytest.raises(TransportError, match=f"the connection to 127.0.0.1:{port} was lost: .*reset.*see its log"),
    ):
        dial(port)


@BOTH
def test_a_server_that_refuses_us(version: int) -> None:
    def refuse(accepted: socket.socket) -> None:
        shake_hands(accepted, raw(Role.SERVER, version=version, accepts=False))
        accepted.shutdown(socket.SHUT_WR)
        accepted.recv(1)

    with listening(refuse) as port:
        with pytest.raises(TransportError) as caught:
            ask(port)
        assert str(caught.value) == (
            f"127.0.0.1:{port}: the server refused our certificate (attestation id {CLIENT.attestation_id},"
            " TLS alert unknown_ca); the server's operator can see why under that id"
        )


def test_a_refusal_is_found_behind_what_could_not_be_sent() -> None:
    refused = threading.Event()

    def refuse(accepted: socket.socket) -> None:
        shake_hands(accepted, raw(Role.SERVER, accepts=False))
        accepted.close()
        refused.set()

    def send_until_it_fails(channel: ClientChannel) -> None:
        while True:
            channel.send(bytes(100_000))

    with listening(refuse) as port, dial(port) as channel:
        assert refused.wait(20)
        with pytest.raises(TransportError, match="the server refused our certificate"):
            send_until_it_fails(channel)


@BOTH
def test_a_server_we_refuse_is_told(version: int) -> None:
    peer = raw(Role.SERVER, version=version)

    def serve(accepted: socket.socket) -> None:
        shake_hands(accepted, peer)

    with (
        listening(serve) as port,
        pytest.raises(AppraisalRefusedError, match=f"we refused the server .*{SERVER.attestation_id}.*: no good"),
    ):
        dial(port, RecordingJudge(allowed=False, reason="no good"))
    assert "alert unknown ca" in peer.error


@BOTH
def test_a_server_that_wants_a_certificate_we_do_not_send(version: int) -> None:
    def serve(accepted: socket.socket) -> None:
        peer = raw(Role.SERVER, version=version)
        peer.connection.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
        shake_hands(accepted, peer)
        accepted.shutdown(socket.SHUT_WR)
        accepted.recv(1)

    with (
        listening(serve) as port,
        pytest.raises(TransportError, match=r"requires a certificate.*; send one with --mutual"),
    ):
        ask(port, mutual=False)


@BOTH
def test_answers_end_with_a_record_that_is_not_full(version: int) -> None:
    def serve(accepted: socket.socket) -> None:
        peer = raw(Role.SERVER, version=version)
        shake_hands(accepted, peer)
        for size in (40_000, 16_385, 1):
            peer.connection.sendall(b"x" * size)
            accepted.sendall(peer.outgoing())
        accepted.recv(65536)

    with listening(serve) as port, dial(port) as channel:
        assert [len(channel.receive_answer()) for _ in range(3)] == [40_000, 16_385, 1]


@BOTH
def test_the_end_and_the_break(version: int) -> None:
    def serve(accepted: socket.socket) -> None:
        peer = raw(Role.SERVER, version=version)
        shake_hands(accepted, peer)
        peer.connection.sendall(b"all there is")
        if goodbye:
            peer.connection.shutdown()
        accepted.sendall(peer.outgoing())
        accepted.shutdown(socket.SHUT_WR)
        accepted.recv(65536)

    goodbye = True
    with listening(serve) as port, dial(port) as channel:
        assert (channel.receive(), channel.receive(), channel.receive()) == (b"all there is", b"", b"")
    goodbye = False
    with listening(serve) as port, dial(port) as channel:
        assert channel.receive() == b"all there is"
        for _ in range(2):
            with pytest.raises(TransportError, match=f"127.0.0.1:{port} broke off"):
                channel.receive()


def test_a_server_that_takes_nothing() -> None:
    done = threading.Event()

    def serve(accepted: socket.socket) -> None:
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        shake_hands(accepted, raw(Role.SERVER))
        done.wait(20)

    with listening(serve) as port:
        channel = dial(port, timeout_s=1)
        with pytest.raises(TransportError, match="did not answer within 1 seconds"):
            channel.send(bytes(50_000_000))
        done.set()
        channel.close()
