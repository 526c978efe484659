"""Which worker gets a connection, and that each connection is released once, whatever became of its worker."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import create_autospec

from tests.unit.daemon.worker_sets import PATIENCE_S, fake, ignore, state_of
from verdictd.daemon.dispatcher import Dispatcher
from verdictd.daemon.handover import TokenReturner, make_handover, take_handed
from verdictd.daemon.link import Link
from verdictd.daemon.worker_process import WorkerProcess
from verdictd.daemon.workers import Workers

PEER, HOST = "192.0.2.1:7", "192.0.2.1"


class Fixture:
    """A dispatcher, workers of which there is nothing but the handover, and the hosts that were released."""

    def __init__(self, stack: ExitStack) -> None:
        self.released: list[str] = []
        self.changed = asyncio.Event()
        self.dispatcher = Dispatcher(self._release)
        self._stack = stack
        stack.callback(self.dispatcher.close)

    def _release(self, host: str) -> None:
        self.released.append(host)
        self.changed.set()

    def add_worker(self) -> tuple[WorkerProcess, socket.socket]:
        """Return a worker that serves, and its own end of the handover."""
        ours, its = make_handover()
        self._stack.enter_context(its)
        link = create_autospec(Link, instance=True)
        worker = WorkerProcess(number=1, process=None, link=link, handover=ours, is_serving=True)  # type: ignore[arg-type]
        self.dispatcher.note(worker)
        return worker, its

    def dispatch(self, host: str = HOST) -> socket.socket:
        """Dispatch a connection, and return the peer's end of it."""
        accepted, peer = socket.socketpair()
        self.dispatcher.dispatch(accepted, PEER, host)
        assert accepted.fileno() == -1, "the supervisor keeps no descriptor of a connection"
        peer.settimeout(PATIENCE_S)
        return self._stack.enter_context(peer)

    def take_tokens(self, its: socket.socket) -> list[int]:
        """Take all connections as a worker does, close them, and return their tokens."""
        tokens = []
        while (handed := take_handed(its)) is not None:
            handed.accepted.close()
            tokens.append(handed.token)
        return tokens

    def lose(self, worker: WorkerProcess) -> None:
        worker.is_serving = False
        self.dispatcher.note(worker)

    async def wait_for_releases(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.released) < count:
                self.changed.clear()
                await self.changed.wait()


def play(scenario: Callable[[Fixture], Awaitable[None]]) -> None:
    async def run() -> None:
        with ExitStack() as stack:
            await scenario(Fixture(stack))

    asyncio.run(run())


def test_the_worker_with_the_fewest_connections_gets_the_next() -> None:
    async def scenario(fixture: Fixture) -> None:
        (one, its_one), (other, its_other) = fixture.add_worker(), fixture.add_worker()
        for _ in range(6):
            fixture.dispatch()
        assert (len(one.tokens), len(other.tokens)) == (3, 3)
        tokens = fixture.take_tokens(its_one)
        returner = TokenReturner(its_one)
        for token in tokens[:2]:
            returner.keep(token)
        returner.give_back()
        await fixture.wait_for_releases(2)
        for _ in range(2):
            fixture.dispatch()
        assert (len(one.tokens), len(other.tokens)) == (3, 3)
        assert fixture.dispatcher.connections == 6
        assert len({*one.tokens, *other.tokens}) == 6, "no two connections have the same token"
        assert fixture.take_tokens(its_other)

    play(scenario)


def test_a_token_counts_once_and_a_made_up_one_never() -> None:
    async def scenario(fixture: Fixture) -> None:
        worker, its = fixture.add_worker()
        fixture.dispatch("192.0.2.1")
        fixture.dispatch("192.0.2.2")
        first, second = fixture.take_tokens(its)
        returner = TokenReturner(its)
        for token in (first, first, 2**63, second):
            returner.keep(token)
        returner.give_back()
        await fixture.wait_for_releases(2)
        assert fixture.released == ["192.0.2.1", "192.0.2.2"]
        assert worker.tokens == {}

    play(scenario)


def test_where_one_worker_can_take_no_more_another_does() -> None:
    async def scenario(fixture: Fixture) -> None:
        (busy, _), (other, its_other) = fixture.add_worker(), fixture.add_worker()
        while len(busy.tokens) >= len(other.tokens):  # until its queue is full, as it takes nothing
            fixture.dispatch()
            fixture.take_tokens(its_other)
        before = len(other.tokens)
        fixture.dispatch()
        fixture.take_tokens(its_other)
        assert len(other.tokens) == before + 1
        assert fixture.released == []

    play(scenario)


def test_where_no_worker_can_take_it_a_connection_is_closed_and_released() -> None:
    async def scenario(fixture: Fixture) -> None:
        peer = fixture.dispatch()
        assert peer.recv(1) == b""
        assert fixture.released == [HOST]

    play(scenario)


def test_all_connections_of_a_lost_worker_are_released_once() -> None:
    async def scenario(fixture: Fixture) -> None:
        worker, _ = fixture.add_worker()
        for number in range(3):
            fixture.dispatch(f"192.0.2.{number}")
        fixture.lose(worker)
        fixture.lose(worker)
        assert fixture.released == ["192.0.2.0", "192.0.2.1", "192.0.2.2"]
        assert fixture.dispatcher.connections == 0
        assert worker.handover.fileno() == -1
        fixture.dispatch()
        assert fixture.released[3:] == [HOST], "it gets no connection any more"

    play(scenario)


def test_what_a_killed_process_had_is_released_and_its_peers_are_cut_off(tmp_path: Path) -> None:
    async def scenario(fixture: Fixture) -> None:
        loop, began = asyncio.get_running_loop(), asyncio.Event()

        def note(worker: WorkerProcess) -> None:
            loop.call_soon_threadsafe(fixture.dispatcher.note, worker)
            loop.call_soon_threadsafe(began.set)

        workers = Workers(1, fake(tmp_path), lambda _: ignore, note)
        try:
            await asyncio.to_thread(workers.start, state_of(tmp_path))
            async with asyncio.timeout(PATIENCE_S):
                await began.wait()
            (worker,) = workers.serving
            peers = [fixture.dispatch() for _ in range(3)]
            assert fixture.dispatcher.connections == 3
            worker.process.kill()
            await fixture.wait_for_releases(3)
            assert [await asyncio.to_thread(peer.recv, 1) for peer in peers] == [b""] * 3
        finally:
            await asyncio.to_thread(workers.stop, 5.0)
            for worker in workers:
                await asyncio.to_thread(worker.link._reader.join, PATIENCE_S)
            await asyncio.sleep(0)  # the news of their end are on their way

    play(scenario)
