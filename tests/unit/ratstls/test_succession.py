"""The point at which a server's connection goes over from OpenSSL: when it does, and when it must not."""

import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
from OpenSSL import SSL

from tests.unit.ratstls.peers import CLIENT, SERVER, RawPeer, RecordingJudge, converse, endpoint, make_context, raw
from verdictd.ratstls import endpoint as endpoint_module
from verdictd.ratstls import server_endpoint, succession
from verdictd.ratstls.certificate_builder import Identity
from verdictd.ratstls.channel import ChannelState, DataReceived, Event, PeerAccepted, PeerClosed, PeerRefused, Role
from verdictd.ratstls.endpoint import RATSTLSEndpoint
from verdictd.ratstls.record_layer import RecordLayer
from verdictd.ratstls.record_protection import CIPHER_SUITES
from verdictd.ratstls.server_endpoint import ServerEndpoint
from verdictd.ratstls.succession import TrafficSecrets
from verdictd.ratstls.tls_context import RATSTLSContext


def make(judge: RecordingJudge | None = None, *, mutual: bool = True) -> ServerEndpoint:
    made = ServerEndpoint(RATSTLSContext(Role.SERVER, SERVER, mutual=mutual), judge or RecordingJudge())
    made.start()
    return made


def client(identity: Identity = CLIENT, **options: object) -> RawPeer:
    return raw(Role.CLIENT, identity, **options)


def has_gone_over(made: ServerEndpoint) -> bool:
    return isinstance(made._present, RecordLayer)


def say(made: ServerEndpoint, peer: RawPeer, data: bytes) -> list[Event]:
    peer.connection.sendall(data)
    return list(made.receive(peer.outgoing()))


@pytest.mark.parametrize("suite", CIPHER_SUITES)
def test_it_goes_over_with_every_suite_and_data_goes_both_ways(suite: str) -> None:
    context = make_context(Role.CLIENT, [CLIENT.certificate_der], CLIENT.private_key)
    context.set_tls13_ciphersuites(suite.encode())
    made, peer = make(), RawPeer(Role.CLIENT, context=context)
    (accepted,) = converse(made, peer)
    assert isinstance(accepted, PeerAccepted)
    assert accepted.protocol == "TLSv1.3"
    assert peer.connection.get_cipher_name() == suite
    assert has_gone_over(made)
    for size in (1, 5, 16384, 16385, 100_000):
        events = say(made, peer, b"q" * size)
        assert b"".join(event.data for event in events if isinstance(event, DataReceived)) == b"q" * size
        peer.received = b""
        made.send(b"a" * size)
        peer.step(made.bytes_to_send())
        assert peer.received == b"a" * size
    made.close()
    peer.step(made.bytes_to_send())
    assert peer.error == "close_notify"


def test_without_asking_for_a_certificate_it_goes_over_as_well() -> None:
    made, peer = make(mutual=False), RawPeer(Role.CLIENT)
    converse(made, peer)
    assert has_gone_over(made)
    assert say(made, peer, b"x") == [DataReceived(b"x")]


@pytest.mark.parametrize("size", [1, 3, 5, 6, 100, 10_000])
def test_data_may_come_together_with_the_end_of_the_handshake_in_any_pieces(size: int) -> None:
    made, peer = make(), client()
    made.receive(peer.step())
    flight = peer.step(made.bytes_to_send())
    assert peer.done
    peer.connection.sendall(b"early")
    peer.connection.sendall(b"data" * 6000)
    peer.connection.shutdown()
    flight += peer.outgoing()
    events: list[Event] = []
    for start in range(0, len(flight), size):
        events += made.receive(flight[start : start + size])
    assert isinstance(events[0], PeerAccepted)
    assert b"".join(event.data for event in events if isinstance(event, DataReceived)) == b"early" + b"data" * 6000
    assert events[-1] == PeerClosed(clean=True)
    made.send(b"answer")
    peer.step(made.bytes_to_send())
    assert peer.received == b"answer"
    assert has_gone_over(made)


