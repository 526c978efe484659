import asyncio
import logging
import resource
import socket
import struct
import threading
import time
from typing import Self

import pytest
from OpenSSL import SSL

from tests.unit.ratstls.peers import ACCEPT, CLIENT, NOW, SERVER, RawPeer, RecordingJudge, identify, raw
from tests.unit.ratstls.serving import Served, echo, run, serving, until
from verdictd.core.errors import ConfigError, TransportError, VerdictdError
from verdictd.ratstls.attested_connection import AttestedConnection
from verdictd.ratstls.certificate_builder import Identity, build_identity
from verdictd.ratstls.channel import (
    ChannelFailed,
    Endpoint,
    Failure,
    PeerAccepted,
    PeerRefused,
    PeerVerdict,
    Role,
)
from verdictd.ratstls.client import ClientChannel, connect
from verdictd.ratstls.endpoint import RATSTLSEndpoint
from verdictd.ratstls.limits import ServerLimits
from verdictd.ratstls.nulltls import NullTLSEndpoint
from verdictd.ratstls.server import serve
from verdictd.ratstls.tls_context import RATSTLSContext

VERSIONS = [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION]
BOTH = pytest.mark.parametrize("version", VERSIONS, ids=["TLSv1.2", "TLSv1.3"])


def ask(channel: ClientChannel, question: bytes) -> bytes:
    channel.send(question)
    answer = bytearray()
    while len(answer) < len(question):
        answer += channel.receive()
    return bytes(answer)


