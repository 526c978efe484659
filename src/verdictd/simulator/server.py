"""Serves a simulated platform's collateral as a PCCS does, over HTTP. A thread a connection, and no secrets to keep.

The platform's directory is read again for each request, so that what `tee-sim set-tcb-status` and `revoke` change
takes effect while the server runs.
"""

import logging
import re
import secrets
import socket
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from threading import Thread
from types import TracebackType
from typing import ClassVar, Final, Self

from verdictd.core.errors import ConfigError
from verdictd.simulator.pcs_api import PCSAnswer, answer, refuse
from verdictd.simulator.platform import SimulatedPlatform

_LOG: Final = logging.getLogger(__name__)
_IDLE_SECONDS: Final = 30
_MAX_BODY_BYTES: Final = 64 * 1024
_LENGTH: Final = re.compile(r"[0-9]{1,9}")
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")


class CollateralServer:
    """A PCCS that knows one simulated platform. Bound when it is made; serves between `start` and `close`.

    As a context manager it starts on entry and closes on exit.
    """

    def __init__(self, directory: Path, *, host: str, port: int, clock: Callable[[], datetime]) -> None:
        """Bind.

        Args:
            directory: a platform's, as `SimulatedPlatform.save` made it.
            host: name or IP address to listen on.
            port: 0 for any that is free.
            clock: gives the instant to issue collateral for; aware.

        Raises:
            ConfigError: no platform's directory, or the address cannot be listened on.
        """
        SimulatedPlatform.load(directory)
        try:
            family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
            self._server = _Server(family, (str(address[0]), int(address[1])), directory, clock)
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


class _Server(ThreadingMixIn, TCPServer):  # not HTTPServer, which looks up the host's name when it binds
    allow_reuse_address = True
    request_queue_size = 128
    daemon_threads = True
    block_on_close = False  # an idle connection must not hold up the end

    def __init__(self, family: int, address: tuple[str, int], directory: Path, clock: Callable[[], datetime]) -> None:
        self.address_family = family
        self.directory = directory
        self.clock = clock
        super().__init__(address, _Handler)

    def answer(self, target: str) -> PCSAnswer:
        try:
            return answer(target, SimulatedPlatform.load(self.directory), self.clock())
        except ConfigError as error:
            return refuse(HTTPStatus.SERVICE_UNAVAILABLE, str(error))


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout: ClassVar[float] = _IDLE_SECONDS

    def do_GET(self) -> None:
        """Answer one request."""
        is_read = self._discard_body()
        found = (
            self.server.answer(self.path)
            if is_read
            else refuse(HTTPStatus.BAD_REQUEST, f"a GET request has no body, or one of at most {_MAX_BODY_BYTES} bytes")
        )
        self.send_response(found.status)
        self.send_header("Content-Type", found.content_type)
        self.send_header("Content-Length", str(len(found.body)))
        self.send_header("Request-ID", self._request_id())
        if not is_read:
            self.send_header("Connection", "close")  # what follows could not be told from the body
        for name, value in found.headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(found.body)

    def _discard_body(self) -> bool:
        """Read and forget a request's body, as some clients send one with GET; tell whether that was possible."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not _LENGTH.fullmatch(length) or int(length) > _MAX_BODY_BYTES:
            return False
        self.rfile.read(int(length))
        return True

    def _request_id(self) -> str:
        """The client's own id, where it sent one that is fit to repeat, or a new one."""
        asked = self.headers.get("Request-ID", "")
        return asked if _REQUEST_ID.fullmatch(asked) else secrets.token_hex(16)

    def version_string(self) -> str:
        """What the Server header says."""
        return "tee-sim"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002 - the base class's form
        """Log what was asked and with which status it was answered."""
        fields = {"peer": self.client_address[0], "request": self.requestline, "status": int(code)}
        _LOG.info("collateral request", extra=fields)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Log what went wrong with a connection; the base class would write to standard error."""
        _LOG.info("collateral connection", extra={"peer": self.client_address[0], "reason": format % args})
