"""The programs as processes of their own on loopback, and what is asked of them again and again."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

BIN = Path(sys.executable).parent
NO_PCCS = Path(__file__).with_name("qcnl.conf")
SCENARIO_FLAGS = [
    *["--mutual", "--attester", "nullattester", "--verifier", "sgx_ecdsa"],
    *["--tls", "openssl", "--crypto", "openssl"],
]
CLIENT_FLAGS = ["-a", "sgx_ecdsa", "-v", "nullverifier", "-t", "openssl", "-c", "openssl", "--mutual", "--verdictd"]
GREETING = "Server: Hello and welcome to RATS-TLS!\n"


def environment() -> dict[str, str]:
    """Nothing of this machine's own set-up may decide a test."""
    foreign = ("SSL_CERT_FILE", "RATS_TLS_GLOBAL_LOG_LEVEL", "http_proxy", "https_proxy")
    return {name: value for name, value in os.environ.items() if name not in foreign} | {
        "PYTHONUNBUFFERED": "1",
        "QCNL_CONF_PATH": str(NO_PCCS),
    }


def run(*words: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the project to its end, with further environment variables."""
    return subprocess.run(
        [str(BIN / words[0]), *words[1:]],
        cwd=cwd,
        env=environment() | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class Service:
    """A program that keeps running until the end of a ``with`` statement. Its output is kept, line by line."""

    def __init__(self, *words: str, cwd: Path) -> None:
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self.process = subprocess.Popen(
            [str(BIN / words[0]), *words[1:]],
            cwd=cwd,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        was_running = self.process.poll() is None
        code = self.stop()
        if error is None and was_running:
            assert code != -signal.SIGKILL, "it did not stop when it was told to:\n" + "\n".join(self.lines[-20:])

    def wait_for(self, pattern: str, *, after: int = 0, timeout_s: float = 20.0) -> re.Match[str]:
        """Return the first match of `pattern` in a line of the output, from line `after` on."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                for line in self.lines[after:]:
                    if match := re.search(pattern, line):
                        return match
                left = deadline - time.monotonic()
                if left <= 0 or self.process.poll() is not None:
                    raise AssertionError(f"no line {pattern!r}:\n" + "\n".join(self.lines[-20:]))
                self._changed.wait(min(left, 0.1))

    def send(self, number: signal.Signals) -> int:
        """Send a signal; return how many lines there were before."""
        seen = len(self.lines)
        self.process.send_signal(number)
        return seen

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the program in good order, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self._reader.join(timeout=5)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()


@dataclass(frozen=True, slots=True)
class Verifier:
    """A running verdictd, and the directory in which everything of the test is."""

    directory: Path
    service: Service
    client_api: str
    host: str
    port: str

    def verdict(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `verdict` against it."""
        return run("verdict", "--client-api", self.client_api, *words, cwd=self.directory)

    def attest(self, *words: str, platform: str = "platform") -> subprocess.CompletedProcess[str]:
        """Run the workload as the scenario does, on a simulated platform."""
        flags = [*CLIENT_FLAGS, "-i", self.host, "-p", self.port, "--simulate", platform]
        return run("rats-tls-client", *flags, *words, cwd=self.directory)

    def name_reference(self, *quote_flags: str) -> None:
        """Upload reference values that name the simulated platform's usual enclave."""
        run("tee-sim", "quote", "platform", "--report-data", "00", "-o", "quote.bin", *quote_flags, cwd=self.directory)
        reference = run("verdict", "show", "quote.bin", "--as", "reference", cwd=self.directory).stdout
        (self.directory / "mine").write_text(reference)
        done = self.verdict("--set-opa-reference", "sgxData", "./mine")
        assert done.returncode == 0, done.stdout + done.stderr

    def reload(self) -> None:
        """Send SIGHUP and wait until it has been taken up."""
        seen = self.service.send(signal.SIGHUP)
        self.service.wait_for("info reloaded", after=seen)

    def explain(self, client: subprocess.CompletedProcess[str]) -> str:
        """Return why a client was refused, having checked that all three who speak of it say the same.

        The client names its attestation id and leaves with 255; verdictd's log has one line under this id, and
        `verdict attestations ID` has the reason of that line.
        """
        assert client.returncode == 255, client.stdout + client.stderr
        assert "Hello" not in client.stdout
        said = re.search(r"refused our certificate \(attestation id ([0-9a-f]{8})", client.stderr)
        assert said is not None, client.stderr
        return self.reason_for(said[1])

    def reason_for(self, attestation_id: str) -> str:
        """Return the reason of a refusal from verdictd's log, the same as `verdict attestations` shows."""
        line = self.service.wait_for(
            rf'warning attestation id="{attestation_id}" .*verdict="refused" why="((?:[^"\\]|\\.)*)"'
        )
        shown = self.verdict("attestations", attestation_id)
        assert shown.returncode == 0
        reason = line[1].replace('\\"', '"')
        assert f"{attestation_id}  REFUSED" in shown.stdout
        assert reason in shown.stdout
        return reason


@contextlib.contextmanager
def verifier(directory: Path, *words: str, mutual: bool = True) -> Iterator[Verifier]:
    """Run verdictd in `directory` as the scenario does, with further flags."""
    flags = SCENARIO_FLAGS if mutual else []
    fixed = ["--client-api", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--data-dir", "data"]
    with Service("verdictd", *fixed, *flags, *words, cwd=directory) as service:
        client_api = service.wait_for(r'listening for verdict address="(\S+)"')[1]
        host, port = service.wait_for(r'listening for attestation address="(\S+):(\d+)"').groups()
        yield Verifier(directory, service, client_api, host, port)


@contextlib.contextmanager
def pccs(directory: Path) -> Iterator[str]:
    """Serve the collateral of the simulated platform in `directory`; return its URL."""
    with Service("tee-sim", "serve", "platform", cwd=directory) as service:
        yield service.wait_for(r"serving simulated collateral at (http://\S+)")[1]
