"""How long `verdict` takes to start, beside an interpreter that does nothing."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter_ns

from measure import Measurement
from verdictd.simulator.attester import SimulatedAttester
from verdictd.simulator.platform import SimulatedPlatform

_RUNS = 30
_HELP_LIMIT, _SHOW_LIMIT = 8.0, 10.0


def measure_starts() -> list[Measurement]:
    """Return milliseconds, medians of runs in alternation: with `--help`, and to show a quote."""
    program = str(Path(sys.executable).with_name("verdict"))
    with tempfile.TemporaryDirectory() as directory:
        quote = Path(directory, "quote")
        quote.write_bytes(SimulatedAttester(SimulatedPlatform.create(at=datetime.now(UTC))).quote(bytes(64)))
        contests = [("cli_start_help", [program, "--help"], _HELP_LIMIT)]
        contests.append(("cli_start_show", [program, "show", str(quote)], _SHOW_LIMIT))
        return [_measure(name, command, limit) for name, command, limit in contests]


def _measure(name: str, command: Sequence[str], limit: float) -> Measurement:
    nothing = [sys.executable, "-c", "pass"]
    for _ in range(3):
        _time(command)
        _time(nothing)
    ours, peer = [], []
    for _ in range(_RUNS):
        ours.append(_time(command))
        peer.append(_time(nothing))
    return Measurement(
        name=name, ours=median(ours), peer_name="python -c pass", peer=median(peer), limit=limit, unit="ms"
    )


def _time(command: Sequence[str]) -> float:
    """Run a command as an installed program runs: with its modules compiled."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started = perf_counter_ns()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, env=environment)
    return (perf_counter_ns() - started) / 1e6


if __name__ == "__main__":
    for row in measure_starts():
        print(f"{row.name}: {row.ours:.1f} ms, python -c pass {row.peer:.1f} ms, ratio {row.ratio:.2f}")
