"""verdictd with several worker processes: what becomes of them, and of those whom they serve, when one is killed."""

import base64
import contextlib
import json
import os
import re
import select
import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.e2e.conftest import TRUST
from tests.e2e.processes import Verifier, verifier
from tests.e2e.test_concurrent_peers import attest
from verdictd.audit.lines import parse_line
from verdictd.ratstls.certificate_builder import Identity, build_identity
from verdictd.simulator.attester import SimulatedAttester
from verdictd.simulator.enclave import EnclaveSpec
from verdictd.simulator.platform import SimulatedPlatform

OLD, NEW = b"\x0a" * 32, b"\x0b" * 32
PATIENCE_S = 30.0
KILLS = 3
"""Of a worker under load."""


@pytest.fixture
def verdictd(place: Path) -> Iterator[Verifier]:
    with verifier(place, *TRUST, "--collateral", "collateral.json", "--workers", "2") as running:
        yield running


def workers_of(verdictd: Verifier) -> list[int]:
    """The processes of its workers, which are those of its children that have this program."""
    return [process for process in children_of(verdictd.service.process.pid) if is_worker(process)]


def children_of(process: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{process}/task").iterdir():
        with contextlib.suppress(OSError):  # a thread may end meanwhile
            found += [int(word) for word in (task / "children").read_text().split()]
    return found


def is_worker(process: int) -> bool:
    try:
        return b"verdictd.cli.worker" in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False


def make_identity(place: Path, measure: bytes) -> Identity:
    attester = SimulatedAttester(SimulatedPlatform.load(place / "platform"), EnclaveSpec(mr_enclave=measure))
    return build_identity(at=datetime.now(UTC), make_quote=attester.quote)


def upload(verdictd: Verifier, *measures: bytes) -> None:
    """Have `verdict` put reference values in force that name these enclaves."""
    named = [base64.b64encode(measure).decode() for measure in measures]
    reference = {"mrEnclave": named, "mrSigner": [], "productId": 0, "svn": 0}
    (verdictd.directory / "reference").write_text(json.dumps(reference))
    done = verdictd.verdict("--set-opa-reference", "sgxData", "./reference")
    assert done.returncode == 0, done.stderr


def accepted_of(verdictd: Verifier) -> list[str]:
    """The attestation ids of those who were accepted, as the audit log has them."""
    lines = (verdictd.directory / "data" / "audit" / "audit.jsonl").read_bytes().splitlines(keepends=True)
    contents = [parse_line(line).content for line in lines]
    return [str(content["id"]) for content in contents if content.get("verdict") == "accepted"]


def verify_audit_log(verdictd: Verifier, *words: str) -> None:
    done = verdictd.verdict("audit", "verify", "data/audit", *words)
    assert done.returncode == 0, done.stdout + done.stderr


def test_honest_peers_go_on_being_served_while_workers_are_killed(place: Path, verdictd: Verifier) -> None:
    upload(verdictd, OLD)
    identities = [make_identity(place, OLD) for _ in range(4)]
    served: list[str] = []
    ended, served_again = threading.Event(), threading.Condition()

    def keep_attesting(identity: Identity) -> None:
        while not ended.is_set():
            if attest(identity, verdictd.host, int(verdictd.port)):
                with served_again:
                    served.append(identity.attestation_id)
                    served_again.notify_all()

    def wait_for_more(count: int) -> None:
        enough = len(served) + count
        with served_again:
            assert served_again.wait_for(lambda: len(served) >= enough, PATIENCE_S), "nobody is served any more"

    threads = [threading.Thread(target=keep_attesting, args=(identity,)) for identity in identities]
    for thread in threads:
        thread.start()
    try:
        for _ in range(KILLS):
            wait_for_more(10)
            seen = len(verdictd.service.lines)
            os.kill(workers_of(verdictd)[0], signal.SIGKILL)
            wait_for_more(10)
            verdictd.service.wait_for("a worker ended and is replaced", after=seen)
            wait_for_more(10)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    recorded = accepted_of(verdictd)
    for identity in identities:
        acknowledged = served.count(identity.attestation_id)
        assert recorded.count(identity.attestation_id) >= acknowledged > 0
    verify_audit_log(verdictd)
    assert verdictd.service.stop() == 0
    head = re.search(r'audit log head="?([0-9]+:[0-9a-f]{64})', "\n".join(reversed(verdictd.service.lines)))
    assert head is not None
    verify_audit_log(verdictd, "--expect-head", head[1])
    assert not [line for line in verdictd.service.lines if "fault in" in line]


def test_an_upload_is_in_force_in_every_worker_when_it_returns(place: Path, verdictd: Verifier) -> None:
    old, new = make_identity(place, OLD), make_identity(place, NEW)
    port = int(verdictd.port)
    for named, refused in ((old, new), (new, old), (old, new)):
        upload(verdictd, OLD if named is old else NEW)
        assert [attest(refused, verdictd.host, port) for _ in range(30)] == [False] * 30
        assert [attest(named, verdictd.host, port) for _ in range(4)] == [True] * 4


def test_whoever_replaces_a_killed_worker_decides_under_what_was_uploaded_before(
    place: Path, verdictd: Verifier
) -> None:
    old, new = make_identity(place, OLD), make_identity(place, NEW)
    upload(verdictd, OLD)
    upload(verdictd, NEW)
    before = workers_of(verdictd)
    seen = len(verdictd.service.lines)
    for process in before:
        os.kill(process, signal.SIGKILL)
    wait_until_replaced(verdictd, seen)
    assert not set(workers_of(verdictd)) & set(before)
    for _ in range(10):
        assert not attest(old, verdictd.host, int(verdictd.port))
        assert attest(new, verdictd.host, int(verdictd.port))


def wait_until_replaced(verdictd: Verifier, seen: int) -> None:
    """Wait until both workers were lost, which its output says from line `seen` on, and two serve again."""
    for number in (1, 2):
        verdictd.service.wait_for(f"a worker ended and is replaced worker={number}", after=seen)
    for _ in range(100):
        if "2 workers serve" in verdictd.verdict("status").stdout:
            return
    raise AssertionError(verdictd.verdict("status").stdout)


def test_no_worker_outlives_its_supervisor(place: Path) -> None:
    with verifier(place, *TRUST, "--collateral", "collateral.json", "--workers", "2") as verdictd:
        workers = workers_of(verdictd)
        assert len(workers) == 2
        watched = [os.pidfd_open(process) for process in workers]
        try:
            os.kill(verdictd.service.process.pid, signal.SIGKILL)
            verdictd.service.process.wait()
            for descriptor in watched:
                assert has_ended(descriptor)
        finally:
            for descriptor in watched:
                os.close(descriptor)


def has_ended(descriptor: int) -> bool:
    """Whether the process of a pidfd ends."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(PATIENCE_S * 1000))
