"""Listens, and admits connections or closes them at once: nothing of a peer has been read yet."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from typing import Final

from verdictd.core.errors import ConfigError
from verdictd.ratstls.admission import Admission

_LOGGER: Final = logging.getLogger(__name__)
_BACKLOG: Final = 1024
_PAUSE_AFTER_ERROR_S: Final = 0.1
_ACCEPTED_AT_ONCE: Final = 64
_COMPLAINT_S: Final = 1.0

TakeConnection = Callable[[socket.socket, str, str], None]
"""Takes an accepted socket, its peer as ``host:port``, and the host by which it was admitted."""


async def listen(host: str, port: int) -> socket.socket:
    """Listen on an address or name of this machine; port 0 for any that is free.

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
    # What is accepted inherits it: an answer must not wait until a peer has acknowledged what was sent before.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.settimeout(0)
    return listener


class Acceptor:
    """Accepts in the background until `stop`. Belongs to the event loop it was made in, and owns its socket."""

    def __init__(self, listener: socket.socket, admission: Admission, take: TakeConnection) -> None:
        """Begin.

        Args:
            listener: see `listen`.
            admission: says who may connect; whoever serves a connection releases it there.
            take: takes each connection that was admitted, and its socket.
        """
        self._listener = listener
        self._admission = admission
        self._take = take
        self._turned_away = 0
        self._complains_again_at = 0.0
        self._loop = asyncio.get_running_loop()
        self._is_stopped = False
        self._loop.add_reader(listener, self._accept)

    @property
    def address(self) -> tuple[str, int]:
        """The host and port it listens on."""
        host, port = self._listener.getsockname()[:2]
        return host, port

    @property
    def turned_away(self) -> int:
        """How many connections were not admitted since the start."""
        return self._turned_away

    def stop(self) -> None:
        """Accept nothing more. May be called again."""
        if self._is_stopped:
            return
        self._is_stopped = True
        self._loop.remove_reader(self._listener)
        self._listener.close()

    def _accept(self) -> None:
        """Accept all that wait, but not without end: others have something to do in this loop as well."""
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                accepted, address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # no file descriptor left, say
                _LOGGER.warning("cannot accept a connection: %s", error)
                self._pause()
                return
            accepted.setblocking(False)  # noqa: FBT003 - the socket's own name for it
            host, peer = address[0], describe_address(address)
            refusal = self._admission.admit(host)
            if refusal is None:
                self._take(accepted, peer, host)
            else:
                accepted.close()
                self._complain(peer, refusal)

    def _pause(self) -> None:
        self._loop.remove_reader(self._listener)
        self._loop.call_later(_PAUSE_AFTER_ERROR_S, self._go_on)

    def _go_on(self) -> None:
        if not self._is_stopped:
            self._loop.add_reader(self._listener, self._accept)

    def _complain(self, peer: str, refusal: str) -> None:
        """Say so, but not for each of a thousand."""
        self._turned_away += 1
        now = time.monotonic()
        if now >= self._complains_again_at:
            self._complains_again_at = now + _COMPLAINT_S
            _LOGGER.warning(
                "connection turned away", extra={"peer": peer, "why": refusal, "turned_away": self._turned_away}
            )


def describe_address(address: tuple[str, int]) -> str:
    """Write a socket's address as ``host:port``."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
