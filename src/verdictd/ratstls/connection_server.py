"""Serves connections that were accepted: judges their peers on a bounded pool of threads, then calls a handler."""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from verdictd.core.errors import LimitExceededError, TransportError
from verdictd.ratstls.attested_connection import AttestedConnection
from verdictd.ratstls.channel import (
    ChannelFailed,
    Endpoint,
    Event,
    Failure,
    PeerAccepted,
    PeerRefused,
)
from verdictd.ratstls.limits import ServerLimits
from verdictd.ratstls.records import RecordCollector
from verdictd.ratstls.socket_stream import SocketStream

_LOGGER: Final = logging.getLogger(__name__)

EndpointFactory = Callable[[str], Endpoint]
"""Makes the endpoint for a new connection from this peer address. Called for each, so that identities can rotate."""
Handler = Callable[[AttestedConnection], Awaitable[None]]
"""Serves one accepted peer, and returns when the connection may be closed."""
OnEnd = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeOutcome:
    """What became of one handshake: accepted, refused, or failed for another reason; from whom; how long it took."""

    peer: str
    outcome: PeerAccepted | PeerRefused | ChannelFailed
    seconds: float


Observer = Callable[[HandshakeOutcome], None]


class ConnectionServer:
    """Serves what it is given by `take`, until `stop`. Belongs to the event loop it was made in."""

    def __init__(
        self,
        *,
        endpoint_factory: EndpointFactory,
        handler: Handler,
        observer: Observer,
        limits: ServerLimits,
    ) -> None:
        """Make a server of no connections yet.

        Args:
            endpoint_factory: makes the endpoint of each new connection; its judge runs on a thread of the pool.
            handler: serves one accepted peer. Errors of ours that it lets through end its connection quietly.
            observer: told what became of each handshake, in the event loop.
            limits: bounds on each connection; how many there are is not for this class to say.
        """
        self._endpoint_factory = endpoint_factory
        self._handler = handler
        self._observer = observer
        self._limits = limits
        self._pool = ThreadPoolExecutor(limits.handshake_threads, thread_name_prefix="handshake")
        self._served: dict[asyncio.Task[None], AttestedConnection | None] = {}

    @property
    def connections(self) -> int:
        """How many connections there are now, handshaking ones included."""
        return len(self._served)

    def take(self, accepted: socket.socket, peer: str, on_end: OnEnd | None = None) -> None:
        """Serve a connection in the background.

        Args:
            accepted: its socket, which does not block, and belongs to the server from now on.
            peer: the peer's address; no two connections that are open have the same.
            on_end: called once, when the connection is over.
        """
        task = asyncio.create_task(self._serve(accepted, peer))
        self._served[task] = None
        task.add_done_callback(lambda task: self._forget(task, on_end))

    async def stop(self, *, grace_s: float = 10.0) -> None:
        """Stop in good order: drop handshakes, answer what was asked, then close.

        Args:
            grace_s: how long handlers may take to answer; connections that are idle are closed at once.
        """
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

    def _forget(self, task: asyncio.Task[None], on_end: OnEnd | None) -> None:
        del self._served[task]
        if on_end is not None:
            on_end()
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOGGER.error("serving a connection failed, this is a fault in the program", exc_info=error)

    async def _serve(self, accepted: socket.socket, peer: str) -> None:
        stream = SocketStream(accepted, self._limits)
        try:
            await self._serve_stream(stream, peer)
        except (TransportError, LimitExceededError) as error:
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
        del endpoint, outcome, events
        task = asyncio.current_task()
        assert task is not None
        self._served[task] = connection
        await self._handler(connection)
        await connection.close()

    async def _shake_hands(
        self, endpoint: Endpoint, stream: SocketStream
    ) -> tuple[PeerAccepted | PeerRefused | ChannelFailed, tuple[Event, ...]]:
        """Return what became of the handshake, and the events that came with it."""
        received, collector = 0, RecordCollector()
        try:
            async with asyncio.timeout(self._limits.handshake_timeout_s):
                events = endpoint.start()
                while True:
                    await stream.write(endpoint.bytes_to_send())
                    match events:
                        case (PeerAccepted() | PeerRefused() | ChannelFailed() as outcome, *rest):
                            return outcome, (*rest, *endpoint.receive(collector.release()))
                    data = await stream.read()
                    received += len(data)
                    if received > self._limits.max_handshake_bytes:
                        return self._refuse_long_handshake(received), ()
                    events = await self._step(endpoint, collector, data)
        except TimeoutError:  # a judgement may still be going on in its thread: the endpoint must not be touched again
            return self._refuse_slow_handshake(received), ()
        except TransportError as error:
            return ChannelFailed(failure=Failure.CUT_OFF, message=str(error)), ()

    async def _step(self, endpoint: Endpoint, collector: RecordCollector, data: bytes) -> tuple[Event, ...]:
        """Give the endpoint what came, or the news that nothing will, and return its events.

        Where the peer may be judged, which may take its time, that is done on a thread, and only with whole records:
        a peer that sends byte by byte occupies none.
        """
        if not data:
            return endpoint.receive_eof()
        if not endpoint.may_judge:
            return endpoint.receive(collector.release() + data)
        records = collector.collect(data)
        return await self._receive_on_thread(endpoint, records) if records else ()

    async def _receive_on_thread(self, endpoint: Endpoint, data: bytes) -> tuple[Event, ...]:
        """As `run_in_executor` does, in half of its steps."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[tuple[Event, ...]] = loop.create_future()

        def receive() -> None:
            try:
                events = endpoint.receive(data)
            except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
                _tell(loop, done, error=error)
            else:
                _tell(loop, done, events=events)

        submitted = self._pool.submit(receive)
        try:
            return await done
        finally:
            submitted.cancel()  # where its time is up before its turn came, it shall not take up a thread any more

    def _refuse_slow_handshake(self, received: int) -> ChannelFailed:
        return ChannelFailed(
            failure=Failure.TIMEOUT,
            message=(
                f"the handshake was not complete after {self._limits.handshake_timeout_s:g} seconds, in which the peer"
                f" sent {received} bytes"
            ),
            remedy="raise --handshake-timeout if peers or collateral are so slow",
        )

    def _refuse_long_handshake(self, received: int) -> ChannelFailed:
        return ChannelFailed(
            failure=Failure.PROTOCOL,
            message=(
                f"the peer sent {received} bytes without completing its handshake,"
                f" the limit is {self._limits.max_handshake_bytes}"
            ),
            remedy="raise --max-handshake-bytes if its evidence is so large",
        )


def _tell(
    loop: asyncio.AbstractEventLoop,
    done: "asyncio.Future[tuple[Event, ...]]",
    *,
    events: tuple[Event, ...] = (),
    error: BaseException | None = None,
) -> None:
    """Give the loop what a thread found out. Nobody may be waiting for it any more, and the loop may have ended."""

    def settle() -> None:
        if done.done():
            return
        if error is None:
            done.set_result(events)
        else:
            done.set_exception(error)

    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(settle)
