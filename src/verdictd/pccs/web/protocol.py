"""HTTP/1.1 as uvicorn speaks it, with ends to what a client may take its time over.

uvicorn waits for ever for a head that does not end, or for a body. Here a head has `ConnectionLimits.head_s`, and the
whole request `ConnectionLimits.request_s` from its first byte on, however a client spreads them.
"""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import h11
from starlette.types import ASGIApp
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from verdictd.pccs.web.http.refusals import INTEL_TEXTS

_FLUSH_S: Final = 5.0
"""After which a connection that should be closed is cut, whatever has not been taken from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """What clients may take.

    Attributes:
        head_bytes: of a request's line and headers.
        head_s: in which a connection's first head, and every later one from its first byte, has to be there.
        request_s: in which the whole request has to be there.
        keep_alive_s: for how long a connection may be idle, or its client take nothing of an answer.
        connections: at once; further ones are answered 503, and far more are cut.
    """

    head_bytes: int = 64 * 1024
    head_s: float = 10.0
    request_s: float = 15.0
    keep_alive_s: float = 60.0
    connections: int = 1024


class LimitedConfig(Config):
    """uvicorn's configuration, with what `LimitedProtocol` needs.

    Attributes:
        limits: see `ConnectionLimits`.
        turn_away: answers those who are too many.
    """

    def __init__(self, app: ASGIApp, *, limits: ConnectionLimits, turn_away: ASGIApp) -> None:
        super().__init__(
            app,
            http=LimitedProtocol,
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            h11_max_incomplete_event_size=limits.head_bytes,
            # Whole seconds are what it is declared to take; it hands them to the event loop as they are.
            timeout_keep_alive=limits.keep_alive_s,  # type: ignore[arg-type]
            timeout_graceful_shutdown=10,
        )
        self.limits = limits
        self.turn_away = turn_away


class LimitedProtocol(H11Protocol):
    """One connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        assert isinstance(config, LimitedConfig)
        super().__init__(config, server_state, app_state, _loop)
        self._limits = config.limits
        self._turn_away = config.turn_away
        self._timer: asyncio.TimerHandle | None = None
        self._awaits_body = False
        self._began = 0.0
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; the first head has to come in time."""
        super().connection_made(transport)
        count = len(self.connections)
        if count > 2 * self._limits.connections:
            transport.abort()
            return
        if count > self._limits.connections:
            self.app = self._turn_away
        self._began = self.loop.time()
        self._timer = self.loop.call_at(self._began + self._limits.head_s, self._cut_off)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._unset_timer()
        self._unset_stalled()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Take in what has come, and see to it that the rest comes in time."""
        super().handle_events()
        if self.transport.is_closing():
            self._unset_timer()
            return
        state = self.conn.their_state
        if state is h11.SEND_BODY:
            self._await_rest(self._limits.request_s, is_body=True)
        elif state is h11.IDLE and self.conn.trailing_data[0]:
            self._await_rest(self._limits.head_s, is_body=False)
        else:
            self._unset_timer()

    def pause_writing(self) -> None:
        """Give a client that does not take its answers as long as an idle one."""
        super().pause_writing()
        self._unset_stalled()
        self._stalled = self.loop.call_later(self._limits.keep_alive_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: it has taken most of what was there."""
        self._unset_stalled()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, also one whose client does not take its answer."""
        super().timeout_keep_alive_handler()
        self._close_soon()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, or too long, and hang up."""
        if len(self.conn.trailing_data[0]) > self._limits.head_bytes:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "headers-too-large")
        else:
            self._refuse(HTTPStatus.BAD_REQUEST, "malformed", msg)

    def _should_upgrade(self) -> bool:
        """Never: a client that asks for another protocol is answered in this one."""
        return False

    def _await_rest(self, seconds: float, *, is_body: bool) -> None:
        if self._timer is not None and self._awaits_body == is_body:
            return
        if self._timer is None:
            self._began = self.loop.time()
        else:
            self._timer.cancel()
        self._awaits_body = is_body
        self._timer = self.loop.call_at(self._began + seconds, self._cut_off)

    def _unset_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _unset_stalled(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _cut_off(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            self.timeout_keep_alive_handler()  # it never said anything: there is nothing to answer
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "timeout")

    def _refuse(self, status: HTTPStatus, problem: str, message: str = "") -> None:
        """Answer without the application, unless it has begun to; then hang up."""
        self._unset_timer()
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            body = INTEL_TEXTS.get(status, f"{status.phrase}.").encode("ascii")
            headers = [
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"content-length", str(len(body)).encode("ascii")),
                (b"error-code", problem.encode("ascii")),
                (b"error-message", (message or status.description or status.phrase).encode("ascii", "replace")),
                (b"connection", b"close"),
            ]
            response = h11.Response(status_code=status, headers=headers, reason=status.phrase.encode("ascii"))
            for event in (response, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        _abandon(self.cycle)
        self.transport.close()
        self._close_soon()

    def _close_soon(self) -> None:
        self.loop.call_later(_FLUSH_S, self.transport.abort)


def _abandon(cycle: RequestResponseCycle | None) -> None:
    if cycle is not None and not cycle.response_complete:
        cycle.disconnected = True  # what the application answers now goes nowhere
        cycle.message_event.set()
