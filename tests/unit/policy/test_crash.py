"""Kill -9 at every step of an upload, and at any instant, leaves the old content or the new, whole."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.unit.policy.rego import V1
from verdictd.policy.pair import PolicyPair
from verdictd.policy.runner import PolicyRunner
from verdictd.policy.store import PolicyStore

# A step is a call into the operating system, or its return, as the interpreter itself reports them: nothing of the
# product is replaced. For each step a fork of this process is killed there; what it left is recovered and printed.
EVERY_STEP = r"""
import io, json, os, pathlib, signal, sys
from verdictd.durable.files import recover, replace_file, replace_files

directory, kind = pathlib.Path(sys.argv[1]), sys.argv[2]
OLD = {"a": b"old a" * 5000, "b": b"old b" * 7000}
NEW = {"a": b"new a" * 9000, "b": b"new b" * 3000}

def upload():
    if kind == "pair":
        replace_files(directory, NEW)
    elif kind == "recover":
        recover(directory)
    else:
        replace_file(directory / "a", NEW["a"])

def killed_at(wanted):
    taken = 0
    def profile(frame, event, function):
        nonlocal taken
        owner = getattr(function, "__self__", None)
        if event in ("c_call", "c_return") and (
            getattr(function, "__module__", None) == "posix" or isinstance(owner, io.IOBase)
        ):
            taken += 1
            if taken == wanted:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.setprofile(profile)
    upload()
    sys.setprofile(None)

step = 0
while True:
    step += 1
    for path in directory.iterdir():
        path.unlink()
    for name, content in OLD.items():
        (directory / name).write_bytes(content)
    if kind == "recover":
        (directory / ".journal").write_text(json.dumps({name: text.decode() for name, text in NEW.items()}))
        (directory / ".left.tmp").write_bytes(b"x")
    child = os.fork()
    if child == 0:
        killed_at(step)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    before = {path.name for path in directory.iterdir()}
    recover(directory)
    found = {path.name: path.read_bytes() for path in directory.iterdir()}
    state = {name: "old" if found[name] == OLD[name] else "new" if found[name] == NEW[name] else "bad" for name in OLD}
    print(json.dumps([os.WIFSIGNALED(status), state, sorted(found), sorted(before)]), flush=True)
    if not os.WIFSIGNALED(status):
        break
"""

# The same with a store. Its policies are checked elsewhere: here a stand-in takes what it is given.
EVERY_STORE_STEP = r"""
import io, json, os, pathlib, shutil, signal, sys
from datetime import UTC, datetime
from verdictd.policy.history import PolicyHistory
from verdictd.policy.pair import PolicyPair, parse_reference
from verdictd.policy.store import PolicyStore

class Trusting:
    def make_pair(self, policy, reference):
        values = parse_reference(reference.content)
        return PolicyPair(policy=policy, reference=reference, values=values, members_read=())

directory, kind = pathlib.Path(sys.argv[1]), sys.argv[2]
FIRST, SECOND, THIRD = ((b"policy %d" % number, b'{"x": %d}' % number) for number in range(3))
NAMES = {"sgxPolicy.rego": 0, "sgxData": 1}

def make():
    store = PolicyStore(directory / "opa", Trusting(), clock=lambda: datetime(2026, 1, 31, tzinfo=UTC))
    store._history._max_versions = 2
    store.open()
    return store

def put(store, pair):
    store.set_pair("sgxPolicy.rego", pair[0], "sgxData", pair[1])

def act():
    if kind == "open":
        make()
    elif kind == "rollback":
        store.roll_back(2)
    else:
        put(store, THIRD)

def killed_at(wanted):
    taken = 0
    def profile(frame, event, function):
        nonlocal taken
        owner = getattr(function, "__self__", None)
        if event in ("c_call", "c_return") and (
            getattr(function, "__module__", None) == "posix" or isinstance(owner, io.IOBase)
        ):
            taken += 1
            if taken == wanted:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.setprofile(profile)
    act()
    sys.setprofile(None)

step = 0
while True:
    step += 1
    shutil.rmtree(directory, ignore_errors=True)
    store = make()
    put(store, FIRST)   # version 2; 1 is what is shipped
    put(store, SECOND)  # version 3
    if kind == "open":
        for name, place in NAMES.items():
            (directory / "opa" / name).write_bytes(THIRD[place])
    child = os.fork()
    if child == 0:
        killed_at(step)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    store = make()
    pair = store.active("sgx_ecdsa")
    found = pair.policy.content, pair.reference.content
    on_disk = tuple((directory / "opa" / name).read_bytes() for name in NAMES)
    versions = store.versions()
    # Each that is listed can be read, and nothing else is there.
    for version, _ in versions:
        store.load_version(version.number)
    digests = {digest for version, _ in versions for digest in version.contents}
    assert {path.name for path in (directory / "opa-history").iterdir()} == {*digests, "versions.json"}
    assert on_disk == found
    print(json.dumps([
        os.WIFSIGNALED(status),
        [FIRST, SECOND, THIRD].index(found),
        [version.number for version, _ in versions],
        [store.load_version(version.number)[1].content.decode() for version, in_force in versions if in_force],
    ]), flush=True)
    if not os.WIFSIGNALED(status):
        break
