"""Records after the handshake: what may come, what may not, and the alert that each of the latter is answered with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdictd.ratstls import record_layer, record_protection
from verdictd.ratstls.channel import (
    ChannelFailed,
    ChannelState,
    DataReceived,
    Event,
    Failure,
    PeerClosed,
)
from verdictd.ratstls.record_layer import RecordLayer
from verdictd.ratstls.record_protection import CIPHER_SUITES, TrafficKey

SUITE = CIPHER_SUITES["TLS_AES_256_GCM_SHA384"]
CLIENT_SECRET, SERVER_SECRET = b"c" * 48, b"s" * 48
ALERT, HANDSHAKE, DATA = 21, 22, 23
UPDATE = b"\x18\x00\x00\x01\x00"
UPDATE_BOTH = b"\x18\x00\x00\x01\x01"


class Client:
    """The other side, with keys of its own, that may send whatever it likes."""

    def __init__(self) -> None:
        self.sealing = TrafficKey(SUITE, CLIENT_SECRET)
        self.opening = TrafficKey(SUITE, SERVER_SECRET)

    def seal(self, kind: int, content: bytes, padding: int = 0) -> bytes:
        if len(content) > 16384:  # which no honest side could seal
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(record_protection, "MAX_RECORD_BYTES", len(content))
                return self.sealing.seal(kind, content)
        if not padding:
            return self.sealing.seal(kind, content)
        return self.sealing.seal(0, content + bytes((kind,)) + bytes(padding - 1))

    def data(self, content: bytes) -> bytes:
        return self.seal(DATA, content)

    def open(self, records: bytes) -> list[tuple[int, bytes]]:
        found = []
        while records:
            end = 5 + int.from_bytes(records[3:5], "big")
            inner = self.opening.open(records[:5], records[5:end])
            found.append((inner[-1], inner[:-1]))
            if inner[-1] == HANDSHAKE:
                assert inner[:-1] == UPDATE
                self.opening = self.opening.follow()
            records = records[end:]
        return found


def make() -> tuple[RecordLayer, Client]:
    layer = RecordLayer(
        receiving=TrafficKey(SUITE, CLIENT_SECRET),
        sending=TrafficKey(SUITE, SERVER_SECRET),
        attestation_id="01234567",
    )
    return layer, Client()


def refused(layer: RecordLayer, client: Client, records: bytes, alert: int) -> str:
    """Insist that these records end the connection, with this alert; return what is said of it."""
    *before, failed = layer.receive(records)
    assert not any(isinstance(event, ChannelFailed) for event in before)
    assert isinstance(failed, ChannelFailed)
    assert failed.failure is Failure.PROTOCOL
    assert layer.state is ChannelState.FAILED
    assert client.open(layer.bytes_to_send())[-1] == (ALERT, bytes((2, alert)))
    assert layer.receive(client.data(b"more")) == ()
    assert layer.bytes_to_send() == b""
    with pytest.raises(RuntimeError, match="cannot send"):
        layer.send(b"more")
    return failed.message


def test_data_goes_both_ways() -> None:
    layer, client = make()
    assert layer.receive(client.data(b"question")) == (DataReceived(b"question"),)
    layer.send(b"answer")
    assert client.open(layer.bytes_to_send()) == [(DATA, b"answer")]
    assert layer.bytes_to_send() == b""


def test_long_answers_go_in_full_records_but_for_the_last() -> None:
    layer, client = make()
    layer.send(b"a" * 40_000)
    layer.send(b"b")
    assert [len(content) for _, content in client.open(layer.bytes_to_send())] == [16384, 16384, 7232, 1]


def test_nothing_to_send_is_no_record() -> None:
    layer, _ = make()
    layer.send(b"")
    assert layer.bytes_to_send() == b""


@pytest.mark.parametrize("size", [1, 2, 5, 7, 100])
def test_records_may_come_in_pieces_and_together(size: int) -> None:
    layer, client = make()
    records = b"".join(client.data(b"%d" % number) for number in range(9)) + client.seal(ALERT, b"\x01\x00")
    events: list[Event] = []
    for start in range(0, len(records), size):
        events += layer.receive(records[start : start + size])
    assert events == [*(DataReceived(b"%d" % number) for number in range(9)), PeerClosed(clean=True)]


@given(st.lists(st.integers(1, 60), max_size=20), st.lists(st.binary(max_size=40), max_size=6))
def test_however_they_come_the_same_is_received(cuts: list[int], contents: list[bytes]) -> None:
    layer, client = make()
    records = b"".join(client.data(content) for content in contents)
    events: list[Event] = []
    for cut in [*cuts, len(records)]:
        piece, records = records[:cut], records[cut:]
        events += layer.receive(piece)
    assert events == [DataReceived(content) for content in contents if content]


def test_padding_is_taken_off() -> None:
    layer, client = make()
    assert layer.receive(client.seal(DATA, b"padded\0", padding=500)) == (DataReceived(b"padded\0"),)


def test_the_largest_record_is_taken() -> None:
    layer, client = make()
    assert layer.receive(client.data(b"x" * 16384)) == (DataReceived(b"x" * 16384),)


def test_records_without_data_say_nothing() -> None:
    layer, client = make()
    assert layer.receive(client.data(b"") + client.seal(DATA, b"", padding=9)) == ()
    assert layer.state is ChannelState.OPEN


def test_a_client_that_says_it_sends_no_more_can_still_be_answered() -> None:
    layer, client = make()
    assert layer.receive(client.seal(ALERT, b"\x01\x00") + client.data(b"ignored")) == (PeerClosed(clean=True),)
    assert layer.state is ChannelState.PEER_CLOSED
    assert layer.receive(client.data(b"ignored too")) == ()
    layer.send(b"answer")
    layer.close()
    assert client.open(layer.bytes_to_send()) == [(DATA, b"answer"), (ALERT, b"\x01\x00")]
    assert layer.receive_eof() == ()


def test_an_end_without_a_word_may_have_cut_something_off() -> None:
    layer, client = make()
    layer.receive(client.data(b"whole") + client.data(b"cut")[:-1])
    assert layer.receive_eof() == (PeerClosed(clean=False),)
    assert layer.state is ChannelState.CLOSED
    assert layer.receive_eof() == ()


def test_closing_says_so_once() -> None:
    layer, client = make()
    layer.close()
    layer.close()
    assert client.open(layer.bytes_to_send()) == [(ALERT, b"\x01\x00")]
    assert layer.state is ChannelState.CLOSED
    assert layer.receive(client.data(b"late")) == ()
    with pytest.raises(RuntimeError, match="cannot send"):
        layer.send(b"late")


def test_a_user_that_cancels_is_waited_for() -> None:
    layer, client = make()
    assert layer.receive(client.seal(ALERT, b"\x01\x5a")) == ()
    assert layer.receive(client.seal(ALERT, b"\x01\x00")) == (PeerClosed(clean=True),)


@pytest.mark.parametrize("level", [1, 2])
def test_any_other_alert_ends_the_connection_with_its_meaning(level: int) -> None:
    layer, client = make()
    (failed,) = layer.receive(client.seal(ALERT, bytes((level, 48))))
    assert isinstance(failed, ChannelFailed)
    assert failed.message == "the client refused our certificate (attestation id 01234567, TLS alert unknown_ca)"
    assert layer.state is ChannelState.FAILED
    assert layer.bytes_to_send() == b""


@pytest.mark.parametrize(("content", "alert"), [(b"", 10), (b"\x01", 50), (b"\x01\x00\x00", 50)])
def test_an_alert_of_another_length_is_refused(content: bytes, alert: int) -> None:
    layer, client = make()
    refused(layer, client, client.seal(ALERT, content), alert)


def test_a_record_that_was_altered_repeated_reordered_or_left_out_is_refused() -> None:
    def records(client: Client) -> list[bytes]:
        return [client.data(b"first"), client.data(b"second"), client.data(b"third")]

    for order in ([0, 0], [1], [0, 2], [2, 1, 0], [0, 1, 1]):
        layer, client = make()
        sent = records(client)
        message = refused(layer, client, b"".join(sent[number] for number in order), 20)
        assert "does not verify" in message


@given(st.integers(0, 8 * 40 - 1))
def test_of_a_record_with_a_flipped_bit_nothing_is_received(bit: int) -> None:
    layer, client = make()
    record = bytearray(client.data(b"data of the client"))
    record[bit // 8] ^= 1 << bit % 8
    events = layer.receive(bytes(record))
    assert not any(isinstance(event, DataReceived) for event in events)
    assert layer.state is not ChannelState.OPEN or bit // 8 in {3, 4}, "only a length can have us wait for more"


@pytest.mark.parametrize("kind", [0x14, 0x15, 0x16, 0x18, 0x00, 0xFF])
def test_a_record_of_another_kind_is_refused(kind: int) -> None:
    layer, client = make()
    assert f"type {kind}" in refused(layer, client, bytes((kind,)) + client.data(b"x")[1:], 10)


def test_a_change_of_cipher_after_the_handshake_is_refused() -> None:
    layer, client = make()
    refused(layer, client, b"\x14\x03\x03\x00\x01\x01", 10)


@pytest.mark.parametrize("kind", [1, 20, 24, 255])
def test_content_of_another_type_is_refused(kind: int) -> None:
    layer, client = make()
    assert f"type {kind}" in refused(layer, client, client.seal(kind, b"x"), 10)


@pytest.mark.parametrize("size", [16384 + 257, 0xFFFF])
def test_a_record_that_is_too_long_is_refused_by_its_header(size: int) -> None:
    layer, client = make()
    refused(layer, client, b"\x17\x03\x03" + size.to_bytes(2, "big"), 22)


def test_a_record_that_holds_too_much_is_refused() -> None:
    layer, client = make()
    assert "16385 bytes" in refused(layer, client, client.data(b"x" * 16385), 22)


@pytest.mark.parametrize("size", [0, 1, 15, 16])
def test_a_record_that_is_too_short_is_refused(size: int) -> None:
    layer, client = make()
    refused(layer, client, b"\x17\x03\x03" + size.to_bytes(2, "big") + bytes(size), 20)


def test_padding_alone_is_refused() -> None:
    layer, client = make()
    refused(layer, client, client.seal(0, bytes(20)), 10)


def test_a_record_that_verifies_and_holds_nothing_at_all_is_refused() -> None:
    layer, client = make()
    header = b"\x17\x03\x03\x00\x10"
    sealed = client.sealing._cipher().encrypt(client.sealing._next_nonce(), b"", header)
    assert len(sealed) == 16
    refused(layer, client, header + sealed, 10)


def test_a_client_may_change_its_key() -> None:
    layer, client = make()
    for number in range(3):
        update = client.seal(HANDSHAKE, UPDATE)
        client.sealing = client.sealing.follow()
        assert layer.receive(update + client.data(b"%d" % number)) == (DataReceived(b"%d" % number),)
    assert layer.bytes_to_send() == b""


def test_a_client_may_ask_for_another_key_of_ours() -> None:
    layer, client = make()
    assert layer.receive(client.seal(HANDSHAKE, UPDATE_BOTH)) == ()
    client.sealing = client.sealing.follow()
    layer.send(b"under the new key")
    before = client.opening
    assert client.open(layer.bytes_to_send()) == [(HANDSHAKE, UPDATE), (DATA, b"under the new key")]
    assert client.opening is not before
    assert layer.receive(client.data(b"and so is this")) == (DataReceived(b"and so is this"),)


def test_a_change_of_key_may_come_in_parts() -> None:
    layer, client = make()
    for byte in UPDATE:
        assert layer.receive(client.seal(HANDSHAKE, bytes((byte,)))) == ()
    client.sealing = client.sealing.follow()
    assert layer.receive(client.data(b"x")) == (DataReceived(b"x"),)


def test_the_old_key_opens_nothing_after_it_was_changed() -> None:
    layer, client = make()
    refused(layer, client, client.seal(HANDSHAKE, UPDATE) + client.data(b"under the old key"), 20)


@pytest.mark.parametrize(
    ("content", "alert"),
    [
        (b"", 10),
        (b"\x18\x00\x00\x01\x02", 47),
        (b"\x18\x00\x00\x02\x00\x00", 50),
        (b"\x18\x00\x00\x00", 50),
        (b"\x18\x01\x00\x01\x00", 50),
        (UPDATE + UPDATE, 10),
        (UPDATE + b"\0", 10),
        (b"\x01\x00\x00\x00", 10),
        (b"\x04\x00\x00\x00", 10),
        (b"\x0b\x00\x00\x00", 10),
        (b"\x14\x00\x00\x30" + bytes(48), 10),
    ],
)
def test_other_handshake_messages_are_refused(content: bytes, alert: int) -> None:
    layer, client = make()
    refused(layer, client, client.seal(HANDSHAKE, content), alert)


def test_data_within_a_handshake_message_is_refused() -> None:
    layer, client = make()
    refused(layer, client, client.seal(HANDSHAKE, UPDATE[:2]) + client.data(b"x"), 10)


def test_changes_of_key_without_data_are_bounded() -> None:
    layer, client = make()

    def change(times: int) -> bytes:
        records = b""
        for _ in range(times):
            records += client.seal(HANDSHAKE, UPDATE)
            client.sealing = client.sealing.follow()
        return records

    assert layer.receive(change(32) + client.data(b"x")) == (DataReceived(b"x"),)
    assert "33 KeyUpdates without data" in refused(layer, client, change(33), 10)


def test_our_key_is_changed_before_it_is_worn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_protection, "MAX_RECORDS_OF_A_KEY", 5)
    monkeypatch.setattr(record_layer, "MAX_RECORDS_OF_A_KEY", 5)
    layer, client = make()
    for number in range(20):
        layer.send(b"%d" % number)
    found = client.open(layer.bytes_to_send())
    assert [content for kind, content in found if kind == DATA] == [b"%d" % number for number in range(20)]
    assert [kind for kind, _ in found].count(HANDSHAKE) >= 4
    layer.close()
    assert client.open(layer.bytes_to_send())[-1] == (ALERT, b"\x01\x00")


def test_a_client_that_never_changes_its_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, client = make()
    records = [client.data(b"%d" % number) for number in range(4)]
    monkeypatch.setattr(record_layer, "_MAX_RECEIVED_RECORDS", 3)
    for record in records[:3]:
        layer.receive(record)
    assert "too many records" in refused(layer, client, records[3], 10)


def test_nothing_is_to_begin_or_to_judge() -> None:
    layer, _ = make()
    assert layer.start() == ()
    assert not layer.may_judge


@given(st.lists(st.one_of(st.binary(max_size=80), st.integers(0, 255)), max_size=8))
def test_any_bytes_and_any_sealed_content_give_events(items: list[bytes | int]) -> None:
    layer, client = make()
    for item in items:
        data = item if isinstance(item, bytes) else client.seal(item, UPDATE[: item % 6])
        for event in layer.receive(data):
            assert isinstance(event, DataReceived | PeerClosed | ChannelFailed)
        layer.bytes_to_send()
    layer.close()
