"""A PCCS that answers as the simulator's does, except where a test has it do otherwise. Real sockets, real HTTP."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from threading import Event, Lock, Thread
from types import TracebackType
from typing import ClassVar, Self

from verdictd.simulator.pcs_answers import PCSAnswer
from verdictd.simulator.pcs_api import answer
from verdictd.simulator.platform import SimulatedPlatform


class Exchange:
    """One request, and the connection on which to do something about it."""

    def __init__(self, pccs: "MisbehavingPCCS", handler: BaseHTTPRequestHandler) -> None:
        self.pccs = pccs
        self.target = handler.path
        self._handler = handler

    def honest(self, *, platform: SimulatedPlatform | None = None, at: datetime | None = None) -> PCSAnswer:
        """What an honest PCCS would answer: for that platform where one is given, at that instant."""
        return answer(self.target, platform or self.pccs.platform_of(self.target), at or datetime.now(UTC))

    def send(self, found: PCSAnswer, *, length: int | None = None) -> None:
        """Answer; where a length is given, claim that the body has it."""
        self._handler.send_response(found.status)
        for name, value in (("Content-Length", str(len(found.body) if length is None else length)), *found.headers):
            self._handler.send_header(name, value)
        self._handler.end_headers()
        self.send_raw(found.body)

    def send_text(self, status: HTTPStatus, text: str, *headers: tuple[str, str]) -> None:
        """Answer with a status, a text and headers."""
        self.send(PCSAnswer(status=status, content_type="text/plain", body=text.encode(), headers=headers))

    def send_raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._handler.wfile.write(data)

    def hang_up(self) -> None:
        """End the connection after this."""
        self._handler.close_connection = True


Behaviour = Callable[[Exchange], None]


def be_honest(exchange: Exchange) -> None:
    exchange.send(exchange.honest())


class _Server(ThreadingMixIn, TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is what some of the tests are about."""


class MisbehavingPCCS:
    """Serves a vendor's platforms, told apart by their FMSPC. Serves between entry and exit, or `die`.

    Attributes:
        platform: what is asked for without an FMSPC is this one's.
        behaviours: by a part of the request's target; what matches none is answered honestly.
        requests: the targets asked for.
        over: set when it ends, for behaviours that wait.
    """

    def __init__(self, platform: SimulatedPlatform) -> None:
        self.platform = platform
        self.behaviours: dict[str, Behaviour] = {}
        self.requests: list[str] = []
        self.over = Event()
        self._families: dict[str, SimulatedPlatform] = {}
        self._lock = Lock()
        pccs = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout: ClassVar[float] = 30

            def do_GET(self) -> None:
                pccs._behave(Exchange(pccs, self))

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._is_alive = True
        self._thread.start()

    @property
    def url(self) -> str:
        """What to give a verifier."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/sgx/certification/v4/"

    def add_family(self, number: int) -> SimulatedPlatform:
        """Add a platform of another family (FMSPC) by the same vendor, under the same root."""
        fmspc = b"FAM" + number.to_bytes(3, "big")
        other = replace(self.platform, hardware=replace(self.platform.hardware, fmspc=fmspc))
        other = other.with_certificate("pck", other.certificate_spec("pck"))
        self._families[fmspc.hex().upper()] = other
        return other

    def platform_of(self, target: str) -> SimulatedPlatform:
        """The platform that a request is about."""
        return next((other for fmspc, other in self._families.items() if fmspc in target), self.platform)

    def asked(self, part: str) -> int:
        """How often something was asked for."""
        with self._lock:
            return sum(part in target for target in self.requests)

    def die(self) -> None:
        """Stop serving: whoever connects from now on is turned away by the system."""
        self.over.set()
        if self._is_alive:
            self._is_alive = False
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.die()

    def _behave(self, exchange: Exchange) -> None:
        with self._lock:
            self.requests.append(exchange.target)
        chosen = next((behave for part, behave in self.behaviours.items() if part in exchange.target), be_honest)
        chosen(exchange)
