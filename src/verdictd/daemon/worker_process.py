"""The supervisor's side of one worker process: its start, its link, the connections it has, its end."""

import contextlib
import os
import socket
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from verdictd.core.errors import ConfigError
from verdictd.daemon.handover import make_handover
from verdictd.daemon.link import Handler, Link, Question


@dataclass(slots=True, eq=False, kw_only=True)
class WorkerProcess:
    """One worker process.

    Attributes:
        number: tells it from the others, those before it included.
        process: the process.
        link: over which it is asked and told.
        handover: over which it is given connections.
        tokens: of the connections it has, each with the host that its peer is on.
        is_serving: whether it may be given connections.
    """

    number: int
    process: "subprocess.Popen[bytes]"
    link: Link
    handover: socket.socket
    tokens: dict[int, str] = field(default_factory=dict)
    is_serving: bool = False

    def end(self) -> None:
        """Kill the process and end its link. Its connections are cut off; `handover` is for the dispatcher to close."""
        self.link.close()
        with contextlib.suppress(OSError):
            self.process.kill()
        self.process.wait()

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end; whether it came."""
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True


def start_worker(
    command: Sequence[str],
    number: int,
    make_handler: Callable[["WorkerProcess"], Handler],
    on_lost: Callable[["WorkerProcess"], None],
) -> WorkerProcess:
    """Start a worker process; it serves nobody until it is told how.

    Args:
        command: the program; the descriptors of its two sockets are added.
        number: tells it from the others.
        make_handler: takes what it asks and tells.
        on_lost: called when it is gone, on a thread of its own.
    Raises:
        ConfigError: it cannot be started.
    """
    own_control, its_control = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    own_handover, its_handover = make_handover()
    with its_control, its_handover:
        descriptors = (its_control.fileno(), its_handover.fileno())
        try:
            # A session of its own: what the terminal signals is for the supervisor, which then tells the workers.
            process = subprocess.Popen(
                [*command, *map(str, descriptors)],
                pass_fds=descriptors,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=os.environ | {"MALLOC_ARENA_MAX": "2"},
            )
        except OSError as error:
            own_control.close()
            own_handover.close()
            raise ConfigError(f"a worker process cannot be started: {error}") from error
    worker: WorkerProcess

    def handle(question: Question) -> None:
        make_handler(worker)(question)

    link = Link(own_control, handle, lambda: on_lost(worker), name=f"worker-{number}")
    worker = WorkerProcess(number=number, process=process, link=link, handover=own_handover)
    link.start()
    return worker
