"""What an attested mutual handshake costs verdictd in processor time, beside a bare mutual handshake.

Policy and reference values are on. In the first row clients come again with the certificate that they have, as a
process does that connects more than once; in the second each comes with one that was never seen before. Both servers
run as many worker processes, TLS 1.3, with the same clients and certificates.
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from time import sleep

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key
from OpenSSL import SSL

from measure import Measurement
from verdictd.ratstls.certificate_builder import Identity, build_identity
from verdictd.simulator.attester import SimulatedAttester
from verdictd.simulator.collateral_file import encode_collateral_file
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.simulator.quote_builder import sign_quote
from verdictd.tees.dcap.quote import parse_quote
from verdictd.tees.sgx_ecdsa.claims import build_quote_claims, build_reference_fields

_WORKERS = 2
_HANDSHAKES = 600
_ROUNDS = 3
_RETURNING_CLIENTS = 64
_LIMIT = 0.4
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_READ_BYTES = 64 * 1024


def measure_handshakes() -> list[Measurement]:
    """Measure clients that keep their certificate and come again, and clients that come each with another."""
    return [
        _measure("attested_handshakes", _RETURNING_CLIENTS),
        _measure("attested_handshakes_new", _HANDSHAKES),
    ]


def _measure(name_of_row: str, clients_count: int) -> Measurement:
    """Return microseconds of processor time for each handshake: the bare server's and verdictd's."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        directory = Path(name)
        identities = make_identities(directory, clients_count)
        ours = stack.enter_context(run_verdictd(directory))
        bare = stack.enter_context(run_bare(directory, identities[0]))
        clients = stack.enter_context(ProcessPoolExecutor(2, mp_context=get_context("spawn")))
        known = [(identity.certificate_der, encode_key(identity)) for identity in identities]
        material = [known[number % len(known)] for number in range(_HANDSHAKES)]
        rounds = [material[start::_ROUNDS] for start in range(_ROUNDS)]
        cost = {ours: 0.0, bare: 0.0}
        for number, part in enumerate([rounds[0][:40], *rounds]):  # the first is the warm-up
            for server in (ours, bare):
                before = cpu_seconds(server[0])
                for done in clients.map(shake_hands, [server[1]] * 2, [part[::2], part[1::2]]):
                    assert done
                if number:
                    cost[server] += cpu_seconds(server[0]) - before
    return Measurement(
        name=name_of_row,
        ours=cost[bare] / _HANDSHAKES * 1e6,
        peer_name="bare pyOpenSSL ÷ attested, CPU",
        peer=cost[ours] / _HANDSHAKES * 1e6,
        limit=_LIMIT,
        at_least=True,
    )


Server = tuple[int, int]
"""Process id and port."""


def make_identities(directory: Path, count: int = _HANDSHAKES) -> list[Identity]:
    """Make the platform, what a verifier needs to know of it, and so many identities."""
    at = datetime.now(UTC) - timedelta(minutes=5)
    platform = SimulatedPlatform.create(at=at)
    (directory / "root.pem").write_bytes(platform.trust_root_pem)
    (directory / "collateral").write_bytes(encode_collateral_file(platform.collateral(at)))
    attester = SimulatedAttester(platform)
    data = directory / "data" / "opa"
    data.mkdir(parents=True)
    claims = build_quote_claims(parse_quote(attester.quote(bytes(64))))
    (data / "sgxData").write_text(json.dumps(build_reference_fields(claims)), encoding="utf-8")
    make_quote = _quote_like_hardware(attester)
    return [build_identity(at=at, make_quote=make_quote) for _ in range(count)]


def _quote_like_hardware(attester: SimulatedAttester) -> Callable[[bytes], bytes]:
    """Quote as hardware does, where the PCK key signs the quoting enclave's report once for each attestation key."""
    platform = attester.platform
    first = sign_quote(
        platform.enclave_quote_parts(attester.enclave, report_data=bytes(64), quote_version=3),
        attestation_key=platform.attestation_key,
        pck_key=platform.pki.pck.key,
    )

    def quote(report_data: bytes) -> bytes:
        parts = platform.enclave_quote_parts(attester.enclave, report_data=report_data, quote_version=3)
        return platform.sign(replace(parts, qe_report=first.qe_report, qe_report_signature=first.qe_report_signature))

    return quote


@contextmanager
def run_verdictd(directory: Path, *flags: str) -> Iterator[Server]:
    program = Path(sys.executable).with_name("verdictd")
    listen = ["--listen", "127.0.0.1:0", "--client-api", f"unix:{directory}/api", "--log-level", "info"]
    judge = ["--mutual", "--verifier", "sgx_ecdsa", "--trust-root", str(directory / "root.pem")]
    data = ["--collateral", str(directory / "collateral"), "--data-dir", str(directory / "data")]
    command = [str(program), *listen, *judge, *data, "--workers", str(_WORKERS), *flags]
    with (directory / "log").open("w+", encoding="utf-8") as log:
        process = subprocess.Popen(command, stderr=log)
        try:
            yield process.pid, _await_port(process, directory / "log")
        finally:
            process.terminate()
            process.wait()


def _await_port(process: "subprocess.Popen[bytes]", log: Path) -> int:
    while process.poll() is None:
        if found := re.search(r'listening for attestation address="127.0.0.1:(\d+)"', log.read_text(encoding="utf-8")):
            return int(found.group(1))
        sleep(0.05)
    raise SystemExit(f"verdictd does not start:\n{log.read_text(encoding='utf-8')}")


@contextmanager
def run_bare(directory: Path, identity: Identity) -> Iterator[Server]:
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    parsed = x509.load_der_x509_certificate(identity.certificate_der)
    certificate.write_bytes(parsed.public_bytes(Encoding.PEM))
    key.write_bytes(identity.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    program = Path(__file__).with_name("bare_server.py")
    command = [sys.executable, str(program), str(_WORKERS), str(certificate), str(key)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.pid, int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process and its descendants have taken so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND
    children = Path(f"/proc/{pid}/task").glob("*/children")
    return own + sum(cpu_seconds(int(child)) for task in children for child in task.read_text(encoding="ascii").split())


def shake_hands(port: int, material: list[tuple[bytes, bytes]]) -> int:
    """Connect once with each identity, one after the other; return how many were accepted. Raises if one was not."""
    for certificate, key in material:
        with socket.create_connection(("127.0.0.1", port)) as connected:
            tls = SSL.Connection(make_client_context(certificate, key), connected)
            tls.set_connect_state()
            tls.do_handshake()
            tls.shutdown()  # the server answers in kind when it has accepted us, and with an alert if it has not
            try:
                tls.recv(_READ_BYTES)
            except SSL.ZeroReturnError:
                continue
            raise RuntimeError("the server sent something instead of closing")
    return len(material)


def make_client_context(certificate: bytes, key: bytes) -> SSL.Context:
    """Make TLS settings for a client with this certificate and key, both in DER."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.use_certificate(x509.load_der_x509_certificate(certificate))
    private_key = load_der_private_key(key, None)
    assert isinstance(private_key, EllipticCurvePrivateKey)
    context.use_privatekey(private_key)
    return context


def encode_key(identity: Identity) -> bytes:
    return identity.private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


if __name__ == "__main__":
    for row in measure_handshakes():
        print(f"{row.name}: bare {row.ours:.0f} us, attested {row.peer:.0f} us of CPU: ratio {row.ratio:.3f}")
