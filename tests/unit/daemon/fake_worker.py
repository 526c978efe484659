"""A worker process that serves nobody: it takes what it is told, writes that down, and fails as it is told to.

``fake_worker.py DIRECTORY CONTROL HANDOVER``. In the directory, it writes a line for each frame to ``PID.told``; where
there is a file ``PID.deaf`` it does not acknowledge policies, and with ``PID.unable`` it cannot get ready.
"""

import os
import socket
import sys
import threading
from pathlib import Path

from verdictd.core.errors import ConfigError
from verdictd.daemon.link import Link, Question
from verdictd.daemon.proto.worker_pb2 import Figures, Frame
from verdictd.daemon.worker_metrics import ATTESTATIONS, WorkerMetrics
from verdictd.policy.active import UnusablePair
from verdictd.policy.pair_exchange import decode_pairs


class FakeWorker:
    """What a worker process answers, and nothing of what it does."""

    def __init__(self, directory: Path) -> None:
        self._own = directory / str(os.getpid())
        self._ended = threading.Event()

    def run(self, control: socket.socket) -> None:
        """Answer until told to end, or until nobody asks any more."""
        link = Link(control, self._take, self._ended.set, name="supervisor")
        link.start()
        self._ended.wait()

    def _take(self, question: Question) -> None:
        body = question.frame.WhichOneof("body")
        self._write_down(f"{body}{self._describe(question.frame)}")
        if body == "stop":
            self._ended.set()
        elif body == "figures_request":
            metrics = WorkerMetrics()
            metrics.count(ATTESTATIONS, "sgx_ecdsa", "accepted", "")
            question.answer(Frame(figures=Figures(metrics=metrics.snapshot())))
        elif body == "prepare" and self._own.with_suffix(".unable").exists():
            question.answer_error(ConfigError("it cannot", remedy="let it be able"))
        elif body != "pairs" or not self._own.with_suffix(".deaf").exists():
            question.answer_done()

    def _describe(self, frame: Frame) -> str:
        pairs = decode_pairs(frame.pairs).values() if frame.HasField("pairs") else ()
        return "".join(f" {pair.reason}" for pair in pairs if isinstance(pair, UnusablePair))

    def _write_down(self, line: str) -> None:
        with self._own.with_suffix(".told").open("a") as file:
            file.write(f"{line}\n")


if __name__ == "__main__":
    FakeWorker(Path(sys.argv[1])).run(socket.socket(fileno=int(sys.argv[2])))
