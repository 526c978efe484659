"""How long a large enclave takes to be measured, beside bare SHA-256 over the same bytes."""

import hashlib
import os
import resource
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter_ns

from measure import Measurement
from verdictd.enclave.sdk_image import measure_sdk_enclave
from verdictd.enclave.sigstruct import parse_sigstruct
from verdictd.simulator.enclave_image import EnclaveIdentity, build_enclave_image, generate_author_key

_MEBIBYTES = 256
_RUNS = 7
_LIMIT = 2.0
"""Half the speed. What is hashed of each page is a quarter more than the page."""
_READ_BYTES = 1024 * 1024


def measure_enclaves() -> list[Measurement]:
    """Return milliseconds, medians of runs in alternation, and by how many MiB memory grew while it was measured."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "enclave.so")
        build(path)
        run_ours(path)
        run_peer(path)
        ours, peer, before = [], [], peak_kib()
        for _ in range(_RUNS):
            ours.append(run_ours(path))
            peer.append(run_peer(path))
    name = f"hashlib.sha256, {_MEBIBYTES} MiB; memory grew by {(peak_kib() - before) / 1024:.0f} MiB"
    row = Measurement(
        name="measure_enclave", ours=median(ours), peer_name=name, peer=median(peer), limit=_LIMIT, unit="ms"
    )
    return [row]


def build(path: Path) -> None:
    """In a process of its own: it takes memory that is not to be seen in ours."""
    child = os.fork()
    if child == 0:
        content = os.urandom(1024 * 1024) * _MEBIBYTES
        identity = EnclaveIdentity(isv_prod_id=0, isv_svn=0, signed_on=datetime.now(UTC).date())
        path.write_bytes(build_enclave_image(content, generate_author_key(), identity))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0


def run_ours(path: Path) -> float:
    started = perf_counter_ns()
    with path.open("rb") as file:
        (enclave,) = measure_sdk_enclave(file)
    elapsed = (perf_counter_ns() - started) / 1e6
    assert enclave.mr_enclave == parse_sigstruct(enclave.sigstruct).mr_enclave
    return elapsed


def run_peer(path: Path) -> float:
    started = perf_counter_ns()
    digest, buffer = hashlib.sha256(), memoryview(bytearray(_READ_BYTES))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
    digest.digest()
    return (perf_counter_ns() - started) / 1e6


def peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
