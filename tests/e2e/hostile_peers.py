"""Hostile peers by the hundred, all driven by one event loop: each takes up its position, and holds it."""

import asyncio
import contextlib
import os
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Final, Self

from OpenSSL import SSL

from tests.unit.ratstls.peers import RawPeer, make_context
from verdictd.ratstls.channel import Role

_READ_BYTES: Final = 64 * 1024
_SMALLEST_SEGMENT: Final = 536
_SMALL_BUFFER: Final = 4096
_BLOCKED_S: Final = 0.3
"""After which a peer that takes nothing any more is held to be waiting for its own answers to be read."""
_VERSION_REQUESTS: Final = b'{"command":"version"}' * 200
_POSITION_S: Final = 60.0
_RESET: Final = struct.pack("ii", 1, 0)


class Line:
    """One hostile connection."""

    def __init__(self, number: int, address: tuple[str, int], *, context: SSL.Context | None = None) -> None:
        self.number = number
        self.address = address
        self.socket = socket.socket(socket.AF_INET)
        self.socket.setblocking(False)
        self.context = context
        self.in_position = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def connect(self, *, is_narrow: bool = False) -> None:
        """Connect; where narrow, so that little fits between the two programs while nobody reads."""
        if is_narrow:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SMALLEST_SEGMENT)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SMALL_BUFFER)
        await self._loop.sock_connect(self.socket, self.address)

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self.socket, data)

    async def receive(self) -> bytes:
        """Return what came; nothing where the server is gone, in whatever manner."""
        try:
            return await self._loop.sock_recv(self.socket, _READ_BYTES)
        except OSError:
            return b""

    def tls(self) -> RawPeer:
        """A TLS client on memory buffers, with the certificate of this line."""
        return RawPeer(Role.CLIENT, context=self.context or make_context(Role.CLIENT))

    async def shake_hands(self) -> RawPeer:
        """Complete the handshake as this side sees it."""
        peer = self.tls()
        await self.send(peer.step())
        while not peer.done and not peer.error and (data := await self.receive()):
            await self.send(peer.step(data))
        return peer

    async def hold(self) -> None:
        """Be in position, and stay."""
        self.in_position.set()
        await asyncio.Event().wait()

    def reset(self) -> None:
        """Leave without any form."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.socket.close()


Attack = Callable[[Line], Awaitable[None]]


async def be_silent(line: Line) -> None:
    await line.connect()
    await line.hold()


async def send_half_a_hello(line: Line) -> None:
    await line.connect()
    hello = line.tls().step()
    await line.send(hello[: len(hello) // 2])
    await line.hold()


async def send_a_byte_per_second(line: Line) -> None:
    await line.connect()
    hello = line.tls().step()
    for byte in hello:
        await line.send(bytes((byte,)))
        line.in_position.set()
        await asyncio.sleep(1)


async def send_garbage(line: Line) -> None:
    """Every other one begins as TLS does. None reads."""
    await line.connect()
    beginning = b"\x16\x03\x01\x40\x00" if line.number % 2 else b""
    with contextlib.suppress(OSError):
        await line.send(beginning + os.urandom(_READ_BYTES))
    await line.hold()


async def show_a_huge_certificate(line: Line) -> None:
    await line.connect()
    with contextlib.suppress(OSError):
        peer = await line.shake_hands()
        while data := await line.receive():
            peer.step(data)
    await line.hold()


async def never_read_the_handshake(line: Line) -> None:
    await line.connect(is_narrow=True)
    await line.send(line.tls().step())
    await line.hold()


async def never_read_an_answer(line: Line) -> None:
    """Needs the certificate of an accepted peer."""
    await line.connect(is_narrow=True)
    peer = await line.shake_hands()
    assert peer.done, peer.error
    with contextlib.suppress(TimeoutError):
        while True:
            peer.connection.send(_VERSION_REQUESTS)
            async with asyncio.timeout(_BLOCKED_S):
                await line.send(peer.outgoing())
    await line.hold()


async def close_at_a_step(line: Line) -> None:
    """Close after one of the steps of a handshake, in good order or by a reset. Needs an accepted certificate."""
    leave = line.socket.close if line.number % 2 else line.reset
    step = line.number // 2 % 6
    await line.connect()
    peer = line.tls()
    hello = peer.step()
    if step >= 1:
        await line.send(hello[:100])
    if step >= 2:
        await line.send(hello[100:])
    if step >= 3:
        answer = peer.step(await line.receive())
        while not answer:
            answer = peer.step(await line.receive())
        if step >= 4:
            await line.send(answer[:1000])
        if step >= 5:
            await line.send(answer[1000:])
    leave()
    line.in_position.set()


class Swarm:
    """Hostile peers in an event loop on a thread of its own, so that a test can go on beside them."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._lines: dict[asyncio.Task[None], Line] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.withdraw()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def send_in(self, attack: Attack, count: int, *contexts: SSL.Context) -> "Future[None]":
        """Have so many begin, with these TLS contexts in turns; the future is done when all are in position."""
        return self._run(self._send_in(attack, count, contexts))

    def withdraw(self) -> None:
        """Close all connections."""
        self._run(self._withdraw()).result(_POSITION_S)

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> "Future[None]":
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    async def _send_in(self, attack: Attack, count: int, contexts: tuple[SSL.Context, ...]) -> None:
        lines, tasks = [], []
        for number in range(count):
            context = contexts[number % len(contexts)] if contexts else None
            line = Line(number, self._address, context=context)
            lines.append(line)
            task = self._loop.create_task(_keep(attack, line))
            tasks.append(task)
            self._lines[task] = line
        async with asyncio.timeout(_POSITION_S):
            for line in lines:
                await line.in_position.wait()
        for task in tasks:
            if task.done():
                task.result()

    async def _withdraw(self) -> None:
        for task in self._lines:
            task.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)
        for line in self._lines.values():
            line.socket.close()
        self._lines.clear()


async def _keep(attack: Attack, line: Line) -> None:
    """Whoever loses its connection keeps its place: the server may turn any of them away."""
    try:
        with contextlib.suppress(OSError):
            await attack(line)
    finally:
        line.in_position.set()
