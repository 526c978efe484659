"""Serves a simulated platform's collateral over HTTP, as the vendor and a PCCS do. A thread for each connection."""

import socket
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Self

from verdictd.core.errors import ConfigError
from verdictd.simulator.behaviour import Behaviour
from verdictd.simulator.http_handler import ServiceServer
from verdictd.simulator.service import SimulatedService


class CollateralServer:
    """The vendor's service for a simulated platform. Bound when it is made; serves between `start` and `close`.

    As a context manager it starts on entry and closes on exit.

    Attributes:
        service: answers the requests; its `behaviour` can be changed, its `log` read.
    """

    def __init__(
        self,
        directory: Path,
        *,
        host: str,
        port: int,
        clock: Callable[[], datetime],
        behaviour: Behaviour | None = None,
        required_key: str = "",
    ) -> None:
        """Bind.

        Args:
            directory: a platform's, as `SimulatedPlatform.save` made it.
            host: name or IP address to listen on.
            port: 0 for any that is free.
            clock: gives the instant to issue collateral for; aware.
            behaviour: how to behave at first; as it should where none is given.
            required_key: the subscription key without which PCK certificates are refused; empty for none.

        Raises:
            ConfigError: no platform's directory, or the address cannot be listened on.
        """
        self.service = SimulatedService(directory, clock, behaviour=behaviour or Behaviour(), required_key=required_key)
        try:
            family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
            self._server = ServiceServer(family, (str(address[0]), int(address[1])), self.service)
        except OSError as error:
            raise ConfigError(
                f"tee-sim cannot listen on {host} port {port}: {error.strerror or error}",
                remedy="name an address of this machine and a free port (0 for any)",
            ) from error
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def address(self) -> str:
        """Where it listens: ``host:port``, ``[host]:port`` for IPv6."""
        host, port = self._server.server_address[:2]
        return f"[{host!s}]:{port}" if self._server.address_family == socket.AF_INET6 else f"{host!s}:{port}"

    @property
    def url(self) -> str:
        """What to give a verifier as the PCCS, API v4. Replace v4 by v3 for the older API."""
        return f"http://{self.address}/sgx/certification/v4/"

    def start(self) -> None:
        """Serve in a thread of its own, until `close`."""
        self._thread.start()

    def close(self) -> None:
        """Stop serving and give the address back."""
        self._server.is_closing.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
