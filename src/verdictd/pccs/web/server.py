"""Serves the application: sockets, TLS, signals, and an orderly end."""

import asyncio
import contextlib
import logging
import resource
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from socket import socket
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn import Server

from verdictd.core.errors import ConfigError
from verdictd.pccs.web.http.exchange import Exchange
from verdictd.pccs.web.http.refusals import RequestRefusedError, make_refusal
from verdictd.pccs.web.listening import BACKLOG, ListenAddress, listen
from verdictd.pccs.web.protocol import ConnectionLimits, LimitedConfig, LimitedProtocol
from verdictd.pccs.web.tls import ReloadingCertificate, TLSFiles

_LOGGER: Final = logging.getLogger(__name__)
CERTIFICATE_CHECK_S: Final = 3.0
_OTHER_FILES: Final = 96
"""Kept for the database, upstreams and the rest."""
_STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def _fit_files(limits: ConnectionLimits) -> ConnectionLimits:
    """Take no more connections than this process may have files open: asyncio complains of each that it cannot take.

    Twice as many are open before one is cut.
    """
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    fitting = max(1, (most - _OTHER_FILES) // 2)
    if most == resource.RLIM_INFINITY or limits.connections <= fitting:
        return limits
    _LOGGER.warning("%d connections are taken, not %d: only %d files may be open", fitting, limits.connections, most)
    return replace(limits, connections=fitting)


class WebServer:
    """Listens from when it is made, and serves while `run` runs."""

    def __init__(
        self,
        app: ASGIApp,
        addresses: Sequence[ListenAddress],
        *,
        tls: TLSFiles | None = None,
        limits: ConnectionLimits | None = None,
        certificate_check_s: float = CERTIFICATE_CHECK_S,
    ) -> None:
        """Listen.

        Args:
            app: what to serve.
            addresses: where; without TLS on addresses of this machine alone.
            tls: certificate and key; ``None`` for plain HTTP.
            limits: what clients may take.
            certificate_check_s: how often the files of `tls` are looked at.
        Raises:
            ConfigError: the certificate cannot be used, or an address not be listened on.
        """
        self._certificate = None if tls is None else ReloadingCertificate(tls)
        self._sockets = listen(addresses, with_tls=tls is not None)
        self._config = LimitedConfig(app, limits=_fit_files(limits or ConnectionLimits()), turn_away=_turn_away)
        self._server = _Server(self._config, self._certificate, certificate_check_s)

    @property
    def addresses(self) -> tuple[ListenAddress, ...]:
        """Where it listens; with the ports that were free where 0 was asked for."""
        names = [listening.getsockname() for listening in self._sockets]
        return tuple(ListenAddress(str(name[0]), int(name[1])) for name in names)

    @property
    def has_tls(self) -> bool:
        """Whether clients have to speak TLS."""
        return self._certificate is not None

    def run(self, on_ready: Callable[[], None] | None = None) -> None:
        """Serve until SIGTERM, SIGINT or `stop`. On the main thread SIGHUP loads the certificate again.

        Args:
            on_ready: called when the first request could be answered.
        Raises:
            ConfigError: the application did not start.
        """
        self._config.load()
        if self._certificate is not None:
            self._config.ssl = self._certificate.context
        self._server.on_ready = on_ready
        try:
            asyncio.run(self._serve())
        finally:
            self.close()
        if not self._server.started:
            raise ConfigError("the service did not start", remedy="see the log for why")

    def stop(self) -> None:
        """Have `run` come to its end, from any thread."""
        self._server.should_exit = True

    def close(self) -> None:
        """Listen no more. `run` does so by itself."""
        for listening in self._sockets:
            listening.close()

    async def _serve(self) -> None:
        with self._handle_signals(asyncio.get_running_loop()):
            await self._server.serve(sockets=self._sockets)

    @contextlib.contextmanager
    def _handle_signals(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers: dict[signal.Signals, Callable[[], object]] = dict.fromkeys(_STOP_SIGNALS, self.stop)
        handlers[signal.SIGHUP] = self._reload
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)

    def _reload(self) -> None:
        if self._certificate is None:
            _LOGGER.info("SIGHUP: there is no TLS certificate to load again")
        else:
            self._certificate.check(always=True)


class _Server(Server):
    """uvicorn's server, without its ways with signals and with an end to TLS handshakes."""

    def __init__(
        self, config: LimitedConfig, certificate: ReloadingCertificate | None, certificate_check_s: float
    ) -> None:
        super().__init__(config)
        self.on_ready: Callable[[], None] | None = None
        self._limited = config
        self._certificate = certificate
        self._certificate_check_s = certificate_check_s
        self._certificate_checked = 0.0

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: uvicorn raises them again at the end, and the process would die of them."""
        yield

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Start the application, then take connections."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            self.should_exit = True
            return
        config = self._limited

        def make_protocol() -> asyncio.Protocol:
            return LimitedProtocol(config, self.server_state, self.lifespan.state)

        loop = asyncio.get_running_loop()
        handshake_s = None if config.ssl is None else config.limits.head_s
        self.servers = [
            await loop.create_server(
                make_protocol, sock=listening, ssl=config.ssl, ssl_handshake_timeout=handshake_s, backlog=BACKLOG
            )
            for listening in sockets or []
        ]
        self.started = True
        if self.on_ready is not None:
            self.on_ready()

    async def on_tick(self, counter: int) -> bool:
        """Look at the certificate's files every now and then; uvicorn calls this ten times a second."""
        now = asyncio.get_running_loop().time()
        if self._certificate is not None and now - self._certificate_checked >= self._certificate_check_s:
            self._certificate_checked = now
            self._certificate.check()
        return await super().on_tick(counter)


async def _turn_away(scope: Scope, receive: Receive, send: Send) -> None:
    exchange = Exchange(scope, receive)
    error = RequestRefusedError(
        "too many connections are open",
        status=503,
        problem="busy",
        remedy="try again in a moment, or have more than one of this service",
        retry_after_s=1,
    )
    answer = make_refusal(error, exchange.request_id, as_problem=exchange.takes_problems)
    own = [(b"request-id", exchange.request_id.encode("ascii")), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": answer.status, "headers": [*answer.headers, *own]})
    await send({"type": "http.response.body", "body": answer.body})