def test_the_first_number_is_that_after_the_tickets_of_openssl() -> None:
    made, peer = make(), client()
    converse(made, peer)
    layer = made._present
    assert isinstance(layer, RecordLayer)
    assert layer._sending is not None
    assert layer._sending.sequence == 2
    assert layer._receiving is not None
    assert layer._receiving.sequence == 0


def test_openssl_is_let_go_in_the_same_step() -> None:
    made, peer = make(), client()
    made.receive(peer.step())
    present = made._present
    assert isinstance(present, RATSTLSEndpoint)
    held = weakref.ref(present._connection)
    del present
    made.receive(peer.step(made.bytes_to_send()))
    assert has_gone_over(made)
    gc.collect()
    assert held() is None


def test_what_was_handed_over_sends_and_receives_nothing_more() -> None:
    made, peer = make(), client()
    made.receive(peer.step())
    present = made._present
    assert isinstance(present, RATSTLSEndpoint)
    made.receive(peer.step(made.bytes_to_send()))
    assert present.state is ChannelState.CLOSED
    assert present.receive(b"x") == ()
    with pytest.raises(RuntimeError, match="cannot send"):
        present.send(b"x")
    present.close()
    assert present.bytes_to_send() == b""


def test_a_refused_peer_never_gets_there() -> None:
    made, peer = make(RecordingJudge(allowed=False)), client()
    events = converse(made, peer)
    assert isinstance(events[0], PeerRefused)
    assert not has_gone_over(made)
    assert isinstance(made._present, RATSTLSEndpoint)
    with pytest.raises(RuntimeError, match="handed over"):
        made._present.hand_over()


def test_a_peer_with_a_chain_is_refused_before_it_goes_over() -> None:
    made = make()
    peer = RawPeer(Role.CLIENT, [CLIENT.certificate_der, SERVER.certificate_der], CLIENT.private_key)
    events = converse(made, peer)
    assert isinstance(events[-1], PeerRefused)
    assert not has_gone_over(made)


def test_tls_1_2_stays_with_openssl() -> None:
    made, peer = make(), client(version=SSL.TLS1_2_VERSION)
    (accepted,) = converse(made, peer)
    assert isinstance(accepted, PeerAccepted)
    assert accepted.protocol == "TLSv1.2"
    assert not has_gone_over(made)
    assert say(made, peer, b"x") == [DataReceived(b"x")]
    made.send(b"y")
    peer.step(made.bytes_to_send())
    assert peer.received == b"y"


def test_clients_have_no_secrets_noted_and_are_not_handed_over() -> None:
    ours, peer = endpoint(Role.CLIENT), raw(Role.SERVER)
    converse(ours, peer)
    assert ours.state is ChannelState.OPEN
    assert ours._gate.secrets._secrets == {}
    with pytest.raises(RuntimeError, match="server"):
        ours.hand_over()


UNEXPECTED = {
    "a suite that is not known": lambda patch: patch.setattr(succession, "CIPHER_SUITES", {}),
    "data that was not read": lambda patch: patch.setattr(SSL.Connection, "pending", lambda _: 1),
    "no secrets": lambda patch: patch.setattr(TrafficSecrets, "note", lambda *_: None),
    "one secret": lambda patch: patch.setattr(succession, "_CLIENT", b"ANOTHER_LABEL"),
    "more records than are sent": lambda patch: patch.setattr(succession, "_MAX_EMITTED_RECORDS", 1),
    "another key": lambda patch: patch.setattr(
        TrafficSecrets, "note", lambda self, line: self._secrets.update({line.partition(b" ")[0]: b"x" * 48})
    ),
}


