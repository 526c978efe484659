"""A connected socket in an event loop, with deadlines, for very many that are idle.

Made of the loop's readiness callbacks alone: asyncio's own streams and transports take several times the memory and
processor time for each connection, and their buffers hide what a peer has made us hold.
"""

import asyncio
import socket
from typing import Final

from verdictd.core.errors import TransportError
from verdictd.ratstls.limits import ServerLimits

READ_BYTES: Final = 64 * 1024
"""What is read at a time. What comes while nobody reads stays with the operating system, which makes the peer wait."""
_READ_WITHOUT_PAUSE: Final = 2
"""How often in a row a peer is read from without letting others have their turn: one that sends faster than it is
answered would otherwise have the event loop to itself, and no deadline would ever come."""


class SocketStream:
    """One connection, for one task at a time. Owns its socket, which must not block."""

    __slots__ = ("_held", "_is_at_end", "_is_watching", "_limits", "_loop", "_reader", "_socket", "_unpaused")

    def __init__(self, connected: socket.socket, limits: ServerLimits) -> None:
        self._socket = connected
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._held = b""
        self._is_at_end = False
        self._is_watching = False
        self._unpaused = 0
        self._reader: asyncio.Future[bytes] | None = None

    async def read(self) -> bytes:
        """Return what has come, nothing at the end. Never raises for a peer that is gone."""
        self._unpaused += 1
        if self._unpaused > _READ_WITHOUT_PAUSE:
            self._unpaused = 0
            await asyncio.sleep(0)
        if self._held or self._is_at_end:
            held, self._held = self._held, b""
            return held
        if not self._is_watching:
            try:
                return self._socket.recv(READ_BYTES)  # it may be here already
            except (BlockingIOError, InterruptedError):
                pass
            except OSError:
                return b""
            self._loop.add_reader(self._socket, self._take)
            self._is_watching = True
        self._unpaused = 0
        self._reader = self._loop.create_future()
        return await self._reader

    async def write(self, data: bytes, *, by: float | None = None) -> None:
        """Send all of it.

        Args:
            data: what to send.
            by: the time of the event loop by which the peer has to take it, where it is a part of something longer.

        Raises:
            TransportError: the peer is gone or does not take it in time.
        """
        sent = self._send(data)
        if sent == len(data):
            return
        try:
            async with asyncio.timeout_at(self._loop.time() + self._limits.write_timeout_s if by is None else by):
                while sent < len(data):
                    await self._wait_until_writable()
                    sent += self._send(data[sent : sent + READ_BYTES])
        except TimeoutError as error:
            raise TransportError(
                f"the peer did not take what was sent to it within {self._limits.write_timeout_s:g} seconds",
                remedy="raise --write-timeout if it is so slow",
            ) from error

    def write_now(self, data: bytes) -> None:
        """Hand over a few last bytes without waiting for anything; what does not fit is lost."""
        try:
            self._send(data)
        except TransportError:
            return

    async def part(self) -> None:
        """Stop sending, let the peer read what was sent, and close. What still comes is thrown away unread."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(self._limits.farewell_timeout_s):
                while await self.read():
                    pass
        except OSError:  # the peer is gone, or its time is up (TimeoutError is one as well)
            pass
        finally:
            self.abandon()

    def end_reading(self) -> None:
        """Have a pending `read` return nothing."""
        try:
            self._socket.shutdown(socket.SHUT_RD)
        except OSError:  # it is gone already
            return

    def abandon(self) -> None:
        """Close at once. May be called again."""
        self._stop_watching()
        self._socket.close()

    def _take(self) -> None:
        """Take what has come. Nobody may be reading any more: then this is all that is held until somebody does."""
        try:
            data = self._socket.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._is_at_end = True
        reader, self._reader = self._reader, None
        if reader is not None and not reader.done():
            reader.set_result(data)
        else:
            self._held = data
            self._stop_watching()
        if not data:
            self._stop_watching()

    def _stop_watching(self) -> None:
        if self._is_watching:
            self._is_watching = False
            self._loop.remove_reader(self._socket)

    def _send(self, data: bytes) -> int:
        if not data:
            return 0
        try:
            return self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            raise TransportError(f"the peer is gone: {error}") from error

    async def _wait_until_writable(self) -> None:
        waiter = self._loop.create_future()
        self._loop.add_writer(self._socket, _wake, waiter)
        try:
            await waiter
        finally:
            self._loop.remove_writer(self._socket)


def _wake(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
