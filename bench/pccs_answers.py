"""How many answers a second `pccs` gives of what it holds, beside a bare server that returns the same bytes.

Both are Starlette on uvicorn, one process each. Then, how long answers take among 64 clients while everything held is
being asked for again; and what a server with 100,000 platforms takes of memory, beside one with a single platform.
"""

import hashlib
import http.client
import re
import secrets
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from answer_clients import Answers, ask
from idle_connections import read_memory_kib
from measure import Measurement
from verdictd.simulator.family import encode_identity
from verdictd.simulator.platform import SimulatedPlatform

_LIMIT = 0.7
_ROUNDS = 5
_CLIENTS, _REQUESTS = 16, 100
_MANY_CLIENTS, _FEW_REQUESTS = 64, 40
_P99_LIMIT = 3.0
_PLATFORMS, _ASKED_PLATFORMS = 100_000, 3_000
_MEMORY_LIMIT = 1.5
_SECRET = secrets.token_hex(16)
_BIN = Path(sys.executable).parent
_SET_BY_SERVER = {"content-length", "date", "server"}
_API = "/sgx/certification/v4"

_COPIES = (
    """
    WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count)
    INSERT INTO pccs_platforms (id, qe_id, pce_id, enc_ppid, manifest, fmspc, ca, issuer_chain, is_complete, fetched_at)
    SELECT id + n, printf('%032X', n), pce_id, enc_ppid, manifest, fmspc, ca, issuer_chain, is_complete, fetched_at
    FROM numbers, pccs_platforms WHERE id = :first
    """,
    """
    WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count)
    INSERT INTO pccs_pck_certificates (platform_id, tcb, pem)
    SELECT platform_id + n, tcb, pem FROM numbers, pccs_pck_certificates WHERE platform_id = :first
    """,
    """
    WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count)
    INSERT INTO pccs_answers (platform_id, raw_tcb, chosen)
    SELECT platform_id + n, raw_tcb, chosen FROM numbers, pccs_answers WHERE platform_id = :first
    """,
)


