"""What an idle attested connection costs verdictd in memory: 5000 of them, mutual TLS 1.3 with SGX evidence.

Each peer was attested, has asked one thing, and then says nothing. Before them, others have come and gone: what it
remembers is full, its threads run, and its allocators have what a handshake takes. Memory is the
proportional set size of all of verdictd's processes, as Linux counts it.
"""

import resource
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from OpenSSL import SSL

from attested_handshakes import encode_key, make_client_context, make_identities, run_verdictd, shake_hands
from measure import Measurement

_CONNECTIONS = 5000
_CLIENTS = 4
_IDENTITIES = 40
_WARM_UP = 400
_HISTORY = 50
_LIMIT_KIB = 24
_SPARE_DESCRIPTORS = 200
_READ_BYTES = 64 * 1024

Material = list[tuple[bytes, bytes]]
"""Certificates and keys, as DER."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleMemory:
    """How many connections there were, and the memory (KiB) of all of verdictd's processes without and with them."""

    connections: int
    before_kib: int
    during_kib: int

    @property
    def kib_each(self) -> float:
        """What each cost."""
        return (self.during_kib - self.before_kib) / self.connections


def measure_idle_connections() -> Measurement:
    """Return the memory of one idle connection in KiB."""
    return as_row(measure_memory())


def as_row(memory: IdleMemory) -> Measurement:
    return Measurement(
        name="idle_connection_kib",
        ours=memory.kib_each,
        peer_name=f"1 KiB; {memory.connections} connections",
        peer=1.0,
        limit=_LIMIT_KIB,
        unit="KiB",
    )


def measure_memory() -> IdleMemory:
    """Connect as often as this machine's limit of open files allows, up to 5000 times."""
    count = min(_CONNECTIONS, allow_connections())
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        identities = make_identities(directory, _IDENTITIES)
        material = [(identity.certificate_der, encode_key(identity)) for identity in identities]
        limits = ["--max-connections-per-address", str(count + 10), "--attestation-history", str(_HISTORY)]
        with run_verdictd(directory, *limits) as (pid, port):
            for _ in range(_WARM_UP // _IDENTITIES):
                shake_hands(port, material)
            before = read_memory_kib(pid)
            with hold_connections(port, material, count):
                return IdleMemory(connections=count, before_kib=before, during_kib=read_memory_kib(pid))


def allow_connections() -> int:
    """Raise this process's limit of open files, which others inherit; return how many connections it allows.

    One worker could come to have them all, so it is the limit of one process that counts.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard - _SPARE_DESCRIPTORS


@contextmanager
def hold_connections(port: int, material: Material, count: int) -> Iterator[None]:
    """Have so many accepted connections, from a few processes."""
    spawn = get_context("spawn")
    ends, clients = [], []
    for number in range(_CLIENTS):
        ours, theirs = spawn.Pipe()
        share = len(range(number, count, _CLIENTS))
        client = spawn.Process(target=be_a_client, args=(theirs, port, material, share), daemon=True)
        client.start()
        theirs.close()
        ends.append(ours)
        clients.append(client)
    try:
        for end in ends:
            end.recv()  # EOFError where one failed, which has said why
        yield
    finally:
        for end in ends:
            end.close()
        for client in clients:
            client.join()


def be_a_client(end: Connection, port: int, material: Material, count: int) -> None:
    """Connect so many times, say so, and keep the connections until the other end is closed."""
    contexts = [make_client_context(certificate, key) for certificate, key in material]
    held = [connect(port, contexts[number % len(contexts)]) for number in range(count)]
    end.send(len(held))
    end.poll(None)
    for connection in held:
        connection.close()


def connect(port: int, context: SSL.Context) -> socket.socket:
    """Attest, ask one thing, which only an accepted peer is answered, and return the connection."""
    connected = socket.create_connection(("127.0.0.1", port))
    tls = SSL.Connection(context, connected)
    tls.set_connect_state()
    tls.do_handshake()
    tls.sendall(b'{"command":"version"}')
    if b'"OK"' not in tls.recv(_READ_BYTES):
        raise RuntimeError("the server gave no answer")
    return connected


def read_memory_kib(pid: int) -> int:
    """Return the proportional set size of a process and its descendants."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    own = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    children = [task.read_text(encoding="ascii").split() for task in Path(f"/proc/{pid}/task").glob("*/children")]
    return own + sum(read_memory_kib(int(child)) for task in children for child in task)


def main() -> None:
    memory = measure_memory()
    if memory.connections < _CONNECTIONS:
        print(f"the limit of open files allows {memory.connections} connections, not {_CONNECTIONS}")
    print(
        f"{memory.connections} idle attested connections: {memory.before_kib} KiB before, {memory.during_kib} KiB with"
        f" them, {memory.kib_each:.2f} KiB each, the limit is {_LIMIT_KIB}"
    )


if __name__ == "__main__":
    main()
