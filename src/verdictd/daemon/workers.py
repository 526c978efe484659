"""All the worker processes of a supervisor: what one is told, all are told; one that is lost is replaced."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding

from verdictd.collateral.items import CollateralItem
from verdictd.core.errors import ConfigError, VerdictdError
from verdictd.daemon.collateral_wire import encode_item
from verdictd.daemon.link import Handler, LinkLostError, settle
from verdictd.daemon.policies import Pairs
from verdictd.daemon.proto.worker_pb2 import Commit, Frame, Prepare, Root, Stop, Watch
from verdictd.daemon.settings_reader import encode_settings
from verdictd.daemon.supervisor_state import SupervisorState
from verdictd.daemon.worker_process import WorkerProcess, start_worker
from verdictd.policy.pair_exchange import encode_pairs

_LOGGER: Final = logging.getLogger(__name__)
ACKNOWLEDGE_S: Final = 5.0
"""In which a worker takes what it is told; one that does not is ended, and replaced."""
PREPARE_S: Final = 60.0
"""In which a worker gets ready: it may have to start its policy process, make a quote and find collateral."""
_STOP_MARGIN_S: Final = 3.0
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 10.0


class Workers:
    """The workers. Methods may be called from any thread unless they say otherwise."""

    def __init__(
        self,
        count: int,
        command: Sequence[str],
        make_handler: Callable[[WorkerProcess], Handler],
        on_change: Callable[[WorkerProcess], None],
    ) -> None:
        """Make the set; no process runs yet.

        Args:
            count: how many.
            command: the program of a worker.
            make_handler: makes what takes a worker's questions and news.
            on_change: called on some thread when a worker began to serve, or is gone; see its `is_serving`.
        """
        self._count = count
        self._command = tuple(command)
        self._make_handler = make_handler
        self._on_change = on_change
        self._telling = threading.RLock()
        self._told: tuple[WorkerProcess, ...] = ()
        self._pairs: Pairs = {}
        self._state: SupervisorState | None = None
        self._is_watched = False
        self._numbers = 0
        self._pause_s = _FIRST_PAUSE_S
        self._is_stopping = threading.Event()

    def __iter__(self) -> Iterator[WorkerProcess]:
        """The workers that are told what there is to tell, those that get ready included."""
        return iter(self._told)

    @property
    def serving(self) -> tuple[WorkerProcess, ...]:
        """The workers that take connections."""
        return tuple(worker for worker in self._told if worker.is_serving)

    def start(self, state: SupervisorState) -> None:
        """Start all, and wait until all serve.

        Raises:
            VerdictdError: one cannot do what the settings say; none is left running.
        """
        self._state = state
        try:
            workers = [self._begin() for _ in range(self._count)]
            self._make_ready(workers, state)
            for worker in workers:
                self._commit(worker)
        except VerdictdError:
            self._is_stopping.set()
            for worker in self._told:
                worker.end()
            raise

    def replace_state(self, state: SupervisorState) -> None:
        """Have all workers take up other settings; none does where one cannot.

        Raises:
            VerdictdError: one cannot; nothing was changed.
        """
        with self._telling:
            workers = [worker for worker in self._told if worker.is_serving]
            self._make_ready(workers, state)
            self._state = state
            for worker in workers:
                try:
                    self._commit(worker)
                except VerdictdError as error:
                    self._give_up(worker, error)

    def put_in_force(self, pairs: Pairs) -> None:
        """Have every worker decide under these from now on. Returns when none decides under anything else."""
        with self._telling:
            self._pairs = pairs
            self._tell_all(Frame(pairs=encode_pairs(pairs)))

    def watch(self, *, is_on: bool) -> None:
        """Have every worker tell of each attestation as it is concluded, or cease to."""
        with self._telling:
            self._is_watched = is_on
            self._tell_all(_watch(is_on=is_on))

    def learn(self, item: CollateralItem, is_from_peer: bool) -> None:  # noqa: FBT001 - as the service calls it
        """Tell every worker of newer collateral."""
        frame = Frame(newer=encode_item(item, is_from_peer=is_from_peer))
        for worker in self._told:
            with contextlib.suppress(LinkLostError):
                worker.link.send(frame)

    def ask_all(
        self, make_frame: Callable[[], Frame], *, timeout_s: float = ACKNOWLEDGE_S
    ) -> dict[WorkerProcess, Frame]:
        """Ask every worker that serves, and return the answers of those that gave one in time."""
        asked = {}
        for worker in self.serving:
            with contextlib.suppress(LinkLostError):
                asked[worker] = worker.link.ask_later(make_frame())
        deadline, answers = time.monotonic() + timeout_s, {}
        for worker, answer in asked.items():
            with contextlib.suppress(VerdictdError):
                answers[worker] = settle(answer, timeout_s=max(0.0, deadline - time.monotonic()))
        return answers

    def stop(self, grace_s: float) -> None:
        """Have all finish what was asked of them, and end them."""
        self._is_stopping.set()
        workers = self._told
        for worker in workers:
            with contextlib.suppress(LinkLostError):
                worker.link.send(Frame(stop=Stop(grace_s=grace_s)))
        deadline = time.monotonic() + grace_s + _STOP_MARGIN_S
        for worker in workers:
            if not worker.wait(max(0.0, deadline - time.monotonic())):
                _LOGGER.warning("a worker did not end in time and is killed", extra={"worker": worker.number})
            worker.end()

    def _begin(self) -> WorkerProcess:
        """Start a process and tell it what is in force; from here on it misses nothing that is told."""
        with self._telling:
            self._numbers += 1
            worker = start_worker(self._command, self._numbers, self._make_handler, self._replace)
            self._told = (*self._told, worker)
            if self._is_stopping.is_set():  # whoever ends them all may not have seen this one
                worker.end()
                raise ConfigError("no worker begins any more: verdictd is ending")
            with contextlib.suppress(LinkLostError):  # its link has it replaced: an error here would be a second time
                worker.link.send(Frame(pairs=encode_pairs(self._pairs)))
                if self._is_watched:
                    worker.link.send(_watch(is_on=True))
        return worker

    def _make_ready(self, workers: Sequence[WorkerProcess], state: SupervisorState) -> None:
        answers = [worker.link.ask_later(Frame(prepare=_prepare(state))) for worker in workers]
        for answer in answers:
            settle(answer, timeout_s=PREPARE_S)
        own, peers = state.collateral.known()
        for worker in workers:
            for items, is_from_peer in ((own, False), (peers, True)):
                for item in items:
                    worker.link.send(Frame(newer=encode_item(item.item, is_from_peer=is_from_peer)))

    def _commit(self, worker: WorkerProcess) -> None:
        worker.link.ask(Frame(commit=Commit()), timeout_s=ACKNOWLEDGE_S)
        worker.is_serving = True
        self._on_change(worker)

    def _tell_all(self, frame: Frame) -> None:
        answers: list[tuple[WorkerProcess, Future[Frame]]] = []
        for worker in self._told:
            copy = Frame()
            copy.CopyFrom(frame)
            try:
                answers.append((worker, worker.link.ask_later(copy)))
            except LinkLostError as error:
                self._give_up(worker, error)
        deadline = time.monotonic() + ACKNOWLEDGE_S
        for worker, answer in answers:
            try:
                settle(answer, timeout_s=max(0.0, deadline - time.monotonic()))
            except VerdictdError as error:
                self._give_up(worker, error)

    def _give_up(self, worker: WorkerProcess, error: VerdictdError) -> None:
        """End a worker that did not take what it was told: it must not go on with what was before."""
        worker.is_serving = False
        _LOGGER.error("a worker does not follow and is ended", extra={"worker": worker.number, "why": str(error)})
        worker.end()

    def _replace(self, worker: WorkerProcess) -> None:
        """A worker is gone: put another in its place. Runs on the thread of its link."""
        was_healthy = worker.is_serving
        worker.is_serving = False
        self._on_change(worker)
        if self._is_stopping.is_set():  # it was told to end, and is doing so; `stop` waits for it
            return
        with self._telling:
            self._told = tuple(other for other in self._told if other is not worker)
        worker.end()
        _LOGGER.error(
            "a worker ended and is replaced", extra={"worker": worker.number, "status": worker.process.returncode}
        )
        self._pause_s = _FIRST_PAUSE_S if was_healthy else min(2 * self._pause_s, _LONGEST_PAUSE_S)
        while not self._is_stopping.wait(self._pause_s):
            try:
                successor = self._begin()
            except VerdictdError as error:
                if self._is_stopping.is_set():
                    return
                _LOGGER.error("a worker cannot be replaced", extra={"why": str(error)})  # noqa: TRY400 - no trace
                self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
                continue
            self._take_into_service(successor)
            return

    def _take_into_service(self, worker: WorkerProcess) -> None:
        try:
            state = self._current()
            self._make_ready([worker], state)
            with self._telling:
                if self._current() is not state:  # a reload came meanwhile
                    self._make_ready([worker], self._current())
                self._commit(worker)
        except VerdictdError as error:
            _LOGGER.error("a worker does not begin", extra={"worker": worker.number, "why": str(error)})  # noqa: TRY400
            worker.end()  # which is noticed, and makes another try

    def _current(self) -> SupervisorState:
        assert self._state is not None
        return self._state


def _watch(*, is_on: bool) -> Frame:
    return Frame(watch=Watch(is_on=is_on))


def _prepare(state: SupervisorState) -> Prepare:
    roots = [Root(der=root.certificate.public_bytes(Encoding.DER), label=root.label) for root in state.roots.roots]
    return Prepare(settings=encode_settings(state.settings), roots=roots)
