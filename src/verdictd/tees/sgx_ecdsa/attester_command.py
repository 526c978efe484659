"""A quote from a program that the operator names: the way out where no library OS provides a device.

Contract: the program gets the 64 bytes of report data as 128 lower-case hex digits, both as its last argument and, with
a newline, on its standard input; it writes the raw quote, and nothing else, to its standard output and exits 0.
"""

import os
import selectors
import shlex
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic

from verdictd.core.errors import ConfigError, LimitExceededError
from verdictd.core.limits import MAX_QUOTE_BYTES

COMMAND_TIMEOUT_S = 30.0
_MAX_COMPLAINT_BYTES = 4096
_READ_BYTES = 65536


def parse_quote_command(text: str) -> tuple[str, ...]:
    """Split a command line as a shell would, without ever giving it to one.

    Raises:
        ConfigError: it is empty, or a quotation mark is not closed.
    """
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise ConfigError(f"--quote-command cannot be split into words: {error}") from error
    if not words or not words[0]:
        raise ConfigError("--quote-command is empty", remedy="name the program that writes a quote")
    return words


class CommandSource:
    """Runs a program for each quote, bounded in time and output."""

    def __init__(self, command: Sequence[str], *, timeout_s: float = COMMAND_TIMEOUT_S) -> None:
        self._command = tuple(command)
        self._timeout_s = timeout_s
        self.label = f"--quote-command {self._command[0]}"
        self.remedy = "see that the program exists and that this user may run it"

    def fetch_quote(self, report_data: bytes) -> bytes:
        """Run the program once.

        Raises:
            OSError: it cannot be started.
            ConfigError: it failed, wrote nothing, or took longer than allowed; it is killed then.
            LimitExceededError: it wrote more than `MAX_QUOTE_BYTES`.
        """
        digits = report_data.hex()
        with subprocess.Popen(
            [*self._command, digits],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            try:
                return self._converse(process, f"{digits}\n".encode("ascii"))
            finally:
                if process.returncode is None:
                    # Not reaped yet, so the group's number is still its own: end the program and what it started.
                    os.killpg(process.pid, signal.SIGKILL)

    def _converse(self, process: subprocess.Popen[bytes], request: bytes) -> bytes:
        deadline = monotonic() + self._timeout_s
        assert process.stdin is not None
        with process.stdin, suppress(BrokenPipeError):  # it may ignore its input: it has its argument
            process.stdin.write(request)
        quote, complaint = self._collect(process, deadline)
        try:
            status = process.wait(max(0.0, deadline - monotonic()))
        except subprocess.TimeoutExpired as error:
            raise self._too_slow() from error
        if status != 0:
            said = complaint.decode("utf-8", "replace").strip() or "it said nothing on stderr"
            raise ConfigError(f"{self.label} ended with status {status}: {said}")
        if not quote:
            raise ConfigError(f"{self.label} wrote nothing", remedy="it must write the raw quote to standard output")
        return quote

    def _collect(self, process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bytes]:
        """Read both outputs to their ends. Too much of the first is an error, of the second it is cut."""
        quote, complaint = bytearray(), bytearray()
        assert process.stdout is not None
        assert process.stderr is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ, quote)
            selector.register(process.stderr, selectors.EVENT_READ, complaint)
            while selector.get_map():
                ready = selector.select(max(0.0, deadline - monotonic()))
                if not ready:
                    raise self._too_slow()
                for key, _ in ready:
                    piece = os.read(key.fd, _READ_BYTES)
                    if not piece:
                        selector.unregister(key.fileobj)
                    key.data.extend(piece)
                del complaint[_MAX_COMPLAINT_BYTES:]
                if len(quote) > MAX_QUOTE_BYTES:
                    raise LimitExceededError(
                        f"{self.label} wrote more than {MAX_QUOTE_BYTES} bytes, which no quote has"
                    )
        return bytes(quote), bytes(complaint)

    def _too_slow(self) -> ConfigError:
        return ConfigError(f"{self.label} did not finish within {self._timeout_s:g} seconds and was stopped")
