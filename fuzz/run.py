"""Runs the fuzzers, two at a time, each for `FUZZ_SECONDS`, and prints what each of them did: ``python -m fuzz.run``.

What they learn is kept in build/fuzz/corpus, so that a later run goes on from there; inputs that failed are in
build/fuzz/crashes. Exits with 1 where there is one, and 2 where there is no fuzzer to run.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fuzz.registry import TARGETS
from fuzz.target import FuzzTarget

BUILD = Path(__file__).resolve().parents[1] / "build" / "fuzz"
DEFAULT_SECONDS = 20
INPUT_TIMEOUT_SECONDS = 10
MEMORY_MIB = 1024
PROCESSES = 2
# A process is charged with the peak memory of whoever started it (getrusage(2): ru_maxrss survives execve), and it is
# that peak which libFuzzer compares with its limit. A shell in between, which has none, starts the count anew.
APART = ("/bin/sh", "-c", '"$@"; exit "$?"', "sh")

_PROGRESS = re.compile(r"cov: (\d+) ft: \d+ corp: (\d+)/")
_EXECUTIONS = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_SECONDS = re.compile(r"Done \d+ runs in (\d+) second")
_LAYOUT = "{:<18}{:>11}{:>9}{:>8}{:>9}{:>8}{:>9}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one fuzzer did.

    Attributes:
        target: which one.
        executions: how many inputs were tried, and how long it took in seconds.
        edges: edges of the project's code that were reached.
        lines: lines of the modules under test that were reached, and how many there are.
        inputs: size of the corpus.
        crashes: inputs that failed.
        log: all that the fuzzer printed.
    """

    target: str
    executions: int
    seconds: int
    edges: int
    lines: tuple[int, int]
    inputs: int
    crashes: tuple[Path, ...]
    failed: bool
    log: Path

    def row(self) -> str:
        """The outcome as a row of the table."""
        rate = self.executions // max(1, self.seconds)
        reached, there = self.lines
        share = f"{100 * reached // there} %" if there else "-"
        crashes = len(self.crashes) or (1 if self.failed else 0)
        return _LAYOUT.format(self.target, self.executions, rate, self.edges, share, self.inputs, crashes)


def fuzz(
    target: FuzzTarget, seconds: int, *, runs: int = -1, build: Path = BUILD, measures_lines: bool = True
) -> Outcome:
    """Run the fuzzer of one target in a process of its own.

    Args:
        target: which one.
        seconds: for how long at most.
        runs: how many inputs at most; -1 for as many as there is time for.
        build: where to keep the corpus, what failed, and the log.
        measures_lines: whether to count lines afterwards.
    """
    corpus, crashes = build / "corpus" / target.name, build / "crashes" / target.name
    for directory in (corpus, crashes):
        directory.mkdir(parents=True, exist_ok=True)
    log = build / f"{target.name}.log"
    options = (
        f"-max_total_time={seconds}",
        f"-runs={runs}",
        f"-timeout={INPUT_TIMEOUT_SECONDS}",
        f"-rss_limit_mb={MEMORY_MIB}",
        f"-artifact_prefix={crashes}/",
        "-print_final_stats=1",
    )
    with log.open("wb") as file:
        done = subprocess.run(
            [*APART, sys.executable, "-m", "fuzz.one", target.name, *options, str(corpus), str(target.corpus)],
            cwd=Path(__file__).resolve().parents[1],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        )
    said = log.read_text(encoding="utf-8", errors="replace")
    progress = _PROGRESS.findall(said)
    edges, inputs = progress[-1] if progress else (0, 0)
    return Outcome(
        target=target.name,
        executions=int(_last(_EXECUTIONS, said)),
        seconds=int(_last(_SECONDS, said)),
        edges=int(edges),
        lines=_reached_lines(target, corpus) if measures_lines else (0, 0),
        inputs=int(inputs),
        crashes=tuple(sorted(crashes.iterdir())),
        failed=done.returncode != 0,
        log=log,
    )


def _last(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.findall(text)
    return found[-1] if found else "0"


def _reached_lines(target: FuzzTarget, corpus: Path) -> tuple[int, int]:
    done = subprocess.run(
        [sys.executable, "-m", "fuzz.line_coverage", target.name, str(corpus), str(target.corpus)],
        cwd=Path(__file__).resolve().parents[1],
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:  # an input fails, which the table says
        return 0, 0
    reached, there = json.loads(done.stdout)
    return reached, there


def main() -> None:
    """Fuzz every target, or those named."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.run", description=__doc__)
    parser.add_argument("targets", nargs="*", help=f"which targets; all where none is named: {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=int, default=DEFAULT_SECONDS, help="how long to fuzz each target")
    parser.add_argument("--processes", type=int, default=min(PROCESSES, os.cpu_count() or 1))
    arguments = parser.parse_args()
    unknown = sorted({*arguments.targets} - TARGETS.keys())
    if unknown:
        parser.error(f"there is no target {unknown[0]}; there are {', '.join(TARGETS)}")
    try:
        import atheris  # noqa: F401, PLC0415 - only whether it can be had
    except ImportError as error:
        print(f"the fuzzer cannot run: atheris cannot be imported here ({error})", file=sys.stderr)
        sys.exit(2)
    wanted = [TARGETS[name] for name in arguments.targets or TARGETS]
    print(_LAYOUT.format("target", "executions", "exec/s", "edges", "lines", "corpus", "crashes"), flush=True)
    outcomes = []
    with ThreadPoolExecutor(arguments.processes) as pool:
        for outcome in pool.map(lambda target: fuzz(target, arguments.seconds), wanted):
            print(outcome.row(), flush=True)
            outcomes.append(outcome)
    print(f"{sum(outcome.executions for outcome in outcomes)} executions in all")
    bad = [outcome for outcome in outcomes if outcome.failed or outcome.crashes]
    for outcome in bad:
        print(f"{outcome.target} FAILED, see {outcome.log}; inputs: {', '.join(map(str, outcome.crashes)) or 'none'}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
