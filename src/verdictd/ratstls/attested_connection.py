"""A served connection for asyncio: an endpoint with its socket, as a handler sees it."""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final

from verdictd.core.errors import TransportError
from verdictd.ratstls.channel import (
    SENDING_STATES,
    ChannelFailed,
    DataReceived,
    Endpoint,
    Event,
    PeerAccepted,
    PeerClosed,
    PeerVerdict,
)

READ_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """Bounds on what all peers together, and each of them, may take of the server.

    Attributes:
        max_connections: connections served at once; further ones wait to be taken from the listen queue.
        handshake_threads: handshake steps at once, each of which may wait for collateral.
        handshake_timeout_s: for a handshake as a whole, judgement included.
        idle_timeout_s: for which an accepted peer may send nothing.
        write_timeout_s: in which a peer has to take what is sent to it.
        farewell_timeout_s: for which a connection is kept so that its peer can read the last words, which would be
            lost in a reset if the peer was still sending.
    """

    max_connections: int = 1024
    handshake_threads: int = 16
    handshake_timeout_s: float = 30.0
    idle_timeout_s: float = 300.0
    write_timeout_s: float = 30.0
    farewell_timeout_s: float = 2.0


class SocketStream:
    """A connected socket of asyncio's, with deadlines."""

    __slots__ = ("_limits", "_reader", "_writer")

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limits: ServerLimits) -> None:
        self._reader = reader
        self._writer = writer
        self._limits = limits

    async def read(self) -> bytes:
        """Return what has come, nothing at the end. Never raises for a peer that is gone."""
        try:
            return await self._reader.read(READ_BYTES)
        except ConnectionError:
            return b""

    async def write(self, data: bytes) -> None:
        """Send all of it.

        Raises:
            TransportError: the peer is gone or does not take it in time.
        """
        if not data:
            return
        try:
            async with asyncio.timeout(self._limits.write_timeout_s):
                self._writer.write(data)
                await self._writer.drain()
        except TimeoutError as error:
            raise TransportError(f"the peer took nothing for {self._limits.write_timeout_s:g} seconds") from error
        except ConnectionError as error:
            raise TransportError(f"the peer is gone: {error}") from error

    def write_now(self, data: bytes) -> None:
        """Hand over a few last bytes without waiting for anything."""
        if data and not self._writer.is_closing():
            self._writer.write(data)

    async def part(self) -> None:
        """Stop sending, let the peer read what was sent, and close. What still comes is thrown away unread."""
        try:
            async with asyncio.timeout(self._limits.farewell_timeout_s):
                self._writer.write_eof()
                while await self.read():
                    pass
        except OSError:  # the peer is gone, or its time is up (TimeoutError is one as well)
            pass
        finally:
            self.abandon()

    def close_after_writing(self) -> None:
        """Close without waiting, but not before what was handed over is on its way. A pending `read` then ends."""
        self._writer.close()

    def abandon(self) -> None:
        """Close at once."""
        self._writer.transport.abort()


class AttestedConnection:
    """A connection whose peer was accepted, for the handler that serves it. For one task at a time.

    Attributes:
        peer: the peer's address, for the operator.
        verdict: the verdict on the peer; ``None`` where it was not asked to prove anything (`attested` is then false).
        protocol: e.g. ``TLSv1.3`` or ``nulltls``.
    """

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
        self.verdict: PeerVerdict | None = accepted.verdict
        self.protocol = accepted.protocol
        self._endpoint = endpoint
        self._stream = stream
        self._limits = limits
        self._received: deque[bytes] = deque()
        self._failure: ChannelFailed | None = None
        self._ended = False
        self._waiting = False
        self._take(events)

    @property
    def attested(self) -> bool:
        """Whether the peer proved by evidence what it is. `verdict.result` says what."""
        return self.verdict is not None and self.verdict.result is not None

    async def read(self) -> bytes:
        """Return what came next, as it came in one TLS record; nothing where the peer will send no more.

        Raises:
            TransportError: the channel failed, or nothing came within the idle timeout.
        """
        while not self._received and not self._ended:
            self._waiting = True
            try:
                async with asyncio.timeout(self._limits.idle_timeout_s):
                    data = await self._stream.read()
            except TimeoutError as error:
                self._ended = True
                raise TransportError(f"the peer sent nothing for {self._limits.idle_timeout_s:g} seconds") from error
            finally:
                self._waiting = False
            self._take(self._endpoint.receive(data) if data else self._endpoint.receive_eof())
            await self._stream.write(self._endpoint.bytes_to_send())
        if self._received:
            return self._received.popleft()
        if self._failure is not None:
            raise TransportError(self._failure.message, remedy=self._failure.remedy)
        return b""

    async def write(self, data: bytes) -> None:
        """Send an answer whole: in full TLS records but for the last, which tells peers where it ends.

        Raises:
            TransportError: the peer is gone or does not take it in time.
        """
        if self._endpoint.state not in SENDING_STATES:
            raise TransportError("the peer is gone, it cannot be answered")
        self._endpoint.send(data)
        await self._stream.write(self._endpoint.bytes_to_send())

    async def close(self) -> None:
        """End the connection in good order."""
        self._ended = True
        self._endpoint.close()
        self._stream.write_now(self._endpoint.bytes_to_send())
        await self._stream.part()

    def stop(self) -> None:
        """Let the present request be answered, and read no further one."""
        self._ended = True
        if self._waiting:
            self._endpoint.close()
            self._stream.write_now(self._endpoint.bytes_to_send())
            self._stream.close_after_writing()

    def _take(self, events: tuple[Event, ...]) -> None:
        for event in events:
            match event:
                case DataReceived(data=data):
                    self._received.append(data)
                case PeerClosed():
                    self._ended = True
                case ChannelFailed():
                    self._failure = event
                    self._ended = True
                case _:
                    raise RuntimeError(f"an open channel reported {event}")
