"""The point at which a server's connection goes over from OpenSSL: when it does, and when it must not."""

import gc
import weakref

import pytest
from OpenSSL import SSL

from tests.unit.ratstls.peers import CLIENT, SERVER, RawPeer, RecordingJudge, converse, endpoint, make_context, raw
from verdictd.ratstls import succession
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
        made._present.hand_over(b"")


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
        ours.hand_over(b"")


UNEXPECTED = {
    "a suite that is not known": lambda patch: patch.setattr(succession, "CIPHER_SUITES", {}),
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
        lambda emitted: emitted[:-1],
        lambda emitted: emitted + b"\x17",
        lambda emitted: b"\x16" + emitted[1:],
        lambda emitted: emitted[:-1] + bytes([emitted[-1] ^ 1]),
        lambda emitted: emitted + emitted,
    ],
)
def test_records_that_do_not_open_prove_no_count(spoil: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(spoil)
    taken = RATSTLSEndpoint.hand_over
    monkeypatch.setattr(RATSTLSEndpoint, "hand_over", lambda self, emitted: taken(self, spoil(emitted)))
    made, peer = make(), client()
    converse(made, peer)
    assert not has_gone_over(made)
    assert say(made, peer, b"question") == [DataReceived(b"question")]


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
