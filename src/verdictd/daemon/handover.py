"""How accepted connections get from the supervisor, which listens, to the worker that serves them.

Each is one message of a packet socket: the file descriptor, and with it a token and the peer's address. When the
connection is over, the worker sends the token back. Neither side ever waits for the other.
"""

import array
import contextlib
import socket
import struct
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

_TOKEN: Final = struct.Struct("<Q")
_HEADER: Final = struct.Struct("<QH")
_MAX_MESSAGE_BYTES: Final = 512
_DESCRIPTOR_BYTES: Final = array.array("i").itemsize
_ANCILLARY_BYTES: Final = socket.CMSG_SPACE(_DESCRIPTOR_BYTES)
_MAX_TOKENS: Final = 512
"""In one message back: they are collected while the supervisor is busy."""


@dataclass(frozen=True, slots=True)
class HandedConnection:
    """An accepted connection: its socket, who is at the other end, and the token under which it is given back."""

    accepted: socket.socket
    peer: str
    token: int


def make_handover() -> tuple[socket.socket, socket.socket]:
    """Make both ends: the supervisor's and the worker's. Neither blocks."""
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in pair:
        end.setblocking(False)  # noqa: FBT003 - the socket's own name for it
    return pair


def hand_over(end: socket.socket, accepted: socket.socket, peer: str, token: int) -> bool:
    """Hand an accepted connection to the worker; whether it could take it. This process's descriptor stays open."""
    message = _HEADER.pack(token, accepted.family) + peer.encode("ascii")
    descriptors = array.array("i", [accepted.fileno()])
    try:
        end.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
    except OSError:  # its queue is full, or it has ended
        return False
    return True


def take_handed(end: socket.socket) -> HandedConnection | None:
    """Return the next connection that was handed over, ``None`` where there is none yet.

    Raises:
        EOFError: the supervisor has ended.
        HandoverLostError: no file descriptor is left in this process: the connection is lost, and its peer cut off.
    """
    try:
        message, ancillary, _, _ = end.recvmsg(_MAX_MESSAGE_BYTES, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
    except BlockingIOError:
        return None
    if not message:
        raise EOFError
    token, family = _HEADER.unpack_from(message)
    if not ancillary:
        raise HandoverLostError(token)
    ((_, _, descriptor),) = ancillary
    # Its kind is told, as Python would ask the system for it in three calls; that it does not block, it shares with us.
    accepted = socket.socket(
        family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=int.from_bytes(descriptor, sys.byteorder)
    )
    return HandedConnection(accepted, message[_HEADER.size :].decode("ascii"), token)


class HandoverLostError(OSError):
    """A connection came without its descriptor, as this process may open no more of them."""

    def __init__(self, token: int) -> None:
        super().__init__("a connection was lost on its way: too many open files")
        self.token = token


class TokenReturner:
    """The worker's way of giving tokens back. For the event loop's thread."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._waiting: deque[int] = deque()

    def keep(self, token: int) -> None:
        """Keep one until `give_back`."""
        self._waiting.append(token)

    def give_back(self) -> bool:
        """Send what can be sent; whether something is left, as the supervisor is busy."""
        while self._waiting:
            tokens = list(islice(self._waiting, _MAX_TOKENS))
            try:
                self._end.send(b"".join(_TOKEN.pack(token) for token in tokens))
            except OSError:  # if it is gone, this process ends for that
                return True
            for _ in tokens:
                self._waiting.popleft()
        return False


def take_tokens(end: socket.socket) -> Iterator[int]:
    """Return the tokens that were given back by now."""
    with contextlib.suppress(OSError):
        while message := end.recv(_TOKEN.size * _MAX_TOKENS):
            yield from (token for (token,) in _TOKEN.iter_unpack(message))
