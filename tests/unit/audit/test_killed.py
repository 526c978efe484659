"""Processes that append are killed at any instant: what was acknowledged is there, once, and the chain holds."""

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.unit.audit.test_log import contents, verified
from verdictd.audit.lines import parse_line
from verdictd.audit.log import AuditLog
from verdictd.audit.segments import read_lines, snapshot

# Acknowledges each record only once `append` has returned: its number and what it says, in one small write.
APPENDER = r"""
import os, pathlib, sys
from verdictd.audit.log import AuditLog

log = AuditLog.open(pathlib.Path(sys.argv[1]), max_segment_bytes=200_000)
count = 0
while True:
    count += 1
    says = f"{os.getpid()}.{count}"
    seq = log.append({"says": says, "x": "y" * (count * 37 % 9000)})
    os.write(1, f"{seq} {says}\n".encode())
"""

# A step is a call into the operating system, or its return, as the interpreter reports them. A fork of this process is
# killed at each; what it left is opened again.
EVERY_STEP = r"""
import json, os, pathlib, shutil, signal, sys
from verdictd.audit.log import AuditLog

base = pathlib.Path(sys.argv[1])

def killed_at(directory, wanted):
    taken = 0
    def profile(frame, event, function):
        nonlocal taken
        if event in ("c_call", "c_return") and getattr(function, "__module__", None) in ("posix", "fcntl", "io"):
            taken += 1
            if taken == wanted:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.setprofile(profile)
    with AuditLog.open(directory, max_segment_bytes=300) as log:
        for number in range(3):
            os.write(pipe, b"%d\n" % log.append({"n": number, "x": "y" * 100}))
    sys.setprofile(None)

step = 0
while True:
    step += 1
    directory = base / str(step)
    directory.mkdir()
    with AuditLog.open(directory, max_segment_bytes=300) as log:
        log.append({"n": "before"})
    with (directory / "audit.jsonl").open("ab") as file:
        file.write(b"torn")
    reader, pipe = os.pipe()
    child = os.fork()
    if child == 0:
        killed_at(directory, step)
        os._exit(0)
    os.close(pipe)
    status = os.waitpid(child, 0)[1]
    acknowledged = [int(line) for line in os.read(reader, 1000).split()]
    os.close(reader)
    with AuditLog.open(directory, max_segment_bytes=300) as log:
        last = log.append({"n": "after"})
    print(json.dumps([step, os.WIFSIGNALED(status), acknowledged, last]), flush=True)
    if not os.WIFSIGNALED(status):
        break
"""


def start(directory: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", APPENDER, str(directory)], stdout=subprocess.PIPE)


def drain(process: "subprocess.Popen[bytes]", enough: int, into: bytearray) -> None:
    """Read acknowledgements until there are so many more of them."""
    assert process.stdout is not None
    wanted = into.count(b"\n") + enough
    deadline = time.monotonic() + 60
    while into.count(b"\n") < wanted:
        assert time.monotonic() < deadline, "it acknowledges nothing"
        if select.select([process.stdout], [], [], 1)[0]:
            chunk = os.read(process.stdout.fileno(), 65536)
            assert chunk, "it ended by itself"
            into += chunk


def test_four_processes_append_and_one_after_the_other_is_killed(tmp_path: Path) -> None:
    chance = random.Random(5)
    acknowledged = bytearray()
    processes = [start(tmp_path) for _ in range(4)]
    try:
        for _ in range(12):
            victim = processes.pop(0)
            told = bytearray()
            drain(victim, chance.randrange(5, 60), told)
            victim.send_signal(signal.SIGKILL)
            assert victim.stdout is not None
            told += victim.stdout.read()  # what it had acknowledged and nobody had read yet
            victim.stdout.close()
            victim.wait()
            acknowledged += told
            processes.append(start(tmp_path))
    finally:
        for process in processes:
            process.kill()
            assert process.stdout is not None
            acknowledged += process.stdout.read()
            process.stdout.close()
            process.wait()
    with AuditLog.open(tmp_path) as log:
        head = log.read_head()
    records = [parse_line(line) for segment in snapshot(tmp_path) for line in read_lines(segment)]
    said = {record.seq: record.content.get("says") for record in records}
    answers = [line.split(" ") for line in acknowledged.decode().splitlines()]
    assert len(answers) > 200
    assert len(snapshot(tmp_path)) > 3
    assert [entry for entry in answers if said.get(int(entry[0])) != entry[1]] == []
    assert len({seq for seq, _ in answers}) == len(answers)
    assert [record.seq for record in records] == list(range(1, head.seq + 1))
    assert verified(tmp_path, head).holds


def test_killed_at_every_step_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EVERY_STEP, str(tmp_path)], capture_output=True, text=True, check=False, timeout=110
    )
    assert done.returncode == 0, done.stderr
    runs = [json.loads(line) for line in done.stdout.splitlines()]
    assert [killed for _, killed, _, _ in runs] == [True] * (len(runs) - 1) + [False]
    assert len(runs) > 40
    assert {len(acknowledged) for _, _, acknowledged, _ in runs} == {0, 1, 2, 3}
    for step, _, acknowledged, last in runs:
        found = verified(tmp_path / str(step))
        assert found.holds, (step, found.findings)
        assert found.head is not None
        assert (found.first, found.head.seq) == (1, last)
        numbers = [
            record["n"] for record in contents(tmp_path / str(step)) if isinstance(record, dict) and "n" in record
        ]
        assert numbers[: len(acknowledged) + 1] == ["before", *range(len(acknowledged))]
        assert numbers[-1] == "after"
