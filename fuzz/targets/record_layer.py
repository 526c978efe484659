"""TLS 1.3 records after the handshake: any bytes, and records of the client's that hold any content."""

from typing import Final

from fuzz.parts import join, selector, take
from fuzz.target import FuzzTarget, check_sentence
from verdictd.ratstls.channel import ChannelFailed, ChannelState, DataReceived, PeerClosed
from verdictd.ratstls.record_layer import RecordLayer
from verdictd.ratstls.record_protection import CIPHER_SUITES, TrafficKey

_SUITE: Final = CIPHER_SUITES["TLS_AES_128_GCM_SHA256"]
_CLIENT, _SERVER = b"c" * 32, b"s" * 32
_SEALED: Final = 3
"""Of four parts of an input, three are sealed by the client's key as content of any type, one goes as it is."""


def check(data: bytes) -> None:
    """What is received is what was sealed as data, in its order; what is sent opens under the key, each number once."""
    layer = RecordLayer(
        receiving=TrafficKey(_SUITE, _CLIENT), sending=TrafficKey(_SUITE, _SERVER), attestation_id="01234567"
    )
    sealing, opening = TrafficKey(_SUITE, _CLIENT), TrafficKey(_SUITE, _SERVER)
    while data:
        part, data = take(data)
        choice, part = selector(part, _SEALED + 1)
        kind, content = selector(part, 256)
        record = sealing.seal(kind, content[:16384]) if choice < _SEALED else part
        events = layer.receive(record)
        for event in events:
            assert isinstance(event, DataReceived | PeerClosed | ChannelFailed)
            if isinstance(event, DataReceived):
                assert choice < _SEALED, "data that nobody sealed"
                assert event.data == (content[:16384] + bytes((kind,))).rstrip(b"\0")[:-1]
            if isinstance(event, ChannelFailed):
                check_sentence(event.message)
        if choice < _SEALED and layer.state is ChannelState.OPEN and _is_update(kind, content):
            sealing = sealing.follow()
        opening = _check_sent(layer.bytes_to_send(), opening)
    layer.close()
    _check_sent(layer.bytes_to_send(), opening)


def _is_update(kind: int, content: bytes) -> bool:
    whole = (content[:16384] + bytes((kind,))).rstrip(b"\0")
    return len(whole) == 6 and whole[-1] == 22 and whole[:4] == b"\x18\x00\x00\x01"


def _check_sent(sent: bytes, opening: TrafficKey) -> TrafficKey:
    while sent:
        end = 5 + int.from_bytes(sent[3:5], "big")
        if opening.open(sent[:5], sent[5:end])[-1] == 22:
            opening = opening.follow()
        sent = sent[end:]
    return opening


def _parts(*parts: bytes) -> bytes:
    return join(*parts, b"")


def seeds() -> dict[str, bytes]:
    update, wanted = b"\x00\x16\x18\x00\x00\x01\x00", b"\x00\x16\x18\x00\x00\x01\x01"
    return {
        "data": _parts(b"\x00\x17question", b"\x00\x17another", b"\x00\x15\x01\x00"),
        "updates": _parts(update, b"\x00\x17data", wanted, b"\x00\x17data"),
        "alert": _parts(b"\x00\x15\x02\x30"),
        "padding": _parts(b"\x00\x00data\x17\x00\x00"),
        "raw": _parts(b"\x03\x17\x03\x03\x00\x20" + bytes(32)),
        "plain": _parts(b"\x03\x15\x03\x03\x00\x02\x02\x28"),
    }


TARGET = FuzzTarget(
    name="record_layer",
    modules=("verdictd.ratstls.record_layer", "verdictd.ratstls.record_protection"),
    check=check,
    seeds=seeds,
    max_bytes=2048,
)