def measure_answers() -> list[Measurement]:
    """Measure the two answers that clients ask for most."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        directory = Path(name)
        platform = SimulatedPlatform.create(at=datetime.now(UTC))
        platform.save(directory / "vendor")
        upstream, _ = stack.enter_context(run("tee-sim", "serve", "vendor", cwd=directory))
        _, address = stack.enter_context(serve(directory, upstream))
        hardware = platform.hardware
        platform_query = (
            f"qeid={hardware.qe_id.hex()}&encrypted_ppid={encode_identity(b'benchmark').hex()}"
            f"&cpusvn={hardware.cpu_svn.hex()}&pcesvn={hardware.pce_svn.to_bytes(2, 'little').hex()}"
            f"&pceid={hardware.pce_id.hex()}"
        )
        targets = {
            "pccs_tcb": f"{_API}/tcb?fmspc={hardware.fmspc.hex().upper()}",
            "pccs_pckcert": f"{_API}/pckcert?{platform_query}",
        }
        files = []
        for row, target in targets.items():
            files.append(directory / row)
            files[-1].write_bytes(record_answer(address, target))
        _, bare = stack.enter_context(run_bare(files))
        rows = [
            _compare(row, partial(ask, address, target, clients=_CLIENTS, requests=_REQUESTS), bare, number)
            for number, (row, target) in enumerate(targets.items())
        ]
        stack.enter_context(refreshing(address))
        rows.append(_compare_latency(address, targets["pccs_tcb"], bare))
        return [*rows, _compare_memory(directory, upstream, targets["pccs_pckcert"])]


def _compare(row: str, ask_ours: Callable[[], Answers], bare: tuple[str, int], number: int) -> Measurement:
    """Compare answers a second, in turns, the best round of each: whatever else runs only makes a round slower."""
    ask_ours(), ask(bare, f"/{number}", clients=_CLIENTS, requests=_REQUESTS)
    ours, peer = [], []
    for _ in range(_ROUNDS):
        ours.append(ask_ours().per_second)
        peer.append(ask(bare, f"/{number}", clients=_CLIENTS, requests=_REQUESTS).per_second)
    return Measurement(
        name=row,
        ours=max(ours),
        peer_name="bare Starlette route, same bytes",
        peer=max(peer),
        limit=_LIMIT,
        at_least=True,
        unit="/s",
    )


def _compare_latency(address: tuple[str, int], target: str, bare: tuple[str, int]) -> Measurement:
    ours = ask(address, target, clients=_MANY_CLIENTS, requests=_FEW_REQUESTS)
    peer = ask(bare, "/0", clients=_MANY_CLIENTS, requests=_FEW_REQUESTS)
    return Measurement(
        name="pccs_tcb_p99_refreshing",
        ours=ours.percentile(0.99) * 1000,
        peer_name="bare route, 64 clients too",
        peer=peer.percentile(0.99) * 1000,
        limit=_P99_LIMIT,
        unit="ms",
    )


def _compare_memory(directory: Path, upstream: str, target: str) -> Measurement:
    """Compare after so many different platforms were asked about as any memory of answers could keep."""
    sizes = []
    for many in (1, _PLATFORMS):
        if many > 1:
            copy_platform(directory / "cache" / "pccs.db", many)
        with serve(directory, upstream) as (process, address):
            asked = range(1, min(many, _ASKED_PLATFORMS) + 1)
            record_answer(address, target)
            for number in asked if many > 1 else ():
                record_answer(address, re.sub("qeid=[0-9a-f]+", f"qeid={number:032X}", target))
            sizes.append(read_memory_kib(process.pid) / 1024)
    return Measurement(
        name="pccs_memory_100k_platforms",
        ours=sizes[1],
        peer_name="the same with one platform",
        peer=sizes[0],
        limit=_MEMORY_LIMIT,
        unit="MiB",
    )


def copy_platform(database: Path, count: int) -> None:
    """Give the only platform of a database so many companions, with its certificates and answers."""
    with closing(sqlite3.connect(database)) as connection, connection:
        (first,) = connection.execute("SELECT max(id) FROM pccs_platforms").fetchone()
        for statement in _COPIES:
            connection.execute(statement, {"count": count, "first": first})


@contextmanager
def run(*words: str, cwd: Path, **variables: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run a server of the project; yield the first URL that it says it serves at."""
    with subprocess.Popen(
        [str(_BIN / words[0]), *words[1:]],
        cwd=cwd,
        env={"PATH": str(_BIN), "PYTHONUNBUFFERED": "1"} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield _read_url(process), process
        finally:
            process.terminate()


@contextmanager
def serve(directory: Path, upstream: str) -> Iterator[tuple[subprocess.Popen[str], tuple[str, int]]]:
    """Run `pccs serve`; yield the process and its address."""
    words = ["pccs", "serve", "--listen", "127.0.0.1:0", "--data-dir", "cache", "--upstream", upstream]
    token_hash = hashlib.sha512(_SECRET.encode("ascii")).hexdigest()
    with run(*words, "--trust-root", "vendor/root-ca.pem", cwd=directory, PCCS_ADMIN_TOKEN_HASH=token_hash) as (
        url,
        process,
    ):
        yield process, _address(url)


@contextmanager
def run_bare(files: list[Path]) -> Iterator[tuple[subprocess.Popen[str], tuple[str, int]]]:
    """Run the bare server; yield the process and its address."""
    script = Path(__file__).with_name("bare_answers.py")
    with subprocess.Popen(
        [sys.executable, str(script), *map(str, files)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process, _address(_read_url(process))
        finally:
            process.terminate()


@contextmanager
def refreshing(address: tuple[str, int]) -> Iterator[None]:
    """Have everything asked for again, all the time."""
    stopping = threading.Event()

    def refresh() -> None:
        while not stopping.is_set():
            connection = http.client.HTTPConnection(*address)
            connection.request("POST", f"{_API}/refresh", headers={"admin-token": _SECRET})
            answer = connection.getresponse()
            assert answer.status in {http.client.OK, http.client.BAD_GATEWAY}, answer.read()  # it may be kept from it
            connection.close()

    thread = threading.Thread(target=refresh)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def record_answer(address: tuple[str, int], target: str) -> bytes:
    """Return the headers that are the route's own, and the body."""
    connection = http.client.HTTPConnection(*address)
    connection.request("GET", target)
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == http.client.OK, body
    own = [f"{name}: {value}" for name, value in answer.getheaders() if name.lower() not in _SET_BY_SERVER]
    connection.close()
    return "\r\n".join(own).encode("latin-1") + b"\r\n\r\n" + body


def _read_url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"http://[\d.]+:\d+\S*", line):
            return found[0]
    raise RuntimeError("the server has ended")


def _address(url: str) -> tuple[str, int]:
    host, port = url.removeprefix("http://").partition("/")[0].split(":")
    return host, int(port)
