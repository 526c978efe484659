"""A small HTTP server that no client can wear out: bounded in clients, in what they send, and in the time they take."""

import io
import logging
import socket
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from typing import Final, NamedTuple

from verdictd.configuration.address import Address

_LOGGER: Final = logging.getLogger(__name__)
CLIENT_TIMEOUT_S: Final = 10.0
"""In which a client has to send its request, and take its answer, however it spreads the bytes over the time."""
MAX_REQUEST_BYTES: Final = 8 * 1024
MAX_CLIENTS: Final = 8
"""At once; further ones are hung up on."""


class Page(NamedTuple):
    """What is answered."""

    status: HTTPStatus
    content_type: str
    body: bytes


FindPage = Callable[[str], Page]
"""Makes the page at a path, which a client made up."""


class BoundedHTTPServer(TCPServer):
    """Answers GET and HEAD, one request a connection, each on a thread of its own, with what `find_page` gives.

    Not an `HTTPServer`, which looks the address' name up in the DNS before it listens.
    """

    allow_reuse_address = True

    def __init__(self, address: Address, find_page: FindPage) -> None:
        """Listen; `serve_forever` serves. OSError or OverflowError where that is not possible.

        Args:
            address: where.
            find_page: makes the page at a path. Called on many threads; may take its time.
        """
        if ":" in address.host:
            self.address_family = socket.AF_INET6
        self._free = threading.BoundedSemaphore(MAX_CLIENTS)
        self._changing = threading.Lock()
        self._end_by: dict[socket.socket, float] = {}
        super().__init__((address.host, address.port), _make_handler(find_page))

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Serve one client on a thread, unless there are too many."""
        assert isinstance(request, socket.socket)
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        with self._changing:
            self._end_by[request] = time.monotonic() + CLIENT_TIMEOUT_S
        thread = threading.Thread(
            target=self._serve, args=(request, client_address), name="metrics-client", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:  # no thread to be had
            self._part(request)

    def service_actions(self) -> None:
        """Cut off those whose time is over. Called by `serve_forever`, twice a second."""
        now = time.monotonic()
        with self._changing:
            for request in [request for request, end_by in self._end_by.items() if end_by <= now]:
                del self._end_by[request]
                try:
                    request.shutdown(socket.SHUT_RDWR)
                except OSError:  # it has gone already
                    continue

    def _serve(self, request: socket.socket, client_address: object) -> None:
        try:
            self.finish_request(request, client_address)
        except OSError:  # it went away, or took too long
            return
        except Exception:
            _LOGGER.exception("a request for metrics failed, this is a fault in the program")
        finally:
            self._part(request)

    def _part(self, request: socket.socket) -> None:
        with self._changing:
            self._end_by.pop(request, None)
        self.shutdown_request(request)
        self._free.release()


class _BoundedInput(io.RawIOBase):
    """What a client sends, up to `MAX_REQUEST_BYTES`; then it seems to end."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.left = MAX_REQUEST_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what BufferedReader gives it
        count = self._connection.recv_into(buffer[: self.left]) if self.left else 0
        self.left -= count
        return count


def _make_handler(find_page: FindPage) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers one request of one client."""

        timeout = CLIENT_TIMEOUT_S
        server_version = "verdictd"
        sys_version = ""

        def setup(self) -> None:
            """Read no more than a request may be long."""
            super().setup()
            self.rfile.close()
            self._input = _BoundedInput(self.connection)
            self.rfile = io.BufferedReader(self._input)

        def do_GET(self) -> None:
            """Answer with the body."""
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            """Answer without."""
            self._answer(with_body=False)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as http.server calls it
            """Say nothing: whoever watches does so all the time."""

        def _answer(self, *, with_body: bool) -> None:
            page = find_page(self.path.partition("?")[0]) if self._input.left else _TOO_LONG
            self.send_response(page.status)
            self.send_header("Content-Type", page.content_type)
            self.send_header("Content-Length", str(len(page.body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if with_body:
                self.wfile.write(page.body)

    return Handler


_TOO_LONG: Final = Page(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "text/plain; charset=utf-8",
    f"a request has at most {MAX_REQUEST_BYTES - 1} bytes\n".encode(),
)
