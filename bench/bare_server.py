"""The peer of `attested_handshakes`: mutual TLS 1.3 by pyOpenSSL and nothing else, with as many processes as verdictd.

One process listens and hands each accepted connection to one of N workers, each of which does the handshake on memory
buffers in an asyncio event loop, takes any certificate, and closes when its peer does: verdictd's process model.

``python bare_server.py WORKERS CERTIFICATE KEY`` prints its port, and serves until its standard input ends.
"""

import array
import asyncio
import os
import socket
import sys
from pathlib import Path

from OpenSSL import SSL

_READ_BYTES = 64 * 1024


def make_context(certificate: Path, key: Path) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_TICKET)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
    context.use_certificate_file(str(certificate))
    context.use_privatekey_file(str(key))
    return context


class Handshake(asyncio.Protocol):
    """One connection."""

    def __init__(self, context: SSL.Context) -> None:
        self._tls = SSL.Connection(context)
        self._tls.set_accept_state()
        self._is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._tls.bio_write(data)
        try:
            if not self._is_open:
                self._tls.do_handshake()
                self._is_open = True
            self._tls.recv(_READ_BYTES)
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self._tls.shutdown()
            self._send()
            self._transport.close()
            return
        except SSL.Error:
            self._transport.abort()
            return
        self._send()

    def _send(self) -> None:
        try:
            self._transport.write(self._tls.bio_read(_READ_BYTES))
        except SSL.WantReadError:
            return


async def work(handover: socket.socket, context: SSL.Context) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    tasks = set()

    def take() -> None:
        message, descriptors, _, _ = socket.recv_fds(handover, 16, 1)
        if not message:
            ended.set()
            return
        accepted = socket.socket(fileno=descriptors[0])
        accepted.setblocking(False)  # noqa: FBT003 - the socket's own name for it
        task = loop.create_task(loop.connect_accepted_socket(lambda: Handshake(context), accepted))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    handover.setblocking(False)  # noqa: FBT003 - the socket's own name for it
    loop.add_reader(handover, take)
    await ended.wait()


def main() -> None:
    workers, certificate, key = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    ends: list[socket.socket] = []
    for _ in range(workers):
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            for end in [ours, *ends]:
                end.close()
            asyncio.run(work(its, make_context(certificate, key)))
            os._exit(0)
        its.close()
        ends.append(ours)
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    print(listener.getsockname()[1], flush=True)
    asyncio.run(hand_over(listener, ends))


async def hand_over(listener: socket.socket, ends: list[socket.socket]) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    listener.setblocking(False)  # noqa: FBT003 - the socket's own name for it
    accepting = loop.create_task(accept(listener, ends))
    await ended.wait()
    accepting.cancel()


async def accept(listener: socket.socket, ends: list[socket.socket]) -> None:
    loop, number = asyncio.get_running_loop(), 0
    while True:
        accepted, _ = await loop.sock_accept(listener)
        with accepted:
            descriptors = array.array("i", [accepted.fileno()])
            ends[number % len(ends)].sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
        number += 1


if __name__ == "__main__":
    main()
