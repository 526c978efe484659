"""Each fuzzer for a moment, as `make fuzz` runs it for longer."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz.registry import TARGETS
from fuzz.run import APART, Outcome, fuzz, main
from fuzz.target import FuzzTarget

needs_atheris = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris is not installed: no fuzzer runs here"
)


@needs_atheris
@pytest.mark.parametrize("name", TARGETS)
def test_a_fuzzer_finds_nothing_in_a_moment(name: str, tmp_path: Path) -> None:
    outcome = fuzz(TARGETS[name], 4, runs=400, build=tmp_path, measures_lines=False)
    assert not outcome.failed, outcome.log.read_text(errors="replace")[-3000:]
    assert not outcome.crashes
    assert outcome.executions > 0
    assert outcome.edges > 0, "nothing of the project was instrumented"


def outcome_of(target: FuzzTarget, tmp_path: Path, *, failed: bool) -> Outcome:
    return Outcome(
        target=target.name,
        executions=1200,
        seconds=2,
        edges=30,
        lines=(3, 4),
        inputs=7,
        crashes=(tmp_path / "crash",) if failed else (),
        failed=failed,
        log=tmp_path / "log",
    )


@needs_atheris
@pytest.mark.parametrize("failed", [False, True])
def test_the_table_shows_each_target_and_a_failure_is_the_exit_code(
    failed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("fuzz.run.fuzz", lambda target, _: outcome_of(target, tmp_path, failed=failed))
    monkeypatch.setattr(sys, "argv", ["fuzz.run", "cbor", "der"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == (1 if failed else 0)
    printed = capsys.readouterr().out
    assert [line.split() for line in printed.splitlines()[1:3]] == [
        [name, "1200", "600", "30", "75", "%", "7", str(int(failed))] for name in ("cbor", "der")
    ]
    assert "2400 executions in all" in printed
    assert (f"der FAILED, see {tmp_path / 'log'}; inputs: {tmp_path / 'crash'}" in printed) is failed


def test_without_atheris_it_says_so_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "atheris", None)
    monkeypatch.setattr(sys, "argv", ["fuzz.run", "cbor"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "atheris cannot be imported here" in capsys.readouterr().err


def test_a_target_that_is_not_there_is_a_mistake(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["fuzz.run", "cbro"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "there is no target cbro; there are air_gap," in capsys.readouterr().err


@needs_atheris
def test_a_harness_that_fails_stops_its_fuzzer_and_leaves_the_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault is planted before anything else is imported."""
    (tmp_path / "sitecustomize.py").write_text(
        "import verdictd.policy.protocol as planted\nplanted.parse_body = lambda _: 1 / 0\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    outcome = fuzz(TARGETS["policy_protocol"], 4, runs=400, build=tmp_path / "build", measures_lines=False)
    assert outcome.failed
    assert len(outcome.crashes) == 1
    assert "ZeroDivisionError" in outcome.log.read_text(errors="replace")


def test_the_memory_of_whoever_starts_a_fuzzer_is_not_counted_as_its_own() -> None:
    """Otherwise a test run that once took a gigabyte fails each fuzzer that it starts afterwards."""
    asked = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    starting = f"""
import subprocess, sys
bytearray(200 << 20)[::4096] = bytes(200 << 8)
for before in ((), {APART!r}):
    print(subprocess.run([*before, sys.executable, "-c", {asked!r}], capture_output=True, check=True).stdout.decode())
"""
    done = subprocess.run([sys.executable, "-c", starting], capture_output=True, check=True)
    inherited, apart = (int(kib) for kib in done.stdout.split())
    assert apart < 100 << 10 < inherited
