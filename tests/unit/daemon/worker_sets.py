"""Sets of worker processes for tests, real or fake, and what becomes of them."""

import queue
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from verdictd.collateral.disk_cache import DiskCache
from verdictd.collateral.service import CollateralService
from verdictd.configuration.trust_files import load_trust_roots
from verdictd.daemon.link import Question
from verdictd.daemon.settings import Settings
from verdictd.daemon.supervisor_state import SupervisorState
from verdictd.daemon.worker_process import WorkerProcess
from verdictd.daemon.workers import Workers
from verdictd.policy.active import PairNames, UnusablePair
from verdictd.tees.dcap.memory import FactMemory

PATIENCE_S = 30.0


@dataclass(slots=True)
class WorkerSet:
    """Workers that run, and what was said of them.

    Attributes:
        directory: where the fake ones write down what they are told.
        workers: all of them.
        changes: each worker that began to serve, or was lost, with which of the two.
    """

    directory: Path
    workers: Workers
    changes: "queue.Queue[tuple[WorkerProcess, bool]]" = field(default_factory=queue.Queue)

    def told(self, worker: WorkerProcess) -> list[str]:
        """What a fake worker was told so far."""
        return (self.directory / f"{worker.process.pid}.told").read_text().splitlines()

    def make(self, worker: WorkerProcess, what: str) -> None:
        """Have a fake worker fail in some way from now on."""
        (self.directory / f"{worker.process.pid}.{what}").touch()

    def wait_for_change(self, *, is_serving: bool) -> WorkerProcess:
        """The next worker that begins to serve, or is lost."""
        while True:
            worker, serves = self.changes.get(timeout=PATIENCE_S)
            if serves is is_serving:
                return worker


def fake(directory: Path) -> tuple[str, ...]:
    """The program of a fake worker."""
    return sys.executable, str(Path(__file__).with_name("fake_worker.py")), str(directory)


REAL = (sys.executable, "-m", "verdictd.cli.worker")


@contextmanager
def made_set(directory: Path, command: Sequence[str] | None = None, *, count: int = 2) -> Iterator[WorkerSet]:
    """Workers that are not started, and that are ended in any case."""
    changes: queue.Queue[tuple[WorkerProcess, bool]] = queue.Queue()

    def note(worker: WorkerProcess) -> None:
        if not worker.is_serving:
            worker.handover.close()  # as the dispatcher does
        changes.put((worker, worker.is_serving))

    workers = Workers(count, command or fake(directory), lambda _: ignore, note)
    try:
        yield WorkerSet(directory, workers, changes)
    finally:
        workers.stop(5.0)
        for worker in workers:
            worker.link._reader.join(PATIENCE_S)


@contextmanager
def running(directory: Path, command: Sequence[str] | None = None, *, count: int = 2) -> Iterator[WorkerSet]:
    """Workers that serve; all of them have been waited for."""
    with made_set(directory, command, count=count) as made:
        made.workers.start(state_of(directory))
        for _ in range(count):
            made.wait_for_change(is_serving=True)
        yield made


def state_of(directory: Path) -> SupervisorState:
    """The least that a supervisor can have."""
    settings = Settings(mutual=True, data_dir=directory / "data")
    roots = load_trust_roots(settings.trust_roots)
    service = CollateralService(roots=roots, memory=FactMemory(), sources=[])
    cache = DiskCache(directory / "collateral")
    return SupervisorState(settings=settings, roots=roots, collateral=service, cache=cache, warnings=())


def in_force(name: str) -> dict[str, UnusablePair]:
    """Something to put in force, that can be told from others by its name."""
    return {"sgx_ecdsa": UnusablePair(PairNames("sgxPolicy.rego", "sgxData"), name, "")}


def ignore(question: Question) -> None:
    del question
