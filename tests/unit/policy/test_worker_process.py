"""One worker: what it answers, what it has of its parent, and how it ends. Nothing here is faked."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.policy.rego import V1
from verdictd.core.errors import LimitExceededError
from verdictd.policy.pair import Document
from verdictd.policy.protocol import MAX_MESSAGE_BYTES, Operation, Status
from verdictd.policy.worker_process import WorkerLostError, WorkerProcess, WorkerTimeoutError

POLICY = (V1 + "allow if input.x == data.x\n").encode()
REFERENCE = b'{"x": 1}'
# Ten thousand million steps, each of a microsecond or so.
RUNAWAY = (
    V1 + "n := numbers.range(1, 100000)\nallow if count([1 | some x in n; some y in n; x + y == input.x]) == 1\n"
).encode()
GREEDY = (V1 + "allow if count(numbers.range(1, input.n)) > 1\n").encode()


def key(policy: bytes, reference: bytes) -> bytes:
    return bytes.fromhex(Document.of("", policy).digest + Document.of("", reference).digest)


def soon(seconds: float = 20.0) -> float:
    return time.monotonic() + seconds


def is_running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def wait_until_gone(pid: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while is_running(pid):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def worker() -> Iterator[WorkerProcess]:
    worker = WorkerProcess()
    worker.wait_ready()
    yield worker
    worker.end()


def load(worker: WorkerProcess, policy: bytes, reference: bytes = REFERENCE) -> bytes:
    name = key(policy, reference)
    status, _ = worker.ask(Operation.LOAD, name, policy, reference, deadline=soon())
    assert status is Status.OK
    return name


def test_answers(worker: WorkerProcess) -> None:
    name = key(POLICY, REFERENCE)
    assert worker.ask(Operation.DECIDE, name, b'{"x": 1}', deadline=soon()) == (Status.UNKNOWN_PAIR, ())
    load(worker, POLICY)
    assert worker.ask(Operation.DECIDE, name, b'{"x": 1}', deadline=soon()) == (Status.OK, (b"true",))
    assert worker.ask(Operation.DECIDE, name, b'{"x": 2}', deadline=soon()) == (Status.OK, (b"false",))
    assert worker.is_usable


@pytest.mark.parametrize(
    ("rule", "given", "answer"),
    [
        ("allow if input.x == 1", b'{"x": 2}', ()),
        ('allow := "yes"', b"{}", (b'"yes"',)),
        ("allow := {true}", b"{}", (b"[true]",)),
        ('allow := "\\u0000é"', b"{}", ('"\\u0000é"'.encode(),)),
        (
            'allow := input.big if input.text == "a\\u0000b"',
            b'{"big": 18446744073709551615, "text": "a\\u0000b"}',
            (b"18446744073709551615",),
        ),
    ],
)
def test_gives_the_value_of_allow(worker: WorkerProcess, rule: str, given: bytes, answer: tuple[bytes, ...]) -> None:
    name = load(worker, b"package policy\nimport rego.v1\n" + rule.encode())
    assert worker.ask(Operation.DECIDE, name, given, deadline=soon()) == (Status.OK, answer)


@pytest.mark.parametrize(
    ("rule", "given", "message"),
    [
        ("allow := to_number(input.x) == 1", b'{"x": "one"}', "could not parse string as number"),
        ("allow := true\n\nother := 1 / input.x", b'{"x": 0}', "divide by zero"),
        ("allow := true\n\nother := x if some x in input.x", b'{"x": [1, 2]}', "multiple outputs"),
        ("allow := input.x", b"{", "the policy cannot be evaluated"),
        ("allow := input.x", b'{"x": "' + b"y" * 70_000 + b'"}', "the limit is 65536"),
    ],
)
def test_evaluation_that_fails_says_why(worker: WorkerProcess, rule: str, given: bytes, message: str) -> None:
    name = load(worker, b"package policy\nimport rego.v1\n" + rule.encode())
    status, parts = worker.ask(Operation.DECIDE, name, given, deadline=soon())
    assert status is Status.REFUSED
    assert parts[0] == b"PolicyError"
    assert message in parts[1].decode()
    assert worker.is_usable


def test_never_evaluates_what_it_did_not_check(worker: WorkerProcess) -> None:
    bad = V1.encode() + b'allow if not http.send({"url": "x"})\n'
    for policy, reference in ((bad, REFERENCE), (POLICY, b"[]"), (POLICY, b'{"policy": {}}')):
        name = key(policy, reference)
        assert worker.ask(Operation.LOAD, name, policy, reference, deadline=soon())[0] is Status.REFUSED
        assert worker.ask(Operation.DECIDE, name, b"{}", deadline=soon())[0] is Status.UNKNOWN_PAIR


def test_a_pair_cannot_come_under_the_key_of_another(worker: WorkerProcess) -> None:
    status, parts = worker.ask(Operation.LOAD, key(POLICY, REFERENCE), POLICY, b'{"x": 2}', deadline=soon())
    assert status is Status.REFUSED
    assert b"under the key of others" in parts[1]


def test_requests_that_make_no_sense_are_answered(worker: WorkerProcess) -> None:
    assert worker.ask(Operation.DECIDE, deadline=soon())[0] is Status.REFUSED
    assert worker.ask(Operation.CHECK, b"a", b"b", deadline=soon())[0] is Status.REFUSED
    assert worker.ask(Operation.CHECK, POLICY, deadline=soon())[0] is Status.OK


def test_keeps_few_pairs(worker: WorkerProcess) -> None:
    names = [load(worker, POLICY, b'{"x": %d}' % number) for number in range(5)]
    statuses = [worker.ask(Operation.DECIDE, name, b'{"x": 1}', deadline=soon())[0] for name in names]
    assert statuses == [Status.UNKNOWN_PAIR, *[Status.OK] * 4]


def test_large_messages_arrive_whole(worker: WorkerProcess) -> None:
    reference = b'{"x": 1, "more": "' + b"y" * 5_000_000 + b'"}'
    name = load(worker, POLICY, reference)
    given = b'{"x": 1, "more": "' + b"y" * 900_000 + b'"}'
    assert worker.ask(Operation.DECIDE, name, given, deadline=soon()) == (Status.OK, (b"true",))
    with pytest.raises(LimitExceededError):
        worker.ask(Operation.CHECK, b"x" * (MAX_MESSAGE_BYTES + 1), deadline=soon())
    assert worker.is_usable


def test_runaway_is_cut_off_and_the_process_is_gone(worker: WorkerProcess) -> None:
    name = load(worker, RUNAWAY)
    started = time.monotonic()
    with pytest.raises(WorkerTimeoutError):
        worker.ask(Operation.DECIDE, name, b'{"x": 0}', deadline=soon(0.3))
    assert 0.3 <= time.monotonic() - started < 3
    assert not is_running(worker.pid)
    assert not worker.is_usable


def test_slow_to_take_a_message_is_cut_off_too(worker: WorkerProcess) -> None:
    os.kill(worker.pid, signal.SIGSTOP)
    with pytest.raises(WorkerTimeoutError):
        worker.ask(Operation.CHECK, b"#" * 1_000_000, deadline=soon(0.3))
    assert not is_running(worker.pid)


def test_memory_is_limited(worker: WorkerProcess) -> None:
    name = load(worker, GREEDY)
    assert worker.ask(Operation.DECIDE, name, b'{"n": 1000}', deadline=soon()) == (Status.OK, (b"true",))
    with pytest.raises(WorkerLostError, match="by the signal SIGABRT"):
        worker.ask(Operation.DECIDE, name, b'{"n": 1000000000}', deadline=soon(60))


def test_killed_while_it_works_is_lost(worker: WorkerProcess) -> None:
    name = load(worker, RUNAWAY)
    killer = subprocess.Popen(["sh", "-c", f"sleep 0.3; kill -9 {worker.pid}"])
    with pytest.raises(WorkerLostError, match="by the signal SIGKILL"):
        worker.ask(Operation.DECIDE, name, b'{"x": 0}', deadline=soon())
    killer.wait()
    assert not worker.is_usable


def test_killed_while_it_waits_is_noticed(worker: WorkerProcess) -> None:
    assert worker.is_usable
    os.kill(worker.pid, signal.SIGKILL)
    assert wait_until_gone(worker.pid, 5)
    assert not worker.is_usable


def test_has_nothing_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERDICTD_TEST_SECRET", "hunter2")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.set_inheritable(True)
        worker = WorkerProcess()
        try:
            worker.wait_ready()
            open_files = [str(link.readlink()) for link in Path(f"/proc/{worker.pid}/fd").iterdir()]
            environment = Path(f"/proc/{worker.pid}/environ").read_bytes()
            limits = Path(f"/proc/{worker.pid}/limits").read_text(encoding="ascii")
            assert os.getsid(worker.pid) != os.getsid(0)
        finally:
            worker.end()
    assert not [name for name in open_files if not re.match(r"pipe:|/dev/null$", name)]
    assert b"hunter2" not in environment
    assert re.search(r"Max core file size +0 +0 ", limits)
    assert re.search(r"Max file size +0 +0 ", limits)
    assert re.search(r"Max address space +536870912 +536870912 ", limits)


PARENT = """
import sys, threading, time
from verdictd.policy.protocol import Operation
from verdictd.policy.worker_process import WorkerProcess
worker = WorkerProcess()
worker.wait_ready()
print(worker.pid, flush=True)
if len(sys.argv) > 1:
    policy, key = open(sys.argv[1], "rb").read(), bytes.fromhex(sys.argv[2])
    worker.ask(Operation.LOAD, key, policy, b'{"x": 1}', deadline=time.monotonic() + 20)
    decide = lambda: worker.ask(Operation.DECIDE, key, b'{"x": 0}', deadline=time.monotonic() + 2)
    threading.Thread(target=decide, daemon=True).start()
    time.sleep(0.4)
    print("deciding", flush=True)
time.sleep(60)
"""


def orphan(*arguments: str, lines: int) -> int:
    """Start a parent with a worker, kill the parent, return the worker's id."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT, *arguments], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    said = [parent.stdout.readline() for _ in range(lines)]
    parent.kill()
    parent.wait()
    parent.stdout.close()
    return int(said[0])


def test_ends_with_its_parent() -> None:
    assert wait_until_gone(orphan(lines=1), 10)


def test_ends_without_its_parent_also_in_the_middle_of_a_runaway(tmp_path: Path) -> None:
    path = tmp_path / "runaway.rego"
    path.write_bytes(RUNAWAY)
    pid = orphan(str(path), key(RUNAWAY, REFERENCE).hex(), lines=2)
    assert is_running(pid)
    assert wait_until_gone(pid, 20)


def test_worker_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "regorus.py").write_text("raise ImportError('no engine here')\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    worker = WorkerProcess()
    with pytest.raises(WorkerLostError, match="does not start: ImportError: no engine here"):
        worker.wait_ready()
    assert not worker.is_usable


def test_interpreter_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(WorkerLostError, match="cannot be started"):
        WorkerProcess()
