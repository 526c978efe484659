"""Serves RATS-TLS on asyncio: judges peers on a bounded pool of threads, hands the accepted ones to a handler."""

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from verdictd.core.errors import ConfigError, TransportError
from verdictd.ratstls.attested_connection import READ_BYTES, AttestedConnection, ServerLimits, SocketStream
from verdictd.ratstls.channel import (
    ChannelFailed,
    Endpoint,
    Event,
    Failure,
    PeerAccepted,
    PeerRefused,
)

_LOGGER: Final = logging.getLogger(__name__)
_BACKLOG: Final = 512
_PAUSE_AFTER_ACCEPT_ERROR_S: Final = 0.1

EndpointFactory = Callable[[str], Endpoint]
"""Makes the endpoint for a new connection from this peer address. Called for each, so that identities can rotate."""
Handler = Callable[[AttestedConnection], Awaitable[None]]
"""Serves one accepted peer, and returns when the connection may be closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeOutcome:
    """What became of one handshake: accepted, refused, or failed for another reason; from whom; how long it took."""

    peer: str
    outcome: PeerAccepted | PeerRefused | ChannelFailed
    seconds: float


Observer = Callable[[HandshakeOutcome], None]


class RATSTLSServer:
    """A listening server. Made by `serve`; belongs to the event loop it was made in."""

    def __init__(
        self,
        listener: socket.socket,
        endpoint_factory: EndpointFactory,
        handler: Handler,
        observer: Observer,
        limits: ServerLimits,
    ) -> None:
        self._listener = listener
        self._endpoint_factory = endpoint_factory
        self._handler = handler
        self._observer = observer
        self._limits = limits
        self._slots = asyncio.Semaphore(limits.max_connections)
        self._pool = ThreadPoolExecutor(limits.handshake_threads, thread_name_prefix="handshake")
        self._served: dict[asyncio.Task[None], AttestedConnection | None] = {}
        self._accepting = asyncio.create_task(self._accept())

    @property
    def address(self) -> tuple[str, int]:
        """The host and port it listens on."""
        host, port = self._listener.getsockname()[:2]
        return host, port

    @property
    def connections(self) -> int:
        """How many connections there are now, handshaking ones included."""
        return len(self._served)

    async def stop(self, *, grace_s: float = 10.0) -> None:
        """Stop in good order: accept nothing more, drop handshakes, answer what was asked, then close.

        Args:
            grace_s: how long handlers may take to answer; connections that are idle are closed at once.
        """
        self._accepting.cancel()
        await asyncio.wait({self._accepting})
        self._listener.close()
        for task, connection in self._served.items():
            if connection is None:
                task.cancel()
            else:
                connection.stop()
        if self._served:
            await asyncio.wait(set(self._served), timeout=grace_s)
        remaining = set(self._served)
        for task in remaining:
            task.cancel()
        if remaining:
            await asyncio.wait(remaining)
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._slots.acquire()
            try:
                accepted, address = await loop.sock_accept(self._listener)
            except OSError as error:  # no file descriptor left, or the peer gave up while it queued
                self._slots.release()
                _LOGGER.warning("cannot accept a connection: %s", error)
                await asyncio.sleep(_PAUSE_AFTER_ACCEPT_ERROR_S)
                continue
            except asyncio.CancelledError:
                self._slots.release()
                raise
            task = asyncio.create_task(self._serve(accepted, _describe_address(address)))
            self._served[task] = None
            task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        del self._served[task]
        self._slots.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOGGER.error("serving a connection failed, this is a fault in the program", exc_info=error)

    async def _serve(self, accepted: socket.socket, peer: str) -> None:
        try:
            reader, writer = await asyncio.open_connection(sock=accepted, limit=READ_BYTES)
        except OSError as error:
            accepted.close()
            _LOGGER.info("connection from %s ended at once: %s", peer, error)
            return
        stream = SocketStream(reader, writer, self._limits)
        try:
            await self._serve_stream(stream, peer)
        except TransportError as error:
            _LOGGER.info("connection from %s ended: %s", peer, error)
        finally:
            stream.abandon()

    async def _serve_stream(self, stream: SocketStream, peer: str) -> None:
        started = time.monotonic()
        endpoint = self._endpoint_factory(peer)
        outcome, events = await self._shake_hands(endpoint, stream)
        self._observer(HandshakeOutcome(peer=peer, outcome=outcome, seconds=time.monotonic() - started))
        if not isinstance(outcome, PeerAccepted):
            await stream.part()
            return
        connection = AttestedConnection(endpoint, stream, self._limits, peer=peer, accepted=outcome, events=events)
        task = asyncio.current_task()
        assert task is not None
        self._served[task] = connection
        await self._handler(connection)
        await connection.close()

    async def _shake_hands(
        self, endpoint: Endpoint, stream: SocketStream
    ) -> tuple[PeerAccepted | PeerRefused | ChannelFailed, tuple[Event, ...]]:
        """Return what became of the handshake, and the events that came with it."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._limits.handshake_timeout_s):
                events = endpoint.start()
                while True:
                    await stream.write(endpoint.bytes_to_send())
                    match events:
                        case (PeerAccepted() | PeerRefused() | ChannelFailed() as outcome, *rest):
                            return outcome, tuple(rest)
                    data = await stream.read()
                    events = (
                        await loop.run_in_executor(self._pool, endpoint.receive, data)
                        if data
                        else endpoint.receive_eof()
                    )
        except TimeoutError:  # a judgement may still be going on in its thread: the endpoint must not be touched again
            message = f"the handshake was not complete after {self._limits.handshake_timeout_s:g} seconds"
            return ChannelFailed(failure=Failure.TIMEOUT, message=message), ()
        except TransportError as error:
            return ChannelFailed(failure=Failure.CUT_OFF, message=str(error)), ()


async def serve(
    host: str,
    port: int,
    *,
    endpoint_factory: EndpointFactory,
    handler: Handler,
    observer: Observer,
    limits: ServerLimits | None = None,
) -> RATSTLSServer:
    """Listen, and serve in the background until `RATSTLSServer.stop`.

    Args:
        host: an address or name of this machine.
        port: a port, 0 for any that is free.
        endpoint_factory: makes the endpoint of each new connection; its judge runs on a thread of the pool.
        handler: serves one accepted peer. A `TransportError` it lets through ends its connection quietly.
        observer: told what became of each handshake, in the event loop.
        limits: bounds; the defaults where ``None``.

    Raises:
        ConfigError: it is not possible to listen there.
    """
    try:
        family, _, _, _, address = (
            await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        )[0]
        listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"cannot listen on {host} port {port}: {error}", remedy="name a free address of this machine with --listen"
        ) from error
    listener.settimeout(0)
    return RATSTLSServer(listener, endpoint_factory, handler, observer, limits or ServerLimits())


def _describe_address(address: tuple[str, int]) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
