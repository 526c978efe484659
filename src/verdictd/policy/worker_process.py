"""The daemon's side of one policy worker: start it, ask it, end it. An answer that does not come in time ends it."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from itertools import count

from verdictd.core.errors import LimitExceededError, MalformedError, TransportError, VerdictdError
from verdictd.policy.protocol import Operation, Status, encode_message, parse_body, parse_length

MEMORY_BYTES = 512 * 1024 * 1024
START_S = 30.0
"""How long a worker may take to start. It takes a quarter of a second on an idle machine."""

_LAST_MOMENTS_S = 1.0
_CHUNK = 64 * 1024
_HEADER_BYTES = 4
_KEPT_ENVIRONMENT = ("PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH")
"""What a Python interpreter may need to find itself and this package. Nothing else of the environment is passed on."""


_ENVIRONMENT = {
    "TZ": "UTC",
    "RUST_BACKTRACE": "0",
    # KiB. The engine's allocator would reserve 1 GiB of addresses, and so lie outside the limit on memory.
    "MIMALLOC_ARENA_RESERVE": "16384",
}


class WorkerTimeoutError(LimitExceededError):
    """The worker did not answer in time, and was ended."""


class WorkerLostError(TransportError):
    """The worker ended, or answered nonsense, and is ended."""


class WorkerProcess:
    """One worker. Not shared between threads at the same time. After any error but `refused`, it is over."""

    def __init__(self) -> None:
        """Start the process; it is ready some time later.

        Raises:
            WorkerLostError: it cannot be started.
        """
        environment = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
        environment |= _ENVIRONMENT
        command = [sys.executable, "-P", "-s", "-X", "utf8", "-m", "verdictd.policy.worker", str(MEMORY_BYTES)]
        try:
            # No function between fork and exec (threads!), no descriptor passed on, no signals of our terminal.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                cwd="/",
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise WorkerLostError(f"a policy worker cannot be started: {error}") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._stdin, self._stdout, self._stderr = self._process.stdin, self._process.stdout, self._process.stderr
        self._numbers = count(1)
        self._is_ready = False
        self._is_engaged = False
        self._is_over = False
        self._writable, self._readable = select.poll(), select.poll()
        self._writable.register(self._stdin, select.POLLOUT)
        self._readable.register(self._stdout, select.POLLIN)
        os.set_blocking(self._stdin.fileno(), False)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def is_usable(self) -> bool:
        """Whether the worker can be asked: it runs, and owes no answer."""
        return not self._is_over and not self._is_engaged and self._process.poll() is None

    def wait_ready(self) -> None:
        """Wait until the worker has started.

        Raises:
            WorkerLostError: it ended instead; the message has what it said.
            WorkerTimeoutError: it did not in `START_S`.
        """
        if self._is_ready:
            return
        try:
            parts = self._receive(time.monotonic() + START_S)
            if parts != (b"", Status.READY.value):
                raise MalformedError("a policy worker did not say that it is ready")
        except (VerdictdError, OSError, EOFError) as error:
            self._await_end()
            words = os.read(self._stderr.fileno(), _CHUNK).decode("utf-8", "replace").strip()
            self.end()
            reason = words.splitlines()[-1] if words else str(error) or self._describe_end()
            raise WorkerLostError(f"a policy worker does not start: {reason}") from error
        self._stderr.close()
        self._is_ready = True

    def ask(self, operation: Operation, *arguments: bytes, deadline: float) -> tuple[Status, tuple[bytes, ...]]:
        """Ask the worker, and wait for its answer.

        Args:
            operation: what to do.
            arguments: with what.
            deadline: until when, on the monotonic clock.
        Raises:
            WorkerTimeoutError: no answer in time.
            WorkerLostError: the worker ended, or its answer is not one to this request.
            LimitExceededError: the arguments are too large to be sent.
        """
        number = next(self._numbers).to_bytes(8, "little")
        limit_ms = max(0, round((deadline - time.monotonic()) * 1000)).to_bytes(4, "little")
        message = encode_message(number, operation.value, limit_ms, *arguments)
        self._is_engaged = True
        try:
            self._send(message, deadline)
            answered, name, *rest = self._receive(deadline)
            status = Status(name)
            if answered != number:
                raise MalformedError("a policy worker answered another request")
        except WorkerTimeoutError:
            self.end()
            raise
        except (MalformedError, LimitExceededError, ValueError) as error:
            self.end()
            raise WorkerLostError(f"a policy worker answered nonsense: {error}") from error
        except (OSError, EOFError) as error:
            self._await_end()
            self.end()
            raise WorkerLostError(f"a policy worker ended {self._describe_end()}") from error
        self._is_engaged = False
        self._is_over = status is Status.PANICKED
        return status, tuple(rest)

    def end(self) -> None:
        """Kill the process, wait for its end, and let go of all that belongs to it."""
        self._is_over = True
        self._process.kill()
        self._process.wait()
        for stream in (self._stdin, self._stdout, self._stderr):
            with contextlib.suppress(OSError):
                stream.close()

    def _await_end(self) -> None:
        """Let a process that ends by itself do so, for the sake of its exit status."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_LAST_MOMENTS_S)

    def _describe_end(self) -> str:
        status = self._process.returncode
        if status is None or status >= 0:
            return f"with the status {status}"
        return f"by the signal {signal.Signals(-status).name}"

    def _send(self, data: bytes, deadline: float) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._stdin.fileno(), view) :]
            except BlockingIOError:
                self._wait(self._writable, deadline)

    def _receive(self, deadline: float) -> tuple[bytes, ...]:
        data = bytearray()
        length: int | None = None
        while length is None or len(data) < length:
            self._wait(self._readable, deadline)
            piece = os.read(self._stdout.fileno(), _CHUNK)
            if not piece:
                raise EOFError
            data += piece
            if length is None and len(data) >= _HEADER_BYTES:
                length = _HEADER_BYTES + parse_length(bytes(data[:_HEADER_BYTES]))
        if len(data) > length:
            raise MalformedError("a policy worker said more than it was asked")
        return parse_body(bytes(data[_HEADER_BYTES:]))

    @staticmethod
    def _wait(ready: select.poll, deadline: float) -> None:
        timeout_s = deadline - time.monotonic()
        if timeout_s <= 0 or not ready.poll(timeout_s * 1000):
            raise WorkerTimeoutError("a policy worker did not answer in time")
