"""A TLS 1.3 connection after its handshake: records in, events and records out. The server's side.

OpenSSL keeps 46 KiB for each connection that it holds, most of it for a handshake that is over. So a connection whose
peer was accepted is carried on here (docs/adr/0006-records-after-the-handshake.md). What may still come in TLS 1.3 is
little: data, alerts and new keys. Anything else ends the connection.

Spec:
    RFC 8446, 4.6.3, 5, 6.
"""

from typing import Final

from verdictd.core.errors import AuthenticityError
from verdictd.ratstls.alerts import explain_alert
from verdictd.ratstls.channel import (
    MAX_RECORD_BYTES,
    NEXT_STATES,
    SENDING_STATES,
    ChannelFailed,
    ChannelState,
    DataReceived,
    Event,
    Failure,
    PeerClosed,
    Role,
)
from verdictd.ratstls.record_protection import (
    APPLICATION_DATA,
    HEADER_BYTES,
    MAX_RECORDS_OF_A_KEY,
    TAG_BYTES,
    TrafficKey,
)

_ALERT, _HANDSHAKE = 21, 22
_MAX_CIPHERTEXT_BYTES: Final = MAX_RECORD_BYTES + 256
_FATAL, _WARNING = 2, 1
_CLOSE_NOTIFY, _USER_CANCELED = 0, 90
_UNEXPECTED_MESSAGE, _BAD_RECORD_MAC, _RECORD_OVERFLOW = 10, 20, 22
_ILLEGAL_PARAMETER, _DECODE_ERROR = 47, 50
_KEY_UPDATE: Final = 24
_KEY_UPDATE_HEADER: Final = b"\x18\x00\x00\x01"
_NOT_REQUESTED, _REQUESTED = 0, 1
_MAX_RECEIVED_RECORDS: Final = 2**24
"""Under one key. How many a client may send so is its own to know, OpenSSL's never change their key: RFC 8446, 5.5."""
_MAX_KEY_UPDATES: Final = 32
"""In a row, without data: each costs us much more than it costs the peer."""


class _RecordError(Exception):
    """What a peer must not send; ends the connection with an alert."""

    def __init__(self, alert: int, message: str) -> None:
        super().__init__(message)
        self.alert = alert


