"""A network backend for httpcore under which no request outlives its deadline.

httpcore's timeouts bound each read by itself, so a server that sends a byte now and then could hold a request for
hours. Here every operation on a socket gets the time that is left. A request runs in the thread that made it, so the
deadline is kept per thread.
"""

import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import local
from typing import Any, TypeAlias

import httpcore

from verdictd.collateral.deadline import Deadline

_SocketOption: TypeAlias = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


class DeadlineBackend(httpcore.NetworkBackend):
    """Opens TCP connections whose every operation ends by the deadline that `until` sets for the calling thread."""

    def __init__(self) -> None:
        self._backend = httpcore.SyncBackend()
        self._thread = local()

    @contextmanager
    def until(self, deadline: Deadline) -> Iterator[None]:
        """Set the deadline for whatever the calling thread does with this backend inside the ``with``."""
        self._thread.deadline = deadline
        try:
            yield
        finally:
            del self._thread.deadline

    def time_left(self, error: type[Exception]) -> float:
        """Return the seconds left for the calling thread.

        Raises:
            error: none is left.
        """
        deadline: Deadline = self._thread.deadline
        remaining = deadline.remaining
        if remaining <= 0:
            raise error("the time allowed is over")
        return remaining

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - httpcore's interface; the deadline takes its place
        local_address: str | None = None,
        socket_options: Iterable[_SocketOption] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect. Resolving the name is not bounded here: Python cannot."""
        return _DeadlineStream(
            self._backend.connect_tcp(
                host, port, self.time_left(httpcore.ConnectTimeout), local_address, socket_options
            ),
            self,
        )


class _DeadlineStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, backend: DeadlineBackend) -> None:
        self._stream = stream
        self._backend = backend

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - see connect_tcp
        return self._stream.read(max_bytes, self._backend.time_left(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - see connect_tcp
        self._stream.write(buffer, self._backend.time_left(httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002 - see connect_tcp
    ) -> httpcore.NetworkStream:
        remaining = self._backend.time_left(httpcore.ConnectTimeout)
        return _DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, remaining), self._backend)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - httpcore's interface
        return self._stream.get_extra_info(info)