class RawSocketPeer:
    """OpenSSL without our rules on a real socket."""

    def __init__(self, served: Served, peer: RawPeer) -> None:
        self.peer = peer
        self.socket = socket.create_connection((served.host, served.port), timeout=20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def shake_hands(self) -> None:
        self.socket.sendall(self.peer.step())
        while not self.peer.done and not self.peer.error:
            data = self.socket.recv(65536)
            if not data:
                return
            self.socket.sendall(self.peer.step(data))

    def read_to_the_end(self) -> str:
        """Return how the connection ended, as OpenSSL says it, or what the socket says."""
        try:
            while data := self.socket.recv(65536):
                self.peer.step(data)
        except OSError as error:
            return type(error).__name__
        return self.peer.error or "end"


# Serving


def test_an_accepted_peer_is_served() -> None:
    seen: list[tuple[str, PeerVerdict | None, bool, str]] = []

    async def handler(connection: AttestedConnection) -> None:
        seen.append((connection.peer, connection.verdict, connection.attested, connection.protocol))
        await echo(connection)

    async def test() -> None:
        judge = RecordingJudge()
        async with serving(handler, judge) as served:
            channel = await served.connect()
            assert await asyncio.to_thread(ask, channel, b"hello") == b"hello"
            await asyncio.to_thread(channel.close)
            outcome = await served.outcome()
        assert isinstance(outcome.outcome, PeerAccepted)
        assert outcome.peer.startswith("127.0.0.1:")
        assert 0 < outcome.seconds < 20
        assert judge.asked == [CLIENT.certificate_der]
        ((peer, verdict, attested, protocol),) = seen
        assert (peer, attested, protocol) == (outcome.peer, False, "TLSv1.3")
        assert verdict is not None
        assert verdict.attestation_id == CLIENT.attestation_id

    run(test)


@pytest.mark.parametrize("size", [1, 4096, 4097, 16384, 16385, 300_000])
def test_requests_and_answers_of_any_size(size: int) -> None:
    async def handler(connection: AttestedConnection) -> None:
        request = bytearray()
        while len(request) < size:
            request += await connection.read()
        await connection.write(bytes(request))

    async def test() -> None:
        async with serving(handler) as served:
            channel = await served.connect()
            question = bytes(number % 251 for number in range(size))
            await asyncio.to_thread(channel.send, question)
            assert await asyncio.to_thread(channel.receive_answer) == question
            assert await asyncio.to_thread(channel.receive) == b""
            channel.close()

    run(test)


@BOTH
def test_a_peer_that_sends_byte_by_byte_is_served(version: int) -> None:
    def talk(served: Served) -> bytes:
        peer = raw(Role.CLIENT, version=version)
        with socket.create_connection((served.host, served.port), timeout=20) as connected:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            outgoing, asked = peer.step(), False
            while peer.received != b"slowly":
                for byte in outgoing:
                    connected.sendall(bytes((byte,)))
                if peer.done and not asked:
                    asked = True
                    peer.connection.send(b"slowly")
                    outgoing = peer.outgoing()
                    continue
                outgoing = peer.step(connected.recv(65536))
            return peer.received

    async def test() -> None:
        async with serving() as served:
            assert await asyncio.to_thread(talk, served) == b"slowly"

    run(test)


def test_many_peers_at_once_each_with_its_own_verdict() -> None:
    identities = [build_identity(at=NOW) for _ in range(4)]
    welcome = {identity.certificate_der for identity in identities[::2]}

    def judge(der: bytes) -> PeerVerdict:
        return PeerVerdict(attestation_id=identify(der), allowed=der in welcome, reason="")

    async def handler(connection: AttestedConnection) -> None:
        await connection.read()
        assert connection.verdict is not None
        await connection.write(connection.verdict.attestation_id.encode())

    async def visit(served: Served, identity: Identity) -> bool:
        channel = await served.connect(identity)
        try:
            await asyncio.to_thread(channel.send, b"who am I")
            answer = await asyncio.to_thread(channel.receive)
        except TransportError as error:
            return identity.certificate_der not in welcome and "refused our certificate" in str(error)
        finally:
            await asyncio.to_thread(channel.close)
        return identity.certificate_der in welcome and answer.decode() == identity.attestation_id

    async def test() -> None:
        async with serving(handler, judge) as served:
            visits = [visit(served, identities[number % 4]) for number in range(60)]
            assert all(await asyncio.gather(*visits))
            assert sum(isinstance(outcome.outcome, PeerAccepted) for outcome in served.outcomes) == 30
            assert sum(isinstance(outcome.outcome, PeerRefused) for outcome in served.outcomes) == 30

    run(test)


def test_a_judge_that_waits_keeps_nobody_else_waiting() -> None:
    slow, released = build_identity(at=NOW), threading.Event()

    def judge(der: bytes) -> PeerVerdict:
        if der == slow.certificate_der:
            released.wait(20)
        return PeerVerdict(attestation_id=identify(der), allowed=True, reason="")

    async def test() -> None:
        async with serving(judge=judge, limits=ServerLimits(handshake_threads=2)) as served:
            waiting = asyncio.create_task(served.connect(slow))
            quick = await served.connect()
            assert await asyncio.to_thread(ask, quick, b"quick") == b"quick"
            slow_channel = await waiting  # TLS 1.3: its own side of the handshake is complete
            assert len(served.outcomes) == 1
            released.set()
            assert await asyncio.to_thread(ask, slow_channel, b"slow") == b"slow"
            quick.close()
            slow_channel.close()

    run(test)


def test_identities_are_asked_for_anew_with_each_connection() -> None:
    contexts = [RATSTLSContext(Role.SERVER, build_identity(at=NOW), mutual=True) for _ in range(2)]
    peers: list[str] = []

    def factory(peer: str) -> Endpoint:
        peers.append(peer)
        return RATSTLSEndpoint(contexts[len(peers) - 1], ACCEPT)

    async def test() -> None:
        async with serving(factory=factory) as served:
            for context in contexts:
                channel = await served.connect()
                assert channel.verdict is not None
                assert context.identity is not None
                assert channel.verdict.attestation_id == context.identity.attestation_id
                channel.close()
            await served.outcome(1)
            assert [outcome.peer for outcome in served.outcomes] == peers

    run(test)


def test_without_tls_nobody_is_attested() -> None:
    attested = []

    async def handler(connection: AttestedConnection) -> None:
        attested.append((connection.attested, connection.verdict, connection.protocol))
        await echo(connection)

    async def test() -> None:
        async with serving(handler, factory=lambda _: NullTLSEndpoint()) as served:
            channel = await asyncio.to_thread(connect, served.host, served.port, NullTLSEndpoint())
            assert await asyncio.to_thread(ask, channel, b"x" * 20000) == b"x" * 20000
            assert (channel.verdict, channel.protocol) == (None, "nulltls")
            channel.close()
        assert attested == [(False, None, "nulltls")]

    run(test)


# Refusing


@BOTH
def test_a_refused_client_reads_an_alert_whatever_it_was_sending(version: int) -> None:
    served_anyone = False

    async def handler(_: AttestedConnection) -> None:
        nonlocal served_anyone
        served_anyone = True

    def talk(served: Served) -> str:
        with RawSocketPeer(served, raw(Role.CLIENT, version=version)) as client:
            client.shake_hands()
            if version == SSL.TLS1_3_VERSION:
                assert client.peer.done
                client.peer.connection.sendall(bytes(200_000))
                client.socket.sendall(client.peer.outgoing())
            return client.read_to_the_end()

    async def test() -> None:
        judge = RecordingJudge(allowed=False, reason="not that enclave")
        async with serving(handler, judge) as served:
            assert "alert unknown ca" in await asyncio.to_thread(talk, served)
            outcome = (await served.outcome()).outcome
        assert isinstance(outcome, PeerRefused)
        assert outcome.verdict.reason == "not that enclave"
        assert judge.asked == [CLIENT.certificate_der]
        assert not served_anyone

    run(test)


def test_our_client_says_who_refused_whom() -> None:
    async def test() -> None:
        async with serving(judge=RecordingJudge(allowed=False)) as served:
            channel = await served.connect()
            with pytest.raises(TransportError) as caught:
                await asyncio.to_thread(channel.receive)
            assert str(caught.value) == (
                f"127.0.0.1:{served.port}: the server refused our certificate (attestation id"
                f" {CLIENT.attestation_id}, TLS alert unknown_ca); the server's operator can see why under that id"
            )
            with pytest.raises(TransportError, match="refused our certificate"):
                channel.send(b"again")
            with pytest.raises(TransportError, match="refused our certificate"):
                channel.receive()
            channel.close()
            outcome = (await served.outcome()).outcome
            assert isinstance(outcome, PeerRefused)
            assert outcome.verdict.attestation_id == CLIENT.attestation_id

    run(test)


def test_a_server_refused_by_its_client_hears_of_it() -> None:
    async def test() -> None:
        async with serving() as served:
            with pytest.raises(VerdictdError, match="we refused the server") as caught:
                await served.connect(judge=RecordingJudge(allowed=False, reason="not that enclave"))
            assert type(caught.value).__name__ == "AppraisalRefusedError"
            assert str(caught.value) == (
                f"we refused the server 127.0.0.1:{served.port} (attestation id {SERVER.attestation_id}):"
                " not that enclave"
            )
            outcome = (await served.outcome()).outcome
            assert isinstance(outcome, ChannelFailed)
            assert outcome.failure is Failure.REFUSED_BY_PEER
            assert SERVER.attestation_id in outcome.message

    run(test)


# Limits


def test_a_peer_that_never_completes_its_handshake_is_dropped() -> None:
    async def test() -> None:
        async with serving(limits=ServerLimits(handshake_timeout_s=0.2, farewell_timeout_s=0.2)) as served:
            reader, writer = await asyncio.open_connection(served.host, served.port)
            writer.write(raw(Role.CLIENT).step()[:20])
            outcome = (await served.outcome()).outcome
            assert isinstance(outcome, ChannelFailed)
            assert (outcome.failure, outcome.message) == (
                Failure.TIMEOUT,
                "the handshake was not complete after 0.2 seconds, in which the peer sent 20 bytes",
            )
            assert await reader.read() == b""
            writer.close()

    run(test)


def test_a_judge_that_takes_too_long_does_not_accept_late() -> None:
    released = threading.Event()

    def judge(der: bytes) -> PeerVerdict:
        released.wait(20)
        return ACCEPT(der)

    async def test() -> None:
        async with serving(judge=judge, limits=ServerLimits(handshake_timeout_s=0.3)) as served:
            channel = await served.connect()
            with pytest.raises(TransportError):
                await asyncio.to_thread(channel.receive)
            released.set()
            assert isinstance((await served.outcome()).outcome, ChannelFailed)
            channel.close()

    run(test)


def test_an_idle_peer_is_dropped() -> None:
    ended: list[str] = []

    async def handler(connection: AttestedConnection) -> None:
        try:
            await connection.read()
        except TransportError as error:
            ended.append(str(error))
            raise

    async def test() -> None:
        async with serving(handler, limits=ServerLimits(idle_timeout_s=0.2)) as served:
            channel = await served.connect()
            with pytest.raises(TransportError):
                await asyncio.to_thread(channel.receive)
            channel.close()
        assert ended == [
            "the peer sent no data for 0.2 seconds; raise --idle-timeout if it has to keep connections for so long"
        ]

    run(test)


def test_a_peer_that_does_not_read_its_answer_is_dropped() -> None:
    ended: list[str] = []

    async def handler(connection: AttestedConnection) -> None:
        try:
            await connection.write(bytes(50_000_000))
        except TransportError as error:
            ended.append(str(error))
            raise

    async def test() -> None:
        async with serving(handler, limits=ServerLimits(write_timeout_s=0.3)) as served:
            channel = await served.connect()
            await until(lambda: bool(ended))
            channel.close()
        assert ended == [
            "the peer did not take what was sent to it within 0.3 seconds; raise --write-timeout if it is so slow"
        ]

    run(test)


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        (ServerLimits(max_connections=2), "there are 2 connections, the limit is 2 (raise --max-connections)"),
        (
            ServerLimits(max_connections_per_address=2),
            "there are 2 connections from 127.0.0.1, the limit is 2 (raise --max-connections-per-address)",
        ),
    ],
)
def test_further_connections_are_closed_at_once_and_say_why_to_the_operator(
    limits: ServerLimits, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving(limits=limits) as served:
            first, second = await served.connect(), await served.connect()
            with pytest.raises(TransportError):
                await served.connect()
            assert vars(caplog.records[-1])["why"] == why
            assert served.server.connections == 2
            assert await asyncio.to_thread(ask, second, b"x") == b"x"
            await asyncio.to_thread(first.close)
            await until(lambda: served.server.connections == 1)
            third = await served.connect()
            assert await asyncio.to_thread(ask, third, b"y") == b"y"
            second.close()
            third.close()

    with caplog.at_level(logging.WARNING, "verdictd.ratstls.acceptor"):
        run(test)


# What goes wrong


@pytest.mark.parametrize(
    ("words", "failure"),
    [(b"GET / HTTP/1.1\r\n\r\n", Failure.NOT_TLS), (b"\x16\x03\x01\x00\x04\x63\x00\x00\x00", Failure.PROTOCOL)],
)
def test_who_does_not_speak_tls_is_turned_away(words: bytes, failure: Failure) -> None:
    async def test() -> None:
        async with serving() as served:
            reader, writer = await asyncio.open_connection(served.host, served.port)
            writer.write(words)
            outcome = (await served.outcome()).outcome
            assert isinstance(outcome, ChannelFailed)
            assert outcome.failure is failure
            await reader.read()
            writer.close()

    run(test)


def test_who_goes_away_during_the_handshake_does_no_harm() -> None:
    async def test() -> None:
        async with serving() as served:
            for reset in (False, True):
                gone = socket.create_connection((served.host, served.port))
                if reset:
                    gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                gone.sendall(raw(Role.CLIENT).step())
                gone.close()
            for number in range(2):
                outcome = (await served.outcome(number)).outcome
                assert isinstance(outcome, ChannelFailed)
                assert outcome.failure is Failure.CUT_OFF
            channel = await served.connect()
            assert await asyncio.to_thread(ask, channel, b"still there") == b"still there"
            channel.close()

    run(test)


def test_without_a_free_file_descriptor_connections_wait(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with serving() as served:
            waiting = socket.create_connection((served.host, served.port))
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            with socket.socket() as next_free:
                lowest = next_free.fileno()
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
            try:
                await until(lambda: "cannot accept a connection" in caplog.text)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            assert served.server.connections == 0
            await until(lambda: served.server.connections == 1)
            waiting.close()

    run(test)


def test_a_peer_that_vanishes_ends_its_connection_alone() -> None:
    ended: list[bytes] = []

    async def handler(connection: AttestedConnection) -> None:
        ended.append(await connection.read())

    async def test() -> None:
        async with serving(handler) as served:
            channel = await served.connect()
            await served.outcome()
            channel._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            channel._socket.close()
            await until(lambda: bool(ended))
        assert ended == [b""]

    run(test)


def test_a_fault_in_a_handler_is_logged_and_ends_its_connection_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(connection: AttestedConnection) -> None:
        if await connection.read() == b"fail":
            raise ZeroDivisionError("oops")
        await connection.write(b"fine")

    async def test() -> None:
        async with serving(handler) as served:
            failing, fine = await served.connect(), await served.connect()
            failing.send(b"fail")
            with pytest.raises(TransportError):
                await asyncio.to_thread(failing.receive)
            fine.send(b"work")
            assert await asyncio.to_thread(fine.receive_answer) == b"fine"
            failing.close()
            fine.close()

    with caplog.at_level(logging.ERROR, "verdictd.ratstls.connection_server"):
        run(test)
    (record,) = caplog.records
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ZeroDivisionError)


def test_a_damaged_record_of_an_accepted_peer_ends_its_connection() -> None:
    ended: list[str] = []

    async def handler(connection: AttestedConnection) -> None:
        try:
            await connection.read()
        except TransportError as error:
            ended.append(str(error))
            raise

    def talk(served: Served) -> str:
        with RawSocketPeer(served, raw(Role.CLIENT)) as client:
            client.shake_hands()
            client.socket.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
            return client.read_to_the_end()

    async def test() -> None:
        async with serving(handler) as served:
            assert "bad record mac" in await asyncio.to_thread(talk, served)
        assert len(ended) == 1
        assert ended[0].startswith("TLS failed: ")

    run(test)


def test_a_peer_that_is_gone_cannot_be_answered() -> None:
    ended: list[str] = []

    async def handler(connection: AttestedConnection) -> None:
        await connection.read()
        try:
            await connection.write(b"hello?")
        except TransportError as error:
            ended.append(str(error))

    async def test() -> None:
        async with serving(handler) as served:
            channel = await served.connect()
            channel._socket.close()
            await until(lambda: bool(ended))
        assert ended == ["the peer is gone, it cannot be answered"]

    run(test)


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid", "192.0.2.1"])
def test_where_it_cannot_listen_it_says_so(host: str) -> None:
    async def test() -> None:
        async with serving() as served:
            with pytest.raises(ConfigError, match=f"cannot listen on {host} port {served.port}.*--listen"):
                await serve(
                    host,
                    served.port,
                    endpoint_factory=lambda _: NullTLSEndpoint(),
                    handler=echo,
                    observer=lambda _: None,
                )

    run(test)


# Stopping


def test_stopping_closes_idle_connections_at_once_and_drops_handshakes() -> None:
    async def test() -> None:
        async with serving() as served:
            idle = await served.connect()
            assert await asyncio.to_thread(ask, idle, b"x") == b"x"
            shaking = socket.create_connection((served.host, served.port))
            await until(lambda: served.server.connections == 2)
            started = time.monotonic()
            await served.server.stop(grace_s=20)
            assert time.monotonic() - started < 10
            assert await asyncio.to_thread(idle.receive) == b""
            assert shaking.recv(10) == b""
            shaking.close()
            idle.close()
            with pytest.raises(TransportError, match="cannot connect"):
                await served.connect()

    run(test)


def test_stopping_lets_a_request_be_answered_first() -> None:
    asked = asyncio.Event()

    async def handler(connection: AttestedConnection) -> None:
        request = await connection.read()
        asked.set()
        await asyncio.sleep(0.2)
        await connection.write(request)
        assert await connection.read() == b""

    async def test() -> None:
        async with serving(handler) as served:
            channel = await served.connect()
            channel.send(b"before you go")
            await asked.wait()
            await served.server.stop(grace_s=20)
            assert await asyncio.to_thread(channel.receive) == b"before you go"
            assert await asyncio.to_thread(channel.receive) == b""
            channel.close()

    run(test)


def test_stopping_waits_no_longer_than_it_may() -> None:
    async def handler(connection: AttestedConnection) -> None:
        await connection.read()
        await asyncio.sleep(60)

    async def test() -> None:
        async with serving(handler) as served:
            channel = await served.connect()
            channel.send(b"take your time")
            await served.outcome()
            started = time.monotonic()
            await served.server.stop(grace_s=0.2)
            assert time.monotonic() - started < 10
            channel.close()

    run(test)
