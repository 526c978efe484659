"""A socket in an event loop: what comes is handed over, what does not in time is an error, and nothing is left open."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from tests.unit.ratstls.serving import LIMITS
from verdictd.core.errors import TransportError
from verdictd.ratstls.socket_stream import READ_BYTES, SocketStream

Test = Callable[[SocketStream, socket.socket], Awaitable[None]]
QUICK = replace(LIMITS, write_timeout_s=0.2, farewell_timeout_s=0.2)


def run(test: Test) -> None:
    async def whole() -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        with theirs:
            stream = SocketStream(ours, QUICK)
            try:
                async with asyncio.timeout(20):
                    await test(stream, theirs)
            finally:
                stream.abandon()
                stream.abandon()
            assert ours.fileno() == -1

    asyncio.run(whole())


async def read_all(stream: SocketStream) -> bytes:
    parts = []
    while data := await stream.read():
        parts.append(data)
    return b"".join(parts)


async def write_ten_times(stream: SocketStream) -> None:
    for _ in range(10):
        await stream.write(b"x")


def drain(theirs: socket.socket) -> bytes:
    parts = []
    try:
        while data := theirs.recv(1 << 20):
            parts.append(data)
    except BlockingIOError:
        pass
    return b"".join(parts)


def test_what_is_there_already_is_read_at_once() -> None:
    async def test(stream: SocketStream, theirs: socket.socket) -> None:
        theirs.send(b"early")
        assert await stream.read() == b"early"

    run(test)


def test_what_comes_later_is_waited_for() -> None:
    async def test(stream: SocketStream, theirs: socket.socket) -> None:
        for number in range(5):
            reading = asyncio.create_task(stream.read())
            await asyncio.sleep(0)
            assert not reading.done()
            theirs.send(b"%d" % number)
            assert await reading == b"%d" % number

    run(test)


def test_no_more_than_a_piece_is_taken_at_once_and_the_rest_waits_with_the_system() -> None:
    async def test(stream: SocketStream, theirs: socket.socket) -> None:
        sent = theirs.send(b"x" * (READ_BYTES + 5000))
        first = await stream.read()
        assert len(first) <= READ_BYTES
        assert len(first) + len(await stream.read()) == sent

    run(test)


def test_what_comes_while_nobody_reads_is_kept_once() -> None:
    async def test(stream: SocketStream, theirs: socket.socket) -> None:
        reading = asyncio.create_task(stream.read())
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.sleep(0)
        theirs.send(b"first")
        await asyncio.sleep(0.05)
        theirs.send(b"second")
        assert await stream.read() == b"first"
        assert await stream.read() == b"second"

    run(test)


def test_the_end_is_nothing_however_often_it_is_asked_for() -> None:
    async def test(stream: SocketStream, theirs: socket.socket) -> None:
        theirs.send(b"last")
        theirs.close()
        assert await read_all(stream) == b"last"
        assert await stream.read() == b""

    run(test)


def test_a_reset_is_an_end() -> None:
    async def whole() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        with listener, socket.create_connection(listener.getsockname()) as theirs:
            ours, _ = listener.accept()
            ours.setblocking(False)
            stream = SocketStream(ours, QUICK)
            reading = asyncio.create_task(stream.read())
            await asyncio.sleep(0)
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            theirs.close()
            assert await reading == b""
            with pytest.raises(TransportError, match="gone"):
                await write_ten_times(stream)
            stream.abandon()

    asyncio.run(whole())


def test_a_pending_read_can_be_ended() -> None:
    async def test(stream: SocketStream, theirs: socket.socket) -> None:
        reading = asyncio.create_task(stream.read())
        await asyncio.sleep(0)
        stream.end_reading()
        assert await reading == b""
        await stream.write(b"still answered")
        assert drain(theirs) == b"still answered"

    run(test)


def test_what_is_written_arrives_whole_however_slowly_it_is_taken() -> None:
    async def test(stream: SocketStream, theirs: socket.socket) -> None:
        content = os.urandom(2_000_000)
        writing = asyncio.create_task(stream.write(content))
        received = b""
        while not writing.done() or len(received) < len(content):
            await asyncio.sleep(0.001)
            received += drain(theirs)
        await writing
        assert received == content

    run(test)


def test_a_peer_that_takes_nothing_is_given_up() -> None:
    async def test(stream: SocketStream, theirs: socket.socket) -> None:
        with pytest.raises(TransportError, match=r"within 0\.2 seconds; raise --write-timeout"):
            await stream.write(b"x" * 20_000_000)
        del theirs

    run(test)


def test_a_deadline_of_the_caller_comes_before_the_limit() -> None:
    async def test(stream: SocketStream, theirs: socket.socket) -> None:
        del theirs
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(TransportError):
            await stream.write(b"x" * 20_000_000, by=began + 0.01)
        assert loop.time() - began < 0.15

    run(test)


def test_last_words_are_not_waited_for() -> None:
    async def test(stream: SocketStream, theirs: socket.socket) -> None:
        stream.write_now(b"bye")
        assert drain(theirs) == b"bye"
        stream.write_now(b"x" * 20_000_000)
        theirs.close()
        stream.write_now(b"to nobody")

    run(test)


def test_parting_lets_the_peer_read_and_ends_when_it_is_gone() -> None:
    async def test(stream: SocketStream, theirs: socket.socket) -> None:
        await stream.write(b"the reason")
        parting = asyncio.create_task(stream.part())
        theirs.send(b"unread")
        await asyncio.sleep(0.02)
        assert not parting.done()
        assert drain(theirs) == b"the reason"
        theirs.close()
        await parting

    run(test)


def test_parting_from_a_peer_that_stays_takes_a_bounded_time() -> None:
    async def test(stream: SocketStream, theirs: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await stream.part()
        assert 0.15 < loop.time() - began < 5
        assert drain(theirs) == b""

    run(test)


def test_one_that_sends_without_end_lets_others_have_their_turn() -> None:
    async def test(stream: SocketStream, theirs: socket.socket) -> None:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        busy = asyncio.create_task(other())
        for _ in range(30):
            theirs.send(b"x")
            await stream.read()
        busy.cancel()
        assert turns >= 5

    run(test)
