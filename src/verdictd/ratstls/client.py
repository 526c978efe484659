"""A blocking RATS-TLS client: connects, proves itself, judges the server, and says plainly why where that fails."""

import socket
import time
from collections import deque
from types import TracebackType
from typing import Final, Self

from verdictd.core.errors import AppraisalRefusedError, TransportError, VerdictdError
from verdictd.ratstls.channel import (
    MAX_RECORD_BYTES,
    ChannelFailed,
    ChannelState,
    DataReceived,
    Endpoint,
    Event,
    PeerAccepted,
    PeerClosed,
    PeerRefused,
    PeerVerdict,
)

_READ_BYTES: Final = 64 * 1024
_FAREWELL_S: Final = 1.0
_SHORTEST_WAIT_S: Final = 0.001
_SEE_THE_LOG: Final = "the server may have refused without a word: see its log"


def connect(host: str, port: int, endpoint: Endpoint, *, timeout_s: float = 30.0) -> "ClientChannel":
    """Connect and complete the handshake.

    With TLS 1.3 the server judges this side only after that: its refusal comes with the first `receive`.

    Args:
        host: the server's address or name.
        port: the server's port.
        endpoint: this side's endpoint, new.
        timeout_s: for connecting, for the handshake, and then for each answer to begin.

    Raises:
        AppraisalRefusedError: this side refused the server.
        TransportError: everything else, each with its own sentence: the server refused this side, it does not speak
            TLS, it does not answer, the connection was reset or is not possible at all.
    """
    where = f"{host}:{port}"
    try:
        connected = socket.create_connection((host, port), timeout=timeout_s)
    except TimeoutError as error:
        raise TransportError(f"{where} did not answer within {timeout_s:g} seconds") from error
    except (OSError, OverflowError) as error:
        raise TransportError(
            f"cannot connect to {where}: {error}", remedy="check that the server runs and listens there"
        ) from error
    channel = ClientChannel(connected, endpoint, where, timeout_s)
    try:
        channel.shake_hands()
    except BaseException:
        channel.close()
        raise
    return channel


class ClientChannel:
    """A connection to a server. Made by `connect`; closes itself at the end of a ``with`` statement.

    Attributes:
        verdict: this side's verdict on the server; ``None`` without TLS, or while there is none.
        protocol: e.g. ``TLSv1.3`` or ``nulltls``; empty before the handshake is complete.
    """

    def __init__(self, connected: socket.socket, endpoint: Endpoint, where: str, timeout_s: float) -> None:
        self.verdict: PeerVerdict | None = None
        self.protocol = ""
        self._socket = connected
        self._endpoint = endpoint
        self._where = where
        self._timeout_s = timeout_s
        self._received: deque[bytes] = deque()
        self._error: VerdictdError | None = None
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def shake_hands(self) -> None:
        """Complete the handshake, within the timeout as a whole. `connect` does it."""
        deadline = time.monotonic() + self._timeout_s
        self._process(self._endpoint.start())
        while self._endpoint.state is ChannelState.HANDSHAKING:
            self._process_next(deadline)
        if self._error is not None:
            raise self._error
        self._socket.settimeout(self._timeout_s)

    def send(self, data: bytes) -> None:
        """Send all of it.

        Raises:
            TransportError: the server refused this side, is gone, or does not take it in time.
        """
        if self._error is not None:
            raise self._error
        self._endpoint.send(data)
        try:
            self._socket.sendall(self._endpoint.bytes_to_send())
        except TimeoutError as error:
            raise self._explain(error) from error
        except OSError as error:
            raise (self._hear_last_words() or self._explain(error)) from error

    def receive(self) -> bytes:
        """Return what came next, as it came in one TLS record; nothing where the server will send no more.

        Raises:
            TransportError: the server refused this side, does not answer, is gone, or broke off.
        """
        while not self._received and not self._ended:
            self._process_next()
        if self._received:
            return self._received.popleft()
        if self._error is not None:
            raise self._error
        return b""

    def receive_answer(self) -> bytes:
        """Return an answer as rats-tls clients delimit it: up to the first TLS record that is not full, or the end."""
        answer = bytearray()
        while True:
            record = self.receive()
            answer += record
            if len(record) < MAX_RECORD_BYTES:
                return bytes(answer)

    def close(self) -> None:
        """End the connection in good order, leaving the server the time to read the last words."""
        self._ended = True
        self._endpoint.close()
        refused = self._endpoint.state is ChannelState.REFUSED
        until = time.monotonic() + _FAREWELL_S
        try:
            self._socket.settimeout(_FAREWELL_S)
            self._socket.sendall(self._endpoint.bytes_to_send())
            self._socket.shutdown(socket.SHUT_WR)
            # A socket closed with bytes unread resets the connection, and our alert would be lost in that.
            while refused and time.monotonic() < until and self._socket.recv(_READ_BYTES):
                pass
        except OSError:  # the server is gone, or its time is up (TimeoutError is one as well)
            pass
        finally:
            self._socket.close()

    def _hear_last_words(self) -> VerdictdError | None:
        """Return what a server that is gone said before: an alert tells more than that it is gone."""
        try:
            while not self._ended:
                self._process_next()
        except TransportError:
            return None
        return self._error

    def _process_next(self, deadline: float | None = None) -> None:
        try:
            if deadline is not None:
                self._socket.settimeout(max(deadline - time.monotonic(), _SHORTEST_WAIT_S))
            data = self._socket.recv(_READ_BYTES)
        except OSError as error:
            raise self._explain(error) from error
        self._process(self._endpoint.receive(data) if data else self._endpoint.receive_eof())

    def _process(self, events: tuple[Event, ...]) -> None:
        """Take note of the events in their order, and send what they call for."""
        for event in events:
            match event:
                case PeerAccepted(verdict=verdict, protocol=protocol):
                    self.verdict, self.protocol = verdict, protocol
                case DataReceived(data=data):
                    self._received.append(data)
                case PeerClosed(clean=clean):
                    self._end(None if clean else TransportError(f"{self._where} broke off", remedy=_SEE_THE_LOG))
                case PeerRefused(verdict=verdict):
                    self.verdict = verdict
                    about = f"the server {self._where} (attestation id {verdict.attestation_id})"
                    self._end(AppraisalRefusedError(f"we refused {about}: {verdict.reason}"))
                case ChannelFailed(message=message, remedy=remedy):
                    self._end(TransportError(f"{self._where}: {message}", remedy=remedy))
        try:
            self._socket.sendall(self._endpoint.bytes_to_send())
        except OSError as error:
            if self._error is None:  # why the channel ended is worth more than that the last words did not arrive
                raise self._explain(error) from error

    def _end(self, error: VerdictdError | None) -> None:
        self._ended, self._error = True, error

    def _explain(self, error: OSError) -> TransportError:
        if isinstance(error, TimeoutError):
            return TransportError(f"{self._where} did not answer within {self._timeout_s:g} seconds")
        message = f"the connection to {self._where} was lost: {error.strerror or error}"
        return TransportError(message, remedy=_SEE_THE_LOG)
