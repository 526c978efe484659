"""Servers on loopback that behave like Intel's, and some that behave badly. Real sockets, real HTTP."""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import BaseRequestHandler, TCPServer, ThreadingMixIn
from threading import Event, Lock, Thread
from typing import ClassVar
from urllib.parse import quote

from tests.unit.collateral.endorser import Endorser
from verdictd.collateral.deadline import Deadline
from verdictd.collateral.http_client import BoundedHTTPClient, Retries, tls_context
from verdictd.collateral.items import CollateralItem
from verdictd.tees.dcap.collateral import RevocationList, SignedDocument, encode_signed_document


@dataclass(frozen=True, kw_only=True)
class Answer:
    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class _Server(ThreadingMixIn, TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is what many of the tests are about."""


class FakePCCS:
    """Answers each path (with its query) from a table; what is not in it with 404. Notes what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer | list[Answer]] = {}
        self.requests: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""
        self._lock = Lock()

    def answer(self, path: str, headers: dict[str, str]) -> Answer:
        with self._lock:
            self.requests.append(path)
            self.headers.append(headers)
            found = self.answers.get(path, Answer(status=404, body=b"No cache data for this platform."))
            if isinstance(found, list):  # one after the other, the last for good
                return found.pop(0) if len(found) > 1 else found[0]
            return found


@contextmanager
def serving(pccs: FakePCCS, certificate: Path | None = None) -> Iterator[FakePCCS]:
    """Serve on loopback, with TLS where a file with certificate and key is given."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout: ClassVar[float] = 30

        def do_GET(self) -> None:
            answer = pccs.answer(self.path, {name.lower(): value for name, value in self.headers.items()})
            self.send_response(answer.status)
            if "Content-Length" not in answer.headers:
                self.send_header("Content-Length", str(len(answer.body)))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    scheme = "http" if certificate is None else "https"
    pccs.url = f"{scheme}://127.0.0.1:{server.server_address[1]}"
    with running(server):
        yield pccs


@contextmanager
def running(server: TCPServer) -> Iterator[None]:
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def misbehaving(behave: Callable[[socket.socket, Event], None]) -> Iterator[str]:
    """Hand each connection, its request unread, to a function; yields the URL. The event says that the test is over."""
    over = Event()

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            behave(self.request, over)

    server = _Server(("127.0.0.1", 0), Handler)
    with running(server):
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            over.set()


def chain_header(name: str, item: CollateralItem) -> dict[str, str]:
    return {name: quote(item.raw.issuer_chain.decode(), safe="")}


def document_answer(item: CollateralItem, header: str) -> Answer:
    assert isinstance(item.raw, SignedDocument)
    member = "enclaveIdentity" if item.kind.value == "qe_identity" else "tcbInfo"
    body = encode_signed_document(item.raw, "enclaveIdentity" if member == "enclaveIdentity" else "tcbInfo")
    return Answer(body=body, headers=chain_header(header, item))


def der_of(item: CollateralItem) -> bytes:
    assert isinstance(item.raw, RevocationList)
    return item.raw.der


def filled(endorser: Endorser, *, version: int = 4) -> FakePCCS:
    """A PCCS as Intel's, with a simulated vendor's collateral."""
    pccs, base = FakePCCS(), f"/sgx/certification/v{version}"
    tcb_header = "TCB-Info-Issuer-Chain" if version == 4 else "SGX-TCB-Info-Issuer-Chain"
    pck_crl = endorser.pck_crl()
    pccs.answers = {
        f"{base}/tcb?fmspc={endorser.fmspc.hex().upper()}": document_answer(endorser.tcb_info(), tcb_header),
        f"{base}/qe/identity": document_answer(endorser.qe_identity(), "SGX-Enclave-Identity-Issuer-Chain"),
        f"{base}/pckcrl?ca=platform&encoding=der": Answer(
            body=der_of(pck_crl), headers=chain_header("SGX-PCK-CRL-Issuer-Chain", pck_crl)
        ),
        f"{base}/rootcacrl": Answer(body=der_of(endorser.root_ca_crl()).hex().encode()),
    }
    return pccs


class Naps:
    """Stands in for `time.sleep`: notes for how long, and does not wait."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


class Clock:
    """A monotonic clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now

    def deadline(self, seconds: float = 10) -> Deadline:
        return Deadline.after(seconds, self)


def http_client(
    *,
    times: int = 0,
    proxy: str | None = None,
    tls: ssl.SSLContext | None = None,
    clock: Callable[[], float] | None = None,
    sleep: Callable[[float], None] | None = None,
) -> BoundedHTTPClient:
    return BoundedHTTPClient(
        tls=tls or tls_context(verify=True),
        retries=Retries(times=times, delay_seconds=0.25),
        proxy=proxy,
        clock=clock or Clock(),
        sleep=sleep or Naps(),
    )
