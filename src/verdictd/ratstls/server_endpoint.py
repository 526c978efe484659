"""A server's side of a connection: OpenSSL's handshake, and then records without it. Without I/O."""

from typing import Final

from verdictd.ratstls.channel import ChannelState, Event, Judge
from verdictd.ratstls.client_hello import takes_full_records
from verdictd.ratstls.endpoint import RATSTLSEndpoint
from verdictd.ratstls.record_layer import RecordLayer
from verdictd.ratstls.tls_context import RATSTLSContext

_HEADER_BYTES: Final = 5
_PROTECTED: Final = 23


class ServerEndpoint:
    """The endpoint of a connection that a server accepted, see `verdictd.ratstls.channel.Endpoint`.

    OpenSSL is given no byte that follows the record which completes the handshake: what does is for its successor. With
    TLS 1.2, for clients that take only short records, and where the succession is not possible, OpenSSL goes on.
    """

    __slots__ = ("_header", "_hello", "_kind", "_left", "_outgoing", "_present", "_takes_full_records")

    def __init__(self, context: RATSTLSContext, judge: Judge) -> None:
        self._present: RATSTLSEndpoint | RecordLayer = RATSTLSEndpoint(context, judge)
        self._header = b""
        self._hello: bytearray | None = bytearray()
        self._kind = _PROTECTED
        self._left = 0
        self._outgoing = b""
        self._takes_full_records = False

    @property
    def state(self) -> ChannelState:
        """Where the channel stands."""
        return self._present.state

    @property
    def may_judge(self) -> bool:
        """Whether the peer is still to be judged."""
        return self._present.may_judge

    def start(self) -> tuple[Event, ...]:
        """Begin the handshake."""
        return self._present.start()

    def receive(self, data: bytes) -> tuple[Event, ...]:
        """Take bytes from the network; judge the peer when its certificate is among them."""
        events: list[Event] = []
        start = 0
        while start < len(data) and isinstance(self._present, RATSTLSEndpoint) and self._is_handshaking():
            end = self._find_end(data, start)
            while self._is_passed_over and end < len(data):
                end = self._find_end(data, end)
            self._look_at_hello(data[start:end])
            events += self._present.receive(data[start:end])
            start = end
            if self._present.state is ChannelState.OPEN:
                self._hand_over(self._present)
        return (*events, *self._present.receive(data[start:])) if start < len(data) else tuple(events)

    def receive_eof(self) -> tuple[Event, ...]:
        """Take the news that the network has no more bytes."""
        return self._present.receive_eof()

    def bytes_to_send(self) -> bytes:
        """Return, once, what has to be sent now."""
        outgoing, self._outgoing = self._outgoing, b""
        return outgoing + self._present.bytes_to_send()

    def send(self, data: bytes) -> None:
        """Send application data, in full TLS records but for the last. Raises as `RATSTLSEndpoint.send` does."""
        self._present.send(data)

    def close(self) -> None:
        """Tell the peer that nothing more will come, where the channel is open, and end it."""
        self._present.close()

    def _is_handshaking(self) -> bool:
        return self._present.state is ChannelState.HANDSHAKING

    def _find_end(self, data: bytes, start: int) -> int:
        """Where what may be given to OpenSSL at once ends: with the record, or with what is there of it."""
        if not self._left:
            wanted = _HEADER_BYTES - len(self._header)
            self._header += data[start : start + wanted]
            if len(self._header) < _HEADER_BYTES:
                return len(data)
            self._kind, body = self._header[0], int.from_bytes(self._header[3:], "big")
            end = start + wanted + body
            self._header = b""
            self._left = max(end - len(data), 0)
            return min(end, len(data))
        end = start + self._left
        self._left = max(end - len(data), 0)
        return min(end, len(data))

    @property
    def _is_passed_over(self) -> bool:
        """Whether a whole record was found that is not protected, and so cannot complete a handshake of TLS 1.3.

        Those are given to OpenSSL together with what follows: each time it is called costs more than a small record.
        """
        return self._hello is None and self._kind != _PROTECTED and not self._left and not self._header

    def _look_at_hello(self, piece: bytes) -> None:
        """Keep the first record until it is whole, and from then on only what follows from it."""
        if self._hello is None:
            return
        self._hello += piece
        if not self._header and not self._left:
            self._takes_full_records = takes_full_records(bytes(self._hello))
            self._hello = None

    def _hand_over(self, present: RATSTLSEndpoint) -> None:
        if self._takes_full_records:
            successor, self._outgoing = present.hand_over()
            self._present = successor or present
