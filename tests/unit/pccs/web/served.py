"""The service on real sockets of this machine, in a thread, and a key and certificate for it."""

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.types import ASGIApp

from verdictd.pccs.web.listening import ListenAddress
from verdictd.pccs.web.protocol import ConnectionLimits
from verdictd.pccs.web.server import WebServer
from verdictd.pccs.web.tls import TLSFiles

PATIENCE_S = 30.0


@contextlib.contextmanager
def served(
    app: ASGIApp, *, tls: TLSFiles | None = None, limits: ConnectionLimits | None = None
) -> Iterator[ListenAddress]:
    with running(app, tls=tls, limits=limits) as server:
        yield server.addresses[0]


@contextlib.contextmanager
def running(
    app: ASGIApp, *, tls: TLSFiles | None = None, limits: ConnectionLimits | None = None
) -> Iterator[WebServer]:
    server = WebServer(app, [ListenAddress("127.0.0.1", 0)], tls=tls, limits=limits, certificate_check_s=0.05)
    ready = threading.Event()
    thread = threading.Thread(target=server.run, args=(ready.set,))
    thread.start()
    try:
        assert ready.wait(PATIENCE_S)
        yield server
    finally:
        server.stop()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def connect(address: ListenAddress) -> socket.socket:
    return socket.create_connection(address, timeout=PATIENCE_S)


def read_all(connection: socket.socket) -> bytes:
    """What comes until the other side hangs up."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            found += part
    return found


def fetch(address: ListenAddress, target: str, headers: dict[str, str] | None = None) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(*address, timeout=PATIENCE_S)
    connection.request("GET", target, headers=headers or {})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def write_pair(directory: Path, name: str, *, password: bytes = b"") -> TLSFiles:
    """Write a certificate for a name, and its key; in place of those that are there."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    files = TLSFiles(directory / "file.crt", directory / "private.pem")
    files.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return files


def shown_name(address: ListenAddress) -> str:
    """The name in the certificate that the service shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with connect(address) as plain, context.wrap_socket(plain) as connection:
        der = connection.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der).subject.rfc4514_string().removeprefix("CN=")
