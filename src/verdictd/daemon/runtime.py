"""verdictd as it runs: starts what serves, stops it in good order, and takes up new settings while it runs."""

import asyncio
import logging
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import grpc

from verdictd.core.errors import ConfigError, VerdictdError
from verdictd.daemon.client_api import MAX_MESSAGE_BYTES, OPAService, PairService
from verdictd.daemon.judging import Registrar
from verdictd.daemon.listener import AttestationListener, Serving
from verdictd.daemon.observation_api import ObservationService
from verdictd.daemon.policies import Policies
from verdictd.daemon.proto import verdictd_pb2 as messages
from verdictd.daemon.proto.clientapi_pb2_grpc import add_OpaServiceServicer_to_server
from verdictd.daemon.proto.verdictd_pb2_grpc import (
    add_AttestationServiceServicer_to_server,
    add_PolicyServiceServicer_to_server,
)
from verdictd.daemon.records import AttestationHistory
from verdictd.daemon.settings import Settings
from verdictd.daemon.settings_address import Address
from verdictd.daemon.settings_reader import needs_restart
from verdictd.daemon.state import State, build_state, explain_open_reference, make_context
from verdictd.daemon.status import build_status
from verdictd.ratstls.server import RATSTLSServer, serve

_LOGGER = logging.getLogger(__name__)
_API_THREADS = 16
_STOP_GRACE_S = 10.0
IDENTITY_LIFETIME = timedelta(hours=24)
"""How long an identity of ours serves new connections; its certificate is valid for far longer."""

ReadSettings = Callable[[], Settings]


class Daemon:
    """One verdictd. Made, run once by `run`, and then done."""

    def __init__(self, settings: Settings, read_settings: ReadSettings) -> None:
        """Make a daemon; nothing is started or opened yet.

        Args:
            settings: with what to start.
            read_settings: reads the settings again, for a reload.
        """
        self._settings = settings
        self._read_settings = read_settings
        self._policies = Policies(settings.data_dir)
        self._history = AttestationHistory(settings.attestation_history)
        self._started_at = datetime.now(UTC)
        self._stopping = asyncio.Event()
        self._reload_wanted = asyncio.Event()
        self._state: State | None = None
        self._listener: AttestationListener | None = None
        self._server: RATSTLSServer | None = None

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; SIGHUP reloads.

        Raises:
            VerdictdError: it cannot start: something that the settings name cannot be used.
        """
        loop = asyncio.get_running_loop()
        api = None
        try:
            unusable = self._policies.open()
            state = self._state = build_state(self._settings, self._policies, datetime.now(UTC))
            self._announce(state, [f"{pair.reason}; {pair.remedy}" for pair in unusable])
            registrar = Registrar(self._history, lambda: datetime.now(UTC))
            self._listener = AttestationListener(state.serving, registrar, lambda: datetime.now(UTC))
            # Before anyone is told that it serves, so that whoever then sends a signal meets its handler.
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._stopping.set)
            loop.add_signal_handler(signal.SIGHUP, self._reload_wanted.set)
            api = self._start_api()
            self._server = await self._start_server(self._listener)
            background = [loop.create_task(self._rotate()), loop.create_task(self._reload_when_wanted())]
            await self._stopping.wait()
            _LOGGER.info("stopping")
            for task in background:
                task.cancel()
            await self._server.stop(grace_s=_STOP_GRACE_S)
        finally:
            self._history.close()
            if api is not None:
                await loop.run_in_executor(None, api.stop(_STOP_GRACE_S).wait)
            self._policies.close()
        _LOGGER.info("stopped")

    async def _start_server(self, listener: AttestationListener) -> RATSTLSServer:
        address = self._settings.listen
        server = await serve(
            address.host,
            address.port,
            endpoint_factory=listener.make_endpoint,
            handler=listener.serve,
            observer=listener.observe,
            limits=self._settings.limits,
        )
        host, port = server.address
        _LOGGER.info("listening for attestation", extra={"address": str(Address(host, port))})
        return server

    def _start_api(self) -> grpc.Server:
        options = [
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.so_reuseport", 0),
        ]
        server = grpc.server(ThreadPoolExecutor(_API_THREADS, thread_name_prefix="client-api"), options=options)
        add_OpaServiceServicer_to_server(OPAService(self._policies.store), server)
        add_PolicyServiceServicer_to_server(PairService(self._policies.store), server)
        add_AttestationServiceServicer_to_server(ObservationService(self._history, self._status), server)
        address = self._settings.client_api
        try:
            port = server.add_insecure_port(str(address))
        except RuntimeError as error:
            raise ConfigError(
                f"the client API cannot listen on {address}", remedy="name a free address with --client-api"
            ) from error
        server.start()
        bound = Address(address.host, port) if isinstance(address, Address) else address
        _LOGGER.info("listening for verdict", extra={"address": str(bound)})
        return server

    def _announce(self, state: State, unusable: list[str]) -> None:
        for root in state.roots.roots:
            _LOGGER.info("trusted root", extra={"label": root.label, "sha256": root.fingerprint})
        _LOGGER.info("verifier", extra={"instance": str(state.settings.enforced_verifier)})
        remedy = explain_open_reference(state.settings, self._policies)
        if remedy is not None:
            unusable = [*unusable, f"Every peer is refused: the reference values are the shipped, empty ones; {remedy}"]
        for sentence in (*state.warnings, *unusable):
            _LOGGER.warning("%s", sentence)

    def _status(self) -> messages.GetStatusResponse:
        assert self._state is not None
        return build_status(
            self._state,
            self._policies,
            self._history,
            started_at=self._started_at,
            now=datetime.now(UTC),
            connections=0 if self._server is None else self._server.connections,
        )

    async def _reload_when_wanted(self) -> None:
        """Reload after each SIGHUP, one reload after the other: what was read last stays."""
        while True:
            await self._reload_wanted.wait()
            self._reload_wanted.clear()
            await self._reload()

    async def _reload(self) -> None:
        """Take up settings, roots, collateral, policies and a new identity; keep the old ones where that fails."""
        try:
            state, unusable = await asyncio.get_running_loop().run_in_executor(None, self._read_again)
        except VerdictdError as error:
            _LOGGER.warning("reload failed, nothing was changed", extra={"why": str(error)})
            return
        except Exception:
            _LOGGER.exception("reload failed, nothing was changed; this is a fault in the program")
            return
        self._meet_with(state)
        self._announce(state, unusable)
        _LOGGER.info("reloaded")

    def _read_again(self) -> tuple[State, list[str]]:
        settings = self._read_settings()
        if keys := needs_restart(self._settings, settings):
            _LOGGER.warning("these settings take a restart and stay as they were", extra={"settings": list(keys)})
        state = build_state(settings, self._policies, datetime.now(UTC), self._state)
        return state, [f"{pair.reason}; {pair.remedy}" for pair in self._policies.store.reload()]

    def _meet_with(self, state: State) -> None:
        assert self._listener is not None
        self._state = state
        self._listener.replace(state.serving)

    async def _rotate(self) -> None:
        """Make a new identity of ours from time to time."""
        while True:
            await asyncio.sleep(IDENTITY_LIFETIME.total_seconds())
            state = self._state
            assert state is not None
            try:
                context = await asyncio.get_running_loop().run_in_executor(
                    None, make_context, state.settings, state.identities, datetime.now(UTC)
                )
            except VerdictdError as error:
                _LOGGER.warning("no new identity was made, the old one stays", extra={"why": str(error)})
                continue
            if self._listener is not None and state is self._state:
                self._listener.replace(Serving(judging=state.serving.judging, context=context))
