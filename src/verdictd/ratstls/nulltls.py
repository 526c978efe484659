"""`nulltls`: a channel without TLS, bytes in the clear. Nobody is asked for evidence, and anyone can listen or lie.

For debugging, and used only where the operator named it.
"""

from verdictd.ratstls.channel import (
    MAX_RECORD_BYTES,
    NEXT_STATES,
    SENDING_STATES,
    ChannelState,
    DataReceived,
    Event,
    PeerAccepted,
    PeerClosed,
)


class NullTLSEndpoint:
    """One side of a connection that protects nothing: open from the start, with no verdict on the peer."""

    def __init__(self) -> None:
        self._state = ChannelState.NEW
        self._outgoing = bytearray()

    @property
    def state(self) -> ChannelState:
        """Where the channel stands."""
        return self._state

    @property
    def may_judge(self) -> bool:
        """Nobody is judged."""
        return False

    def start(self) -> tuple[Event, ...]:
        """Open the channel: whoever is there is not attested."""
        self._move_to(ChannelState.OPEN)
        return (PeerAccepted(verdict=None, protocol="nulltls"),)

    def receive(self, data: bytes) -> tuple[Event, ...]:
        """Take bytes from the network; they are the application's as they stand."""
        if self._state is not ChannelState.OPEN:
            return ()
        return tuple(
            DataReceived(data[start : start + MAX_RECORD_BYTES]) for start in range(0, len(data), MAX_RECORD_BYTES)
        )

    def receive_eof(self) -> tuple[Event, ...]:
        """Take the news that the network has no more bytes, which is how a peer of this channel says so."""
        if self._state is not ChannelState.OPEN:
            return ()
        self._move_to(ChannelState.PEER_CLOSED)
        return (PeerClosed(clean=True),)

    def bytes_to_send(self) -> bytes:
        """Return, once, what has to be sent now."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def send(self, data: bytes) -> None:
        """Send application data. RuntimeError where the state is not one of `SENDING_STATES`."""
        if self._state not in SENDING_STATES:
            raise RuntimeError(f"cannot send, the channel is {self._state}")
        self._outgoing += data

    def close(self) -> None:
        """End the channel."""
        if ChannelState.CLOSED in NEXT_STATES[self._state]:
            self._move_to(ChannelState.CLOSED)

    def _move_to(self, state: ChannelState) -> None:
        if state not in NEXT_STATES[self._state]:
            raise RuntimeError(f"a channel that is {self._state} cannot become {state}")
        self._state = state
