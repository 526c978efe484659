"""The HTTP server for whoever watches verdictd: `/metrics`, `/healthz` and `/readyz`, nothing else."""

import json
import logging
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST

from verdictd.core.errors import ConfigError, VerdictdError
from verdictd.daemon.settings_address import Address

_LOGGER: Final = logging.getLogger(__name__)
_CLIENT_TIMEOUT_S: Final = 5.0
"""In which a client has to send its request, and take its answer."""
_MAX_CLIENTS: Final = 8


class MetricsServer:
    """Serves in threads of its own from `start` to `stop`; so many clients at once, the others are hung up on."""

    def __init__(self, address: Address, metrics: Callable[[], bytes], why_not_ready: Callable[[], list[str]]) -> None:
        """Listen.

        Args:
            address: where.
            metrics: writes the metrics.
            why_not_ready: a sentence for each reason for which nobody could be accepted now; none where somebody could.
        Raises:
            ConfigError: it is not possible to listen there.
        """
        handler = _make_handler(metrics, why_not_ready)
        try:
            self._server = _Server(address, handler)
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"the metrics cannot be served on {address}: {error}", remedy="name a free address with --metrics"
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)

    @property
    def address(self) -> Address:
        """Where it listens."""
        host, port = self._server.server_address[:2]
        return Address(str(host), int(port))

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Server(HTTPServer):
    def __init__(self, address: Address, handler: type[BaseHTTPRequestHandler]) -> None:
        if ":" in address.host:
            self.address_family = socket.AF_INET6
        self._free = threading.BoundedSemaphore(_MAX_CLIENTS)
        super().__init__((address.host, address.port), handler)

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Serve one client on a thread, unless there are too many."""
        assert isinstance(request, socket.socket)
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        threading.Thread(target=self._serve, args=(request, client_address), name="metrics-client", daemon=True).start()

    def _serve(self, request: socket.socket, client_address: object) -> None:
        try:
            self.finish_request(request, client_address)
        except OSError:  # it went away, or took too long
            return
        except Exception:
            _LOGGER.exception("a request for metrics failed, this is a fault in the program")
        finally:
            self.shutdown_request(request)
            self._free.release()


def _make_handler(metrics: Callable[[], bytes], why_not_ready: Callable[[], list[str]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers one request of one client."""

        timeout = _CLIENT_TIMEOUT_S
        server_version = "verdictd"
        sys_version = ""

        def do_GET(self) -> None:
            """Answer with the body."""
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            """Answer without."""
            self._answer(with_body=False)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as http.server calls it
            """Say nothing: whoever scrapes does so all the time."""

        def _answer(self, *, with_body: bool) -> None:
            status, content_type, body = _find(self.path.partition("?")[0], metrics, why_not_ready)
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if with_body:
                self.wfile.write(body)

    return Handler


def _find(
    path: str, metrics: Callable[[], bytes], why_not_ready: Callable[[], list[str]]
) -> tuple[HTTPStatus, str, bytes]:
    """Return status, content type and body of the answer."""
    match path:
        case "/metrics":
            try:
                return HTTPStatus.OK, CONTENT_TYPE_LATEST, metrics()
            except VerdictdError as error:
                return HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain", str(error).encode()
        case "/healthz":
            return HTTPStatus.OK, "application/json", b'{"alive": true}\n'
        case "/readyz":
            reasons = why_not_ready()
            status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
            body = json.dumps({"ready": not reasons, "why_not": reasons}).encode() + b"\n"
            return status, "application/json", body
        case _:
            return HTTPStatus.NOT_FOUND, "text/plain", b"there are /metrics, /healthz and /readyz\n"
