"""The sockets that the service listens on. Without TLS they are on this machine's own addresses alone."""

import socket
from collections.abc import Sequence
from contextlib import ExitStack
from ipaddress import ip_address
from typing import Final, NamedTuple

from verdictd.core.errors import ConfigError

MAX_PORT: Final = 65535
BACKLOG: Final = 1024
"""Connections that may wait to be taken."""


class ListenAddress(NamedTuple):
    """A host (a name, or an IP address without brackets) and a port; 0 for any that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def listen(addresses: Sequence[ListenAddress], *, with_tls: bool) -> list[socket.socket]:
    """Listen on every address that each one stands for.

    Raises:
        ConfigError: one cannot be listened on; or others could reach it, and there would be no TLS.
    """
    if not addresses:
        raise ConfigError("there is no address to listen on", remedy="name one with --listen, as 127.0.0.1:8081")
    with ExitStack() as opened:
        sockets = [opened.enter_context(found) for address in addresses for found in _open(address, with_tls=with_tls)]
        opened.pop_all()
    return sockets


def _open(address: ListenAddress, *, with_tls: bool) -> list[socket.socket]:
    if not 0 <= address.port <= MAX_PORT:  # the resolver would take what is left of it after division
        raise ConfigError(f"{address} has no port from 0 to {MAX_PORT}", remedy="write it as HOST:PORT")
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )
    except (OSError, UnicodeError, OverflowError) as error:
        raise ConfigError(f"{address} is no address to listen on: {error}", remedy="write it as HOST:PORT") from error
    if not with_tls:
        for *_, resolved in found:
            if not ip_address(str(resolved[0]).partition("%")[0]).is_loopback:
                raise ConfigError(
                    f"{address} can be reached from other machines, and tokens would pass in the clear",
                    remedy="name a TLS certificate and its key, or listen on 127.0.0.1 behind a proxy that has them",
                )
    with ExitStack() as opened:
        sockets = [
            opened.enter_context(_bind(address, family, (str(resolved[0]), int(resolved[1]))))
            for family, *_, resolved in dict.fromkeys(found)
        ]
        opened.pop_all()
    return sockets


def _bind(address: ListenAddress, family: int, resolved: tuple[str, int]) -> socket.socket:
    # asyncio sends answers at once (TCP_NODELAY) only on sockets that name their protocol; else each takes 40 ms.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(resolved)
        bound.listen(BACKLOG)
        bound.settimeout(0)
    except (OSError, OverflowError) as error:
        bound.close()
        raise ConfigError(
            f"it is not possible to listen on {address}: {error}",
            remedy="name an address of this machine and a free port (0 for any)",
        ) from error
    return bound
