"""A network backend for httpcore under which no request outlives its deadline.

httpcore's timeouts bound each read by itself, so a server that sends a byte now and then could hold a request for
hours. Here every operation on a socket gets the time that is left.
"""

import ssl
from collections.abc import Iterable
from typing import TypeAlias

import httpcore

from verdictd.collateral.deadline import Deadline

_SocketOption: TypeAlias = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


class DeadlineBackend(httpcore.NetworkBackend):
    """Opens TCP connections whose every operation ends by one deadline."""

    def __init__(self, deadline: Deadline) -> None:
        self._backend = httpcore.SyncBackend()
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - httpcore's interface; the deadline takes its place
        local_address: str | None = None,
        socket_options: Iterable[_SocketOption] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect. Resolving the name is not bounded here: Python cannot."""
        remaining = _time_left(self._deadline, httpcore.ConnectTimeout)
        stream = self._backend.connect_tcp(host, port, remaining, local_address, socket_options)
        return _DeadlineStream(stream, self._deadline)


class _DeadlineStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - see connect_tcp
        return self._stream.read(max_bytes, _time_left(self._deadline, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - see connect_tcp
        self._stream.write(buffer, _time_left(self._deadline, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002 - see connect_tcp
    ) -> httpcore.NetworkStream:
        remaining = _time_left(self._deadline, httpcore.ConnectTimeout)
        return _DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, remaining), self._deadline)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


def _time_left(deadline: Deadline, error: type[httpcore.TimeoutException]) -> float:
    remaining = deadline.remaining
    if remaining <= 0:
        raise error("the time allowed is over")
    return remaining
