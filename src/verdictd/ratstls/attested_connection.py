"""A served connection for asyncio: an endpoint with its socket, as a handler sees it."""

import asyncio
from collections import deque
from dataclasses import replace
from typing import Final

from verdictd.core.errors import LimitExceededError, TransportError
from verdictd.ratstls.channel import (
    MAX_RECORD_BYTES,
    SENDING_STATES,
    ChannelFailed,
    DataReceived,
    Endpoint,
    Event,
    PeerAccepted,
    PeerClosed,
    PeerVerdict,
)
from verdictd.ratstls.limits import ServerLimits
from verdictd.ratstls.socket_stream import SocketStream

_WRITTEN_AT_ONCE: Final = 4 * MAX_RECORD_BYTES
"""What of a long answer is encrypted before its peer has taken what came before: it may take nothing for a while."""


class AttestedConnection:
    """A connection whose peer was accepted, for the handler that serves it. For one task at a time.

    Attributes:
        peer: the peer's address, for the operator.
        attested: whether the peer proved by evidence what it is.
        verdict: the verdict on the peer, without the checks behind it, which would be held for as long as the
            connection; ``None`` where it was not asked to prove anything.
        protocol: e.g. ``TLSv1.3`` or ``nulltls``.
    """

    __slots__ = (
        "_bytes",
        "_ended",
        "_endpoint",
        "_failure",
        "_limits",
        "_peer_has_ended",
        "_received",
        "_silent_bytes",
        "_stream",
        "_waiting",
        "attested",
        "peer",
        "protocol",
        "verdict",
    )

    def __init__(
        self,
        endpoint: Endpoint,
        stream: SocketStream,
        limits: ServerLimits,
        *,
        peer: str,
        accepted: PeerAccepted,
        events: tuple[Event, ...],
    ) -> None:
        self.peer = peer
        verdict = accepted.verdict
        self.attested = verdict is not None and verdict.result is not None
        self.verdict: PeerVerdict | None = None if verdict is None else replace(verdict, result=None)
        self.protocol = accepted.protocol
        self._endpoint = endpoint
        self._stream = stream
        self._bytes = 0
        self._silent_bytes = 0
        self._limits = limits
        self._received: deque[bytes] = deque()
        self._failure: ChannelFailed | None = None
        self._ended = False
        self._waiting = False
        self._peer_has_ended = False
        self._take(events)

    async def read(self) -> bytes:
        """Return what came next, as it came in one TLS record; nothing where the peer will send no more.

        Raises:
            TransportError: the channel failed, or no data came within the idle timeout.
            LimitExceededError: the peer sent more than it may.
        """
        if not self._received and not self._ended:
            await self._wait_for_data()
        if self._received:
            return self._received.popleft()
        if self._failure is not None:
            raise TransportError(self._failure.message, remedy=self._failure.remedy)
        return b""

    async def _wait_for_data(self) -> None:
        """Wait until there is some, or there will be none. Bytes that bring no data do not put the end off."""
        try:
            async with asyncio.timeout(self._limits.idle_timeout_s):
                while not self._received and not self._ended:
                    await self._receive()
        except TimeoutError as error:
            self._ended = True
            raise TransportError(
                f"the peer sent no data for {self._limits.idle_timeout_s:g} seconds",
                remedy="raise --idle-timeout if it has to keep connections for so long",
            ) from error

    async def _receive(self) -> None:
        self._waiting = True
        try:
            data = await self._stream.read()
        finally:
            self._waiting = False
        self._take(self._endpoint.receive(data) if data else self._endpoint.receive_eof())
        self._count(len(data))
        if answer := self._endpoint.bytes_to_send():
            await self._stream.write(answer)

    def _count(self, size: int) -> None:
        """Count what the peer sent; what brings no data too, as it costs us as much."""
        self._bytes += size
        self._silent_bytes = 0 if self._received else self._silent_bytes + size
        if self._bytes > self._limits.max_connection_bytes:
            self._refuse_more("on one connection", self._bytes, self._limits.max_connection_bytes, "connection")
        if self._silent_bytes > self._limits.max_silent_bytes:
            self._refuse_more("without any data in it", self._silent_bytes, self._limits.max_silent_bytes, "silent")

    def _refuse_more(self, what: str, found: int, limit: int, name: str) -> None:
        self._ended = True
        self._received.clear()
        raise LimitExceededError(
            f"the peer sent {found} bytes {what}, the limit is {limit}",
            remedy=f"raise --max-{name}-bytes if it needs more",
        )

    async def write(self, data: bytes) -> None:
        """Send an answer whole: in full TLS records but for the last, which tells peers where it ends.

        Raises:
            TransportError: the peer is gone or does not take it in time.
        """
        if self._endpoint.state not in SENDING_STATES:
            raise TransportError("the peer is gone, it cannot be answered")
        if len(data) <= _WRITTEN_AT_ONCE:
            self._endpoint.send(data)
            await self._stream.write(self._endpoint.bytes_to_send())
            return
        by = asyncio.get_running_loop().time() + self._limits.write_timeout_s
        for start in range(0, len(data), _WRITTEN_AT_ONCE):
            self._endpoint.send(data[start : start + _WRITTEN_AT_ONCE])
            await self._stream.write(self._endpoint.bytes_to_send(), by=by)

    async def close(self) -> None:
        """End the connection in good order."""
        self._ended = True
        self._endpoint.close()
        self._stream.write_now(self._endpoint.bytes_to_send())
        if self._peer_has_ended:  # nothing of it can be on its way, that would make our last words a reset
            self._stream.abandon()
        else:
            await self._stream.part()

    def stop(self) -> None:
        """Let the present request be answered, and read no further one."""
        self._ended = True
        if self._waiting:
            self._endpoint.close()
            self._stream.write_now(self._endpoint.bytes_to_send())
            self._stream.end_reading()

    def _take(self, events: tuple[Event, ...]) -> None:
        for event in events:
            match event:
                case DataReceived(data=data):
                    self._received.append(data)
                case PeerClosed():
                    self._ended = self._peer_has_ended = True
                case ChannelFailed():
                    self._failure = event
                    self._ended = True
                case _:
                    raise RuntimeError(f"an open channel reported {event}")
