"""A RATS-TLS server in one process: listens, admits, and serves what it admitted."""

import socket
from functools import partial

from verdictd.ratstls.acceptor import Acceptor, listen
from verdictd.ratstls.admission import Admission
from verdictd.ratstls.connection_server import ConnectionServer, EndpointFactory, Handler, Observer
from verdictd.ratstls.limits import ServerLimits


class RATSTLSServer:
    """A listening server. Made by `serve`; belongs to the event loop it was made in."""

    def __init__(self, listener: socket.socket, server: ConnectionServer, limits: ServerLimits) -> None:
        self._admission = Admission(limits)
        self._server = server
        self._acceptor = Acceptor(listener, self._admission, self._take)

    @property
    def address(self) -> tuple[str, int]:
        """The host and port it listens on."""
        return self._acceptor.address

    @property
    def connections(self) -> int:
        """How many connections there are now, handshaking ones included."""
        return self._server.connections

    async def stop(self, *, grace_s: float = 10.0) -> None:
        """Accept nothing more, and stop in good order; see `ConnectionServer.stop`."""
        self._acceptor.stop()
        await self._server.stop(grace_s=grace_s)

    def _take(self, accepted: socket.socket, peer: str, host: str) -> None:
        self._server.take(accepted, peer, partial(self._admission.release, host))


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
        endpoint_factory: see `ConnectionServer`.
        handler: see `ConnectionServer`.
        observer: see `ConnectionServer`.
        limits: bounds; the defaults where ``None``.

    Raises:
        ConfigError: it is not possible to listen there.
    """
    bounds = limits or ServerLimits()
    listener = await listen(host, port)
    server = ConnectionServer(endpoint_factory=endpoint_factory, handler=handler, observer=observer, limits=bounds)
    return RATSTLSServer(listener, server, bounds)
