"""verdictd at full load for a long time: honest peers, garbage, uploads. Its memory has to stay flat, its log whole.

``python bench/soak.py [SECONDS]`` prints a line every ten seconds, and fails where memory grew or the log is not whole.
"""

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, suppress
from multiprocessing import get_context
from pathlib import Path

from attested_handshakes import encode_key, make_identities, run_verdictd, shake_hands
from idle_connections import read_memory_kib

_SECONDS = 600.0
_REPORT_S = 10.0
_IDENTITIES = 400
_BATCH = 20
_GROWTH = 1.10
"""Of the last third over the second; what fills up to its bound does so in the first."""


class Nuisance(threading.Thread):
    """Sends garbage, and uploads the same reference values again and again."""

    def __init__(self, port: int, directory: Path) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.directory = directory
        self.stopping = threading.Event()
        self.uploads = self.garbage = 0

    def run(self) -> None:
        program = str(Path(sys.executable).with_name("verdict"))
        reference = str(self.directory / "data" / "opa" / "sgxData")
        copy = self.directory / "copy"
        copy.write_bytes(Path(reference).read_bytes())
        upload = [program, "--client-api", f"unix:{self.directory}/api", "--set-opa-reference", "sgxData", str(copy)]
        while not self.stopping.wait(1.0):
            for _ in range(20):
                with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                    connection.sendall(b"\x16\x03\x01" + os.urandom(200))
                    self.garbage += 1
            if subprocess.run(upload, stdout=subprocess.DEVNULL, check=False).returncode == 0:
                self.uploads += 1


def soak(seconds: float) -> int:
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        directory = Path(name)
        identities = make_identities(directory, _IDENTITIES)
        material = [(identity.certificate_der, encode_key(identity)) for identity in identities]
        batches = [material[start : start + _BATCH] for start in range(0, _IDENTITIES, _BATCH)]
        pid, port = stack.enter_context(run_verdictd(directory, "--archive", "--archive-max-bytes", "67108864"))
        clients = stack.enter_context(ProcessPoolExecutor(2, mp_context=get_context("spawn")))
        nuisance = Nuisance(port, directory)
        nuisance.start()
        done, memory, refused = 0, [], 0
        started = reported = time.monotonic()
        number = 0
        while time.monotonic() - started < seconds:
            futures = [clients.submit(shake_hands, port, batches[(number + each) % len(batches)]) for each in range(4)]
            number += 4
            for future in futures:
                try:
                    done += future.result()
                except Exception as error:  # noqa: BLE001 - an upload may turn a peer away that connects meanwhile
                    refused += 1
                    print(f"a batch ended early: {error!r}")
            if time.monotonic() - reported >= _REPORT_S:
                reported = time.monotonic()
                memory.append(read_memory_kib(pid))
                print(f"{reported - started:6.0f} s  {done:7} attested  {memory[-1] / 1024:7.1f} MiB", flush=True)
        nuisance.stopping.set()
        nuisance.join()
        audit = [str(Path(sys.executable).with_name("verdict")), "audit", "verify", str(directory / "data" / "audit")]
        is_whole = subprocess.run(audit, check=False).returncode == 0
    third = len(memory) // 3
    growth = max(memory[-third:]) / max(memory[third : 2 * third])
    print(f"{done} attested, {refused} batches cut short, {nuisance.garbage} times garbage, {nuisance.uploads} uploads")
    print(
        f"memory of the last third over the second: {growth:.3f}, the limit is {_GROWTH}; audit log whole: {is_whole}"
    )
    return 0 if growth <= _GROWTH and is_whole else 1


if __name__ == "__main__":
    sys.exit(soak(float(sys.argv[1]) if len(sys.argv) > 1 else _SECONDS))
