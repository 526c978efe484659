"""A worker's end: whenever it comes, and however slowly the link closes, nothing is left that fails."""

import asyncio
import socket
import threading
import time

import pytest

from verdictd.daemon.proto.worker_pb2 import Frame, Stop
from verdictd.daemon.worker import Worker


class SlowToClose(socket.socket):
    """A socket whose end the reading thread learns late."""

    def close(self) -> None:
        time.sleep(0.3)
        super().close()


def run_worker(control: socket.socket) -> None:
    ours, its = socket.socketpair()

    async def run() -> None:
        await Worker(control, ours, lambda _: None).run()

    with ours, its:
        asyncio.run(run())


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> list[threading.ExceptHookArgs]:
    caught: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", caught.append)
    return caught


@pytest.mark.parametrize("is_told", [True, False], ids=["told to stop", "supervisor gone"])
def test_a_link_that_ends_late_ends_before_the_loop(faults: list[threading.ExceptHookArgs], *, is_told: bool) -> None:
    ours, its = socket.socketpair()
    with its, SlowToClose(fileno=ours.detach()) as control:
        if is_told:
            frame = Frame(stop=Stop(grace_s=0)).SerializeToString()
            its.sendall(len(frame).to_bytes(4, "little") + frame)
        else:
            its.shutdown(socket.SHUT_WR)
        run_worker(control)
        time.sleep(0.5)
    assert not [thread for thread in threading.enumerate() if thread.name == "supervisor"]
    assert not faults