@pytest.mark.parametrize("name", UNEXPECTED)
def test_where_anything_is_not_as_expected_openssl_goes_on(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    UNEXPECTED[name](monkeypatch)
    made, peer = make(), client()
    (accepted,) = converse(made, peer)
    assert isinstance(accepted, PeerAccepted)
    assert not has_gone_over(made)
    assert say(made, peer, b"question") == [DataReceived(b"question")]
    made.send(b"answer")
    peer.step(made.bytes_to_send())
    assert peer.received == b"answer"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: b"",
        lambda emitted: emitted[:-1],
        lambda emitted: emitted + b"\x17",
        lambda emitted: b"\x16" + emitted[1:],
        lambda emitted: emitted[:-1] + bytes([emitted[-1] ^ 1]),
        lambda emitted: emitted + emitted,
    ],
)
def test_records_that_do_not_open_prove_no_count(
    spoil: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:

    def carry_on(
        connection: SSL.Connection, secrets: TrafficSecrets, emitted: bytes, identifier: str | None
    ) -> RecordLayer | None:
        return succession.carry_on(connection, secrets, spoil(emitted), identifier)

    monkeypatch.setattr(endpoint_module, "carry_on", carry_on)
    made, peer = make(), client()
    converse(made, peer)
    assert not has_gone_over(made)
    assert say(made, peer, b"question") == [DataReceived(b"question")]


def test_who_was_given_records_since_it_opened_gets_no_key_to_number_more() -> None:
    ours, peer = endpoint(Role.SERVER), client()
    ours.receive(peer.step())
    ours.receive(peer.step(ours.bytes_to_send()))
    assert ours.state is ChannelState.OPEN
    peer.step(ours.bytes_to_send())  # the tickets, which have the first two numbers
    assert ours.hand_over() == (None, b"")
    ours.send(b"by OpenSSL")
    peer.step(ours.bytes_to_send())
    assert peer.received == b"by OpenSSL"


def test_what_openssl_has_to_send_yet_is_counted_and_goes_first() -> None:
    ours, peer = endpoint(Role.SERVER), client()
    ours.receive(peer.step())
    ours.receive(peer.step(ours.bytes_to_send()))
    ours.send(b"by OpenSSL, ")
    successor, emitted = ours.hand_over()
    assert successor is not None
    successor.send(b"and by its successor")
    peer.step(emitted + successor.bytes_to_send())
    assert peer.received == b"by OpenSSL, and by its successor"


def end_refused() -> RATSTLSEndpoint:
    ours = endpoint(Role.SERVER, RecordingJudge(allowed=False))
    converse(ours, client())
    assert ours.state is ChannelState.REFUSED
    return ours


def end_with_a_chain() -> RATSTLSEndpoint:
    ours = endpoint(Role.SERVER)
    converse(ours, RawPeer(Role.CLIENT, [CLIENT.certificate_der, SERVER.certificate_der], CLIENT.private_key))
    assert ours.state is ChannelState.REFUSED
    return ours


def begin(peer: RawPeer) -> RATSTLSEndpoint:
    ours = endpoint(Role.SERVER)
    ours.receive(peer.step())
    assert ours._gate.secrets._secrets, "or there is nothing to let go"
    return ours


def end_by_an_alert() -> RATSTLSEndpoint:
    ours = begin(client())
    ours.receive(b"\x15\x03\x03\x00\x02\x02\x28")
    assert ours.state is ChannelState.FAILED
    return ours


def end_cut_off() -> RATSTLSEndpoint:
    ours = begin(client())
    ours.receive_eof()
    return ours


def end_closed() -> RATSTLSEndpoint:
    ours = begin(client())
    ours.close()
    return ours


def end_kept_by_openssl() -> RATSTLSEndpoint:
    ours = endpoint(Role.SERVER)
    converse(ours, client())
    assert ours.state is ChannelState.OPEN
    return ours


@pytest.mark.parametrize(
    "end", [end_refused, end_with_a_chain, end_by_an_alert, end_cut_off, end_closed, end_kept_by_openssl]
)
def test_the_secrets_of_who_does_not_go_over_are_let_go(end: Callable[[], RATSTLSEndpoint]) -> None:
    assert end()._gate.secrets._secrets == {}


def test_no_text_shows_the_secrets() -> None:
    secrets = begin(client())._gate.secrets
    for secret in secrets._secrets.values():
        for text in (repr(secrets), str(secrets)):
            assert secret.hex() not in text
            assert repr(secret)[2:-1] not in text


def test_the_environment_cannot_have_the_secrets_written(tmp_path: Path) -> None:
    program = (
        "from tests.unit.ratstls.test_succession import client, converse, has_gone_over, make\n"
        "made = make()\n"
        "converse(made, client())\n"
        "assert has_gone_over(made)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "SSLKEYLOGFILE": str(tmp_path / "secrets")}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)
    assert list(tmp_path.iterdir()) == []


def with_extension(hello: bytes, kind: int, value: bytes) -> bytes:
    """A ClientHello with one more extension."""
    extension = kind.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value
    body = hello[9:]
    start = 35 + body[34]
    start += 2 + int.from_bytes(body[start : start + 2], "big")
    start += 1 + body[start]
    extensions = body[start + 2 :] + extension
    body = body[:start] + len(extensions).to_bytes(2, "big") + extensions
    return hello[:3] + (len(body) + 4).to_bytes(2, "big") + hello[5:6] + len(body).to_bytes(3, "big") + body


@pytest.mark.parametrize(("kind", "takes"), [(1, False), (5555, True)])
def test_whether_a_client_takes_full_records_is_seen_however_its_hello_comes(kind: int, *, takes: bool) -> None:
    hello = with_extension(client().step(), kind, b"\x01")
    for size in (1, 4, 6, len(hello)):
        made = make()
        for start in range(0, len(hello), size):
            assert made.receive(hello[start : start + size]) == ()
        assert made.state is ChannelState.HANDSHAKING
        assert made._takes_full_records is takes
        assert made._hello is None


def test_a_client_that_does_not_take_full_records_stays_with_openssl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_endpoint, "takes_full_records", lambda _: False)
    made, peer = make(), client()
    converse(made, peer)
    assert not has_gone_over(made)
    assert isinstance(made._present, RATSTLSEndpoint)
    assert made._present._gate.secrets._secrets == {}
    assert say(made, peer, b"x") == [DataReceived(b"x")]


def test_a_replayed_ticket_leads_to_a_handshake_and_a_judgement() -> None:
    judge = RecordingJudge()
    made, peer = make(judge), client()
    converse(made, peer)
    made.send(b"so that the tickets were read")
    peer.step(made.bytes_to_send())
    again = RawPeer(Role.CLIENT, again=peer)
    second = ServerEndpoint(RATSTLSContext(Role.SERVER, SERVER, mutual=True), judge)
    second.start()
    converse(second, again)
    assert len(judge.asked) == 2
    assert has_gone_over(second)


def kinds_of(records: bytes) -> list[int]:
    kinds = []
    while records:
        kinds.append(records[0])
        records = records[5 + int.from_bytes(records[3:5], "big") :]
    return kinds


def test_records_that_are_not_protected_are_given_to_openssl_together(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = 0
    take = RATSTLSEndpoint.receive

    def count(self: RATSTLSEndpoint, data: bytes) -> tuple[Event, ...]:
        nonlocal steps
        steps += 1
        return take(self, data)

    monkeypatch.setattr(RATSTLSEndpoint, "receive", count)
    made, peer = make(), client()
    made.receive(peer.step())
    flight = peer.step(made.bytes_to_send())
    kinds = kinds_of(flight)
    assert kinds[0] == 0x14, "OpenSSL begins with a change of cipher, which old middleboxes want"
    steps = 0
    events = made.receive(flight)
    assert isinstance(events[0], PeerAccepted)
    assert has_gone_over(made)
    assert steps == kinds.count(0x17), "one for each that is protected"

    flood = make()
    flood.receive(RawPeer(Role.CLIENT).step())
    steps = 0
    flood.receive(b"\x16\x03\x03\x00\x01\x0b" * 10_000)
    assert steps == 1
