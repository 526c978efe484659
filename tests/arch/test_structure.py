"""What holds for the project as a whole: sizes, layers, and documents that say what the code does."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from verdictd.tees.sgx_ecdsa.verifier import REQUIREMENTS

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [path for path in (ROOT / "src").rglob("*.py") if "_pb2" not in path.name]
MAX_LINES = 400


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_is_longer_than_a_reader_can_bear(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


def test_libraries_do_not_print() -> None:
    printing = [path for path in SOURCES if re.search(r"^\s*print\(", path.read_text(), re.MULTILINE)]
    assert not printing


def test_the_manual_lists_exactly_the_checks_that_are_made() -> None:
    manual = (ROOT / "docs" / "appraisal.md").read_text()
    table = manual.split("<!-- checks:begin")[1].split("<!-- checks:end")[0]
    rows = dict(re.findall(r"^\| `([a-z0-9_.]+)` \| (.*) \|$", table, re.MULTILINE))
    assert rows == REQUIREMENTS


def test_every_manual_that_the_readme_names_is_there() -> None:
    readme = (ROOT / "README.md").read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", readme):
        assert (ROOT / target).exists(), target


def test_locks_hold_hashes_and_name_no_host() -> None:
    for name in ("runtime.txt", "dev.txt"):
        lock = (ROOT / "requirements" / name).read_text()
        assert "://" not in lock
        assert "index" not in re.sub(r"#.*", "", lock)
        pinned = re.findall(r"^([a-z0-9-]+)==\S+ \\$", lock, re.MULTILINE)
        assert len(pinned) == len(re.findall(r"^[a-z0-9-]+[=<>@ ]", lock, re.MULTILINE)) > 10


def test_the_lock_is_made_of_what_the_package_depends_on() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {line for line in (ROOT / "requirements" / "runtime.in").read_text().splitlines() if line[:1] != "#"}
    assert set(project["dependencies"]) == {line for line in wanted if not line.startswith("setuptools")}


DIRECTION, PURITY, ALONE = (
    "Dependencies point one way",
    "Core and verifiers are pure",
    "Core uses no third-party code",
)


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("core/checks.py", "import socket", PURITY),
        ("core/result.py", "from verdictd.tees.dcap import memory", DIRECTION),
        ("tees/dcap/quote.py", "import time", PURITY),
        ("tees/dcap/pck.py", "from verdictd.collateral import store", DIRECTION),
        ("tees/sgx_ecdsa/verifier.py", "from verdictd.appraisal import report", DIRECTION),
        ("ratstls/evidence.py", "from verdictd.policy import store", DIRECTION),
        ("policy/store.py", "from verdictd.ratstls import evidence", DIRECTION),
        ("collateral/store.py", "from verdictd.keybroker import session", DIRECTION),
        ("simulator/platform.py", "from verdictd.collateral import items", DIRECTION),
        ("audit/log.py", "from verdictd.policy import store", DIRECTION),
        ("durable/files.py", "from verdictd.audit import log", DIRECTION),
        ("tees/dcap/pck.py", "from verdictd.durable import files", DIRECTION),
        ("archive/replay.py", "from verdictd.daemon import judging", DIRECTION),
        ("appraisal/appraiser.py", "from verdictd.daemon import status", DIRECTION),
        ("daemon/status.py", "from verdictd.cli import logs", DIRECTION),
        ("core/errors.py", "import cryptography", ALONE),
    ],
)
def test_the_layers_are_really_guarded(module: str, line: str, contract: str, tmp_path: Path) -> None:
    """A contract is believed only once a planted violation has failed it."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    planted = tmp_path / "src" / "verdictd" / module
    planted.write_text(f"{planted.read_text()}\n{line}\n")
    lint = Path(sys.executable).with_name("lint-imports")
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "src")}
    done = subprocess.run(
        [str(lint), "--no-cache"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(rf"^{contract} BROKEN", done.stdout, re.MULTILINE), done.stdout