class RecordLayer:
    """An open channel, an `Endpoint` as in `verdictd.ratstls.channel`. What does not verify is not used."""

    __slots__ = (
        "_attestation_id",
        "_held",
        "_key_updates",
        "_message",
        "_outgoing",
        "_receiving",
        "_sending",
        "_state",
    )

    def __init__(self, *, receiving: TrafficKey, sending: TrafficKey, attestation_id: str | None) -> None:
        """Carry a connection on.

        Args:
            receiving: the key of the client's records, for the first one that OpenSSL was not given.
            sending: the key of the server's records, for the first one that OpenSSL did not send. Nothing else may
                hold this key any more.
            attestation_id: of the certificate that this side presented, for messages.
        """
        self._receiving: TrafficKey | None = receiving
        self._sending: TrafficKey | None = sending
        self._state: ChannelState = ChannelState.OPEN
        self._held = b""
        self._message = b""
        self._outgoing = b""
        self._key_updates = 0
        self._attestation_id = attestation_id

    @property
    def state(self) -> ChannelState:
        """Where the channel stands: open at first."""
        return self._state

    @property
    def may_judge(self) -> bool:
        """Never: the peer was judged."""
        return False

    def start(self) -> tuple[Event, ...]:
        """Nothing is left to begin."""
        return ()

    def receive(self, data: bytes) -> tuple[Event, ...]:
        """Take bytes from the network; return the data of each whole record."""
        data = self._held + data
        start = 0
        events: list[Event] = []
        try:
            while self._is_open() and (end := _find_end(data, start)) is not None:
                events += self._take_record(data[start : start + HEADER_BYTES], data[start + HEADER_BYTES : end])
                start = end
        except _RecordError as error:
            events.append(self._fail(error))
        self._held = data[start:] if self._is_open() else b""
        return tuple(events)

    def receive_eof(self) -> tuple[Event, ...]:
        """Take the news that the network has no more bytes."""
        if self._state is not ChannelState.OPEN:
            return ()
        self._end(ChannelState.CLOSED)
        return (PeerClosed(clean=False),)

    def bytes_to_send(self) -> bytes:
        """Return, once, what has to be sent now."""
        outgoing, self._outgoing = self._outgoing, b""
        return outgoing

    def send(self, data: bytes) -> None:
        """Send application data, in full records but for the last.

        Raises:
            RuntimeError: the channel is in none of `SENDING_STATES`.
        """
        if self._state not in SENDING_STATES:
            raise RuntimeError(f"cannot send, the channel is {self._state}")
        records = [
            self._seal(APPLICATION_DATA, data[start : start + MAX_RECORD_BYTES])
            for start in range(0, len(data), MAX_RECORD_BYTES)
        ]
        self._outgoing = b"".join((self._outgoing, *records))

    def close(self) -> None:
        """Tell the peer that nothing more will come, and end the channel."""
        if self._state in SENDING_STATES:
            self._outgoing += self._seal(_ALERT, bytes((_WARNING, _CLOSE_NOTIFY)))
        if ChannelState.CLOSED in NEXT_STATES[self._state]:
            self._end(ChannelState.CLOSED)

    def _is_open(self) -> bool:
        return self._state is ChannelState.OPEN

    def _take_record(self, header: bytes, body: bytes) -> list[Event]:
        if header[0] != APPLICATION_DATA:  # all records are protected by now, and look like this
            raise _RecordError(_UNEXPECTED_MESSAGE, f"the client sent a record of type {header[0]} after its handshake")
        content_type, content = self._open(header, body)
        if self._message and content_type != _HANDSHAKE:
            raise _RecordError(_UNEXPECTED_MESSAGE, "something else stands within a handshake message of the client's")
        if content_type == APPLICATION_DATA:
            self._key_updates = 0 if content else self._key_updates
            return [DataReceived(content)] if content else []
        if content_type == _ALERT:
            return self._take_alert(content)
        if content_type == _HANDSHAKE:
            self._take_handshake(content)
            return []
        raise _RecordError(_UNEXPECTED_MESSAGE, f"the client sent content of type {content_type} after its handshake")

    def _open(self, header: bytes, body: bytes) -> tuple[int, bytes]:
        """Open a record: the type of its content, and its content."""
        assert self._receiving is not None
        if self._receiving.sequence >= _MAX_RECEIVED_RECORDS:
            raise _RecordError(_UNEXPECTED_MESSAGE, "the client has used one key for too many records")
        if len(body) < TAG_BYTES:
            raise _RecordError(_BAD_RECORD_MAC, "the client sent a record that is too short to verify")
        try:
            inner = self._receiving.open(header, body)
        except AuthenticityError:
            raise _RecordError(_BAD_RECORD_MAC, "a record of the client's does not verify") from None
        if len(inner) > MAX_RECORD_BYTES + 1:
            raise _RecordError(_RECORD_OVERFLOW, f"a record of the client's holds {len(inner) - 1} bytes")
        unpadded = inner.rstrip(b"\0")
        if not unpadded:
            raise _RecordError(_UNEXPECTED_MESSAGE, "the client sent a record without a type of its content")
        return unpadded[-1], unpadded[:-1]

    def _take_alert(self, content: bytes) -> list[Event]:
        if len(content) != 2:  # an empty one has an alert of its own, RFC 8446, 5.4
            alert = _DECODE_ERROR if content else _UNEXPECTED_MESSAGE
            raise _RecordError(alert, f"an alert of the client's has {len(content)} bytes, expected 2")
        if content[1] == _USER_CANCELED:  # a close_notify follows
            return []
        if content[1] == _CLOSE_NOTIFY:
            self._state = ChannelState.PEER_CLOSED
            self._receiving = None
            return [PeerClosed(clean=True)]
        self._end(ChannelState.FAILED)
        return [explain_alert(content[1], role=Role.SERVER, attestation_id=self._attestation_id)]

    def _take_handshake(self, content: bytes) -> None:
        """Take a part of a message. The only one that a client may send now is KeyUpdate, which has one byte."""
        message = self._message + content
        if not content or not _KEY_UPDATE_HEADER.startswith(message[: len(_KEY_UPDATE_HEADER)]):
            kind = message[0] if message else "none"
            is_update = kind == _KEY_UPDATE and bool(content)
            alert = _DECODE_ERROR if is_update else _UNEXPECTED_MESSAGE
            raise _RecordError(alert, f"the client sent a handshake message of type {kind} that it must not send")
        if len(message) <= len(_KEY_UPDATE_HEADER):
            self._message = message
            return
        request, rest = message[len(_KEY_UPDATE_HEADER)], message[len(_KEY_UPDATE_HEADER) + 1 :]
        if rest:
            raise _RecordError(_UNEXPECTED_MESSAGE, "something follows the client's KeyUpdate under the old key")
        if request not in {_NOT_REQUESTED, _REQUESTED}:
            raise _RecordError(_ILLEGAL_PARAMETER, f"the client's KeyUpdate requests {request}")
        self._message = b""
        self._update_keys(is_requested=request == _REQUESTED)

    def _update_keys(self, *, is_requested: bool) -> None:
        self._key_updates += 1
        if self._key_updates > _MAX_KEY_UPDATES:
            raise _RecordError(_UNEXPECTED_MESSAGE, f"the client sent {self._key_updates} KeyUpdates without data")
        assert self._receiving is not None
        self._receiving = self._receiving.follow()
        if is_requested:
            self._outgoing += self._renew_sending()

    def _seal(self, content_type: int, content: bytes) -> bytes:
        assert self._sending is not None
        is_nearly_worn = self._sending.sequence + 2 >= MAX_RECORDS_OF_A_KEY
        renewal = self._renew_sending() if is_nearly_worn else b""
        return renewal + self._sending.seal(content_type, content)

    def _renew_sending(self) -> bytes:
        """Go on to the next key, having told the peer so with the last record of this one."""
        assert self._sending is not None
        record = self._sending.seal(_HANDSHAKE, _KEY_UPDATE_HEADER + bytes((_NOT_REQUESTED,)))
        self._sending = self._sending.follow()
        return record

    def _fail(self, error: _RecordError) -> ChannelFailed:
        self._outgoing += self._seal(_ALERT, bytes((_FATAL, error.alert)))
        self._end(ChannelState.FAILED)
        return ChannelFailed(failure=Failure.PROTOCOL, message=f"TLS failed: {error}")

    def _end(self, state: ChannelState) -> None:
        """Nothing is sent or received any more: the keys are let go."""
        self._state = state
        self._receiving = self._sending = None
        self._held = self._message = b""


def _find_end(data: bytes, start: int) -> int | None:
    """Where the record that begins there ends; ``None`` while it is not whole."""
    if len(data) < start + HEADER_BYTES:
        return None
    size = int.from_bytes(data[start + 3 : start + HEADER_BYTES], "big")
    if size > _MAX_CIPHERTEXT_BYTES:
        raise _RecordError(_RECORD_OVERFLOW, f"the client sent a record of {size} bytes")
    end = start + HEADER_BYTES + size
    return end if end <= len(data) else None
