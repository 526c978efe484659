"""`verdict` starts fast because it loads only what the words on its command line need."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from verdictd.cli.verdict.main import SUBCOMMANDS
from verdictd.simulator.platform import SimulatedPlatform

HEAVY = frozenset({"grpc", "google", "cryptography", "OpenSSL", "cbor2", "httpcore", "prometheus_client", "asyncio"})
PROGRAM = """
import contextlib, io, json, sys
from verdictd.cli.verdict.main import main
out = io.StringIO()
with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
    main(sys.argv[1:])
print(json.dumps([out.getvalue(), sorted(sys.modules)]))
"""


def start(*words: str) -> tuple[str, set[str]]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, timeout=60, check=True, env=os.environ
    )
    out, modules = json.loads(done.stdout)
    return out, {name.partition(".")[0] for name in modules} | set(modules)


@pytest.mark.parametrize("words", [["--help"], ["-V"], []])
def test_no_library_is_loaded_to_say_what_there_is(words: list[str]) -> None:
    _, modules = start(*words)
    assert not HEAVY & modules
    assert {name for name in modules if name.startswith("verdictd.")} == {
        "verdictd.cli",
        "verdictd.cli.exit_codes",
        "verdictd.cli.subcommands",
        "verdictd.cli.verdict",
        "verdictd.cli.verdict.main",
        "verdictd.cli.verdict.opa_flags",
        "verdictd.core",
        "verdictd.core.errors",
    }


def test_show_loads_nothing_that_talks_to_a_daemon_or_judges(tmp_path: Path) -> None:
    quote = tmp_path / "quote"
    quote.write_bytes(SimulatedPlatform.create(at=datetime.now(UTC)).quote(report_data=bytes(64)))
    out, modules = start("show", str(quote))
    assert "Nothing below is verified" in out
    assert not (HEAVY - {"cbor2"} | {"verdictd.daemon"}) & modules


@pytest.mark.parametrize("name", [subcommand.name for subcommand in SUBCOMMANDS])
def test_each_subcommand_that_help_names_has_the_help_it_promises(name: str) -> None:
    """The first help is a table of its own: it must not speak of what is not there."""
    out, modules = start(name, "--help")
    assert out.startswith(f"usage: verdict {name}")
    module = next(subcommand.module for subcommand in SUBCOMMANDS if subcommand.name == name)
    assert f"verdictd.cli.verdict.{module}" in modules
    assert f"\n    {name} " in start("--help")[0]
