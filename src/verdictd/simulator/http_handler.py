"""Speaks HTTP for the simulated service: reads a request, and sends its answer with the faults it is to have."""

import logging
import re
import secrets
import socket
import struct
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from threading import Event
from typing import ClassVar, Final

from verdictd.simulator.behaviour import Fault
from verdictd.simulator.pcs_answers import PCSAnswer, refuse
from verdictd.simulator.request_log import Entry
from verdictd.simulator.service import ServiceRequest, SimulatedService

_LOG: Final = logging.getLogger(__name__)
_IDLE_SECONDS: Final = 30
_MAX_BODY_BYTES: Final = {"GET": 64 * 1024, "POST": 256 * 1024, "PUT": 1024 * 1024, "DELETE": 0}
_LENGTH: Final = re.compile(r"[0-9]{1,9}")
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_PIECES: Final = 20
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with no time to linger: what is not sent is dropped, and the peer gets a reset."""


class ServiceServer(ThreadingMixIn, TCPServer):  # not HTTPServer, which looks up the host's name when it binds
    """Listens, and has each connection handled in a thread of its own."""

    allow_reuse_address = True
    request_queue_size = 128
    daemon_threads = True
    block_on_close = False  # an idle connection must not hold up the end

    def __init__(self, family: int, address: tuple[str, int], service: SimulatedService) -> None:
        self.address_family = family
        self.service = service
        self.is_closing = Event()
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: ServiceServer
    protocol_version = "HTTP/1.1"
    timeout: ClassVar[float] = _IDLE_SECONDS

    def do_GET(self) -> None:
        """Answer one request."""
        body = self._read_body()
        if body is None:
            limit = _MAX_BODY_BYTES[self.command]
            reason = f"a {self.command} request has no body, or one of at most {limit} bytes"
            self.close_connection = True  # what follows could not be told from the body
            self._send(refuse(HTTPStatus.BAD_REQUEST, reason), Fault())
            return
        request = ServiceRequest(
            method=self.command,
            target=self.path,
            body=b"" if self.command == "GET" else body,
            key=self.headers.get("Ocp-Apim-Subscription-Key", ""),
        )
        if request.is_control:
            self._send(*self.server.service.respond(request))
            return
        log = self.server.service.log
        with log.counting(request.path):
            found, fault = self.server.service.respond(request)
            self.server.is_closing.wait(fault.delay_s)
            if fault.resets:
                self._reset()
            else:
                self._send(found, fault)
            log.note(Entry(request.method, request.target, 0 if fault.resets else int(found.status)))

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - the base class's names

    def _send(self, found: PCSAnswer, fault: Fault) -> None:
        self.send_response(found.status)
        self.send_header("Content-Type", found.content_type)
        self.send_header("Content-Length", str(len(found.body)))
        self.send_header("Request-ID", self._request_id())
        if self.close_connection:
            self.send_header("Connection", "close")
        for name, value in found.headers:
            self.send_header(name, value)
        self.end_headers()
        if not fault.drip_s:
            self.wfile.write(found.body)
            return
        size = max(1, -(-len(found.body) // _PIECES))
        for start in range(0, len(found.body), size):
            self.wfile.write(found.body[start : start + size])
            self.server.is_closing.wait(fault.drip_s / _PIECES)

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.connection.close()  # before the server shuts it down, which would end it in an orderly way

    def _read_body(self) -> bytes | None:
        """Read a request's body, as some clients send one with GET too; ``None`` where that is not possible."""
        length = self.headers.get("Content-Length", "0")
        limit = _MAX_BODY_BYTES[self.command]
        if "Transfer-Encoding" in self.headers or not _LENGTH.fullmatch(length) or int(length) > limit:
            return None
        return self.rfile.read(int(length))

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