"""

UPLOADER = r"""
import pathlib, sys
from verdictd.policy.runner import PolicyRunner
from verdictd.policy.store import PolicyStore

directory = pathlib.Path(sys.argv[1])
pairs = [(pathlib.Path(policy).read_bytes(), pathlib.Path(reference).read_bytes())
         for policy, reference in zip(sys.argv[2::2], sys.argv[3::2], strict=True)]
with PolicyRunner(workers=1) as runner:
    store = PolicyStore(directory, runner)
    store.open()
    print("open", flush=True)
    while True:
        for policy, reference in pairs:
            store.set_pair("sgxPolicy.rego", policy, "sgxData", reference)
"""


def run_every_step(directory: Path, kind: str, program: str = EVERY_STEP) -> list[Any]:
    result = subprocess.run(
        [sys.executable, "-c", program, str(directory), kind], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_one_file_at_every_step(tmp_path: Path) -> None:
    runs = run_every_step(tmp_path, "file")
    assert all(found == ["a", "b"] for _, _, found, _ in runs)
    states = [state["a"] for _, state, _, _ in runs]
    assert {state["b"] for _, state, _, _ in runs} == {"old"}
    # Old up to one step, new from it on, and the last run was not killed.
    assert states == ["old"] * states.index("new") + ["new"] * (len(states) - states.index("new"))
    assert [killed for killed, *_ in runs] == [True] * (len(runs) - 1) + [False]
    assert len(runs) > 10


@pytest.mark.parametrize("kind", ["pair", "recover"])
def test_two_files_at_every_step_are_never_mixed(tmp_path: Path, kind: str) -> None:
    runs = run_every_step(tmp_path, kind)
    assert all(found == ["a", "b"] for _, _, found, _ in runs)
    states = [(state["a"], state["b"]) for _, state, _, _ in runs]
    old = 0 if kind == "recover" else states.index(("new", "new"))
    assert states == [("old", "old")] * old + [("new", "new")] * (len(states) - old)
    assert [killed for killed, *_ in runs] == [True] * (len(runs) - 1) + [False]
    # Some were killed before the journal was there, some while it was, some after.
    assert {".journal" in before for _, _, _, before in runs} == {True, False}
    assert len(runs) > 30


@pytest.mark.parametrize(("kind", "new"), [("upload", 2), ("rollback", 0), ("open", 2)])
def test_store_at_every_step_is_old_or_new_and_its_history_whole(tmp_path: Path, kind: str, new: int) -> None:
    runs = run_every_step(tmp_path / "data", kind, EVERY_STORE_STEP)
    states = [state for _, state, *_ in runs]
    old = new if kind == "open" else 1
    assert states == [old] * states.index(new) + [new] * (len(states) - states.index(new))
    # What is in force is listed, and the versions rise by no more than the one that came to nothing.
    assert all(in_force == [f"policy {state}"] for _, state, _, in_force in runs)
    assert {tuple(numbers) for _, _, numbers, _ in runs} <= {(2, 3), (3, 4), (4, 5)}
    assert runs[-1][2] == [3, 4]
    assert [killed for killed, *_ in runs] == [True] * (len(runs) - 1) + [False]
    assert len(runs) > 30


def test_store_that_uploads_and_is_killed_at_any_instant(tmp_path: Path, runner: PolicyRunner) -> None:
    chance = random.Random(20)
    arguments = []
    for number in range(2):
        policy, reference = tmp_path / f"policy{number}", tmp_path / f"reference{number}"
        policy.write_text(f"{V1}allow if input.x == data.x{number}\n# {'x' * 90_000 * number}\n", encoding="utf-8")
        reference.write_text(json.dumps({f"x{number}": 1, "filler": "y" * 50_000 * (2 - number)}), encoding="utf-8")
        arguments += [str(policy), str(reference)]
    directory = tmp_path / "opa"
    seen = set()
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", UPLOADER, str(directory), *arguments], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        time.sleep(chance.uniform(0.02, 0.2))
        process.kill()
        process.wait()
        process.stdout.close()
        store = PolicyStore(directory, runner)
        assert store.open() == ()
        pair = store.active("sgx_ecdsa")
        assert isinstance(pair, PolicyPair)
        # Whole, and of one upload: the policy finds the member that came with it.
        assert pair.missing_members == ()
        assert runner.evaluate(pair, {"x": 1}).allow
        assert not [path for path in directory.iterdir() if path.name.startswith(".")]
        seen.add(pair.key)
    assert len(seen) <= 2
