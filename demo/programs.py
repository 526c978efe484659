"""Starts and stops the programs of the demonstration, each a process of its own on loopback."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

BIN = Path(sys.executable).parent


def run(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program of the project to its end and return what it printed."""
    return subprocess.run(
        [str(BIN / words[0]), *words[1:]], cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )


class Service:
    """A program that keeps running until the end of a ``with`` statement. Its output is kept, line by line."""

    def __init__(self, words: Sequence[str], cwd: Path) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "QCNL_CONF_PATH"}
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            [str(BIN / words[0]), *words[1:]],
            cwd=cwd,
            env=environment | {"PYTHONUNBUFFERED": "1"},
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
        self.stop()

    def wait_for(self, pattern: str, *, after: int = 0, timeout_s: float = 20.0) -> re.Match[str]:
        """Return the first match of `pattern` in a line of the output, from line `after` on.

        Raises:
            RuntimeError: the program ended, or printed no such line in time.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                for line in self.lines[after:]:
                    if match := re.search(pattern, line):
                        return match
                left = deadline - time.monotonic()
                if left <= 0 or self._process.poll() is not None:
                    output = "\n".join(self.lines[-20:])
                    raise RuntimeError(f"no line {pattern!r} from {self._process.args!r}:\n{output}")
                self._changed.wait(min(left, 0.2))

    def reload(self) -> None:
        """Send SIGHUP."""
        self._process.send_signal(signal.SIGHUP)

    def stop(self) -> int:
        """End the program in good order, and return its exit code."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            code = self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._reader.join(timeout=5)
        return code

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
