"""verdictd as it runs: the supervisor, which starts what serves, stops it in good order, and takes up new settings."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from itertools import count
from typing import Final

from verdictd.archive.reader import ArchiveReader
from verdictd.collateral.refresher import Refresher
from verdictd.collateral.service import CollateralService
from verdictd.configuration.address import Address
from verdictd.core.errors import VerdictdError
from verdictd.daemon.api_server import serve_client_api
from verdictd.daemon.attestations import Attestations
from verdictd.daemon.dispatcher import Dispatcher
from verdictd.daemon.exposition import Exposition, MetricsSources, PolicyInForce
from verdictd.daemon.figures import FigureCollector
from verdictd.daemon.journal import Journal
from verdictd.daemon.metrics_server import MetricsServer
from verdictd.daemon.open_reference import explain_open_reference
from verdictd.daemon.policies import Pairs, Policies
from verdictd.daemon.proto import verdictd_pb2 as messages
from verdictd.daemon.settings import Settings
from verdictd.daemon.settings_reader import keep_until_restart, needs_restart
from verdictd.daemon.status import build_status
from verdictd.daemon.supervisor_state import SupervisorState, build_supervisor_state
from verdictd.daemon.worker_process import WorkerProcess
from verdictd.daemon.worker_requests import WorkerRequests
from verdictd.daemon.workers import Workers
from verdictd.ratstls.acceptor import Acceptor, listen
from verdictd.ratstls.admission import Admission

_LOGGER: Final = logging.getLogger(__name__)
_STOP_GRACE_S: Final = 10.0
_SYNC_S: Final = 1.0
_SYNCS_PER_ANNOUNCEMENT: Final = 600

ReadSettings = Callable[[], Settings]


class Daemon:
    """One verdictd. Made, run once by `run`, and then done."""

    def __init__(self, settings: Settings, read_settings: ReadSettings, worker_command: Sequence[str]) -> None:
        """Make a daemon; nothing is started or opened yet.

        Args:
            settings: with what to start.
            read_settings: reads the settings again, for a reload.
            worker_command: the program of a worker process.
        """
        self._settings = settings
        self._read_settings = read_settings
        self._policies = Policies(settings.data_dir, self._put_in_force)
        self._requests = WorkerRequests(self._service)
        self._workers = Workers(
            settings.workers or len(os.sched_getaffinity(0)), worker_command, self._requests.handler, self._note
        )
        self._attestations = Attestations(self._workers, settings.attestation_history)
        self._figures = FigureCollector(self._workers)
        self._requests.tell = self._attestations.tell
        self._started_at = datetime.now(UTC)
        archive = settings.data_dir / "archive"
        self._archive = ArchiveReader(archive) if settings.archive.is_on else None
        self._journal: Journal | None = None
        self._pairs: Pairs = {}
        self._state: SupervisorState | None = None
        self._dispatcher: Dispatcher | None = None
        self._acceptor: Acceptor | None = None

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; SIGHUP reloads.

        Raises:
            VerdictdError: it cannot start: something that the settings name cannot be used.
        """
        self._loop = asyncio.get_running_loop()
        stopping, reload_wanted = asyncio.Event(), asyncio.Event()
        async with AsyncExitStack() as stack:
            state, journal = await self._open(stack)
            # Before anyone is told that it serves, so that whoever then sends a signal meets its handler.
            for number in (signal.SIGTERM, signal.SIGINT):
                self._loop.add_signal_handler(number, stopping.set)
            self._loop.add_signal_handler(signal.SIGHUP, reload_wanted.set)
            acceptor = await self._serve(state, journal, stack)
            background = [
                self._loop.create_task(work)
                for work in (self._reload_when_wanted(reload_wanted), self._sync_journal(journal))
            ]
            await stopping.wait()
            _LOGGER.info("stopping")
            for task in background:
                task.cancel()
            acceptor.stop()
            journal.stopped(await asyncio.to_thread(self._figures.counts))
        _LOGGER.info("stopped")

    async def _open(self, stack: AsyncExitStack) -> tuple[SupervisorState, Journal]:
        """Open what there is on disk, and make the state; nobody is served yet. The stack closes what is opened."""
        stack.callback(self._requests.close)
        stack.push_async_callback(asyncio.to_thread, self._policies.close)
        unusable = await asyncio.to_thread(self._policies.open, self._settings.enforced_verifier.kinds)
        journal = self._journal = await asyncio.to_thread(Journal, self._settings)
        stack.callback(journal.close)
        journal.policies_changed(self._pairs)
        state = self._state = await asyncio.to_thread(self._build_state, self._settings)
        self._announce(state, [f"{pair.reason}; {pair.remedy}" for pair in unusable])
        return state, journal

    async def _serve(self, state: SupervisorState, journal: Journal, stack: AsyncExitStack) -> Acceptor:
        """Start the workers, and then everything by which they are reached."""
        admission = Admission(self._settings.limits)
        self._dispatcher = Dispatcher(admission.release)
        stack.callback(self._dispatcher.close)
        listener = await listen(self._settings.listen.host, self._settings.listen.port)
        stack.callback(listener.close)
        stack.push_async_callback(asyncio.to_thread, self._workers.stop, _STOP_GRACE_S)
        await asyncio.to_thread(self._workers.start, state)
        journal.started(state)
        refresher = Refresher(self._service, lambda: datetime.now(UTC))
        refresher.start()
        stack.push_async_callback(asyncio.to_thread, refresher.stop)
        api = serve_client_api(
            self._settings.client_api,
            self._policies,
            self._attestations,
            self._status,
            archive=self._archive,
            collateral=self._current_collateral,
        )
        stack.push_async_callback(asyncio.to_thread, lambda: api.stop(_STOP_GRACE_S).wait())
        stack.callback(self._attestations.close)
        acceptor = self._acceptor = Acceptor(listener, admission, self._dispatcher.dispatch)
        if self._settings.metrics is not None:
            stack.push_async_callback(asyncio.to_thread, self._serve_metrics(self._settings.metrics).stop)
        _LOGGER.info("listening for attestation", extra={"address": str(Address(*acceptor.address))})
        return acceptor

    def _put_in_force(self, pairs: Pairs) -> None:
        """What is in force has changed: no worker decides under anything else when this returns."""
        self._pairs = dict(pairs)
        self._workers.put_in_force(pairs)
        if self._journal is not None:
            self._journal.policies_changed(pairs)

    async def _sync_journal(self, journal: Journal) -> None:
        """Write the audit log to the disk each second, and tell its head from time to time."""
        for number in count(1):
            await asyncio.sleep(_SYNC_S)
            await asyncio.to_thread(journal.sync)
            if number % _SYNCS_PER_ANNOUNCEMENT == 0:
                await asyncio.to_thread(journal.announce_head)

    def _service(self) -> CollateralService | None:
        return None if self._state is None else self._state.collateral

    def _serve_metrics(self, address: Address) -> MetricsServer:
        exposition = Exposition(
            MetricsSources(
                totals=self._figures.totals,
                collateral=lambda at: self._current_collateral().held(at),
                connections=lambda: 0 if self._dispatcher is None else self._dispatcher.connections,
                turned_away=lambda: 0 if self._acceptor is None else self._acceptor.turned_away,
                workers=lambda: len(self._workers.serving),
                audit_records=lambda: 0 if self._journal is None else self._journal.records,
                started_at=self._started_at,
                policies=self._policies_in_force,
                trust_roots=lambda: 0 if self._state is None else len(self._state.roots.roots),
            )
        )
        server = MetricsServer(address, exposition.write, self._why_not_ready)
        server.start()
        _LOGGER.info("listening for metrics", extra={"address": str(server.address)})
        return server

    def _policies_in_force(self) -> list[PolicyInForce]:
        return [
            PolicyInForce(
                tee=pair.tee,
                policy_digest=pair.policy_digest,
                reference_digest=pair.reference_digest,
                is_usable=not pair.problem,
            )
            for pair in self._policies.describe(
                ""
                if self._state is None
                else explain_open_reference(self._state.settings, is_open=self._policies.is_open()) or ""
            )
        ]

    def _why_not_ready(self) -> list[str]:
        """Say why nobody could be accepted now. That a PCCS is down is no reason while collateral is held."""
        assert self._state is not None
        self._figures.totals()
        reasons = [] if self._figures.answering else ["no worker answers, see the log of verdictd; restart it"]
        if (problem := self._policies.problem()) is not None:
            reasons.append(problem)
        remedy = explain_open_reference(self._state.settings, is_open=self._policies.is_open())
        if remedy is not None:
            reasons.append(f"the reference values are the shipped, empty ones; {remedy}")
        return reasons

    def _current_collateral(self) -> CollateralService:
        service = self._service()
        assert service is not None
        return service

    def _note(self, worker: WorkerProcess) -> None:
        """A worker began to serve, or is gone; told on any thread, also after the loop has ended."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._dispatch_to, worker)

    def _dispatch_to(self, worker: WorkerProcess) -> None:
        assert self._dispatcher is not None
        self._dispatcher.note(worker)

    def _build_state(self, settings: Settings) -> SupervisorState:
        return build_supervisor_state(settings, datetime.now(UTC), on_newer=self._workers.learn, previous=self._state)

    def _announce(self, state: SupervisorState, unusable: list[str]) -> None:
        for root in state.roots.roots:
            _LOGGER.info("trusted root", extra={"label": root.label, "sha256": root.fingerprint})
        _LOGGER.info("verifier", extra={"instance": str(state.settings.enforced_verifier)})
        remedy = explain_open_reference(state.settings, is_open=self._policies.is_open())
        if remedy is not None:
            unusable = [*unusable, f"Every peer is refused: the reference values are the shipped, empty ones; {remedy}"]
        for sentence in (*state.warnings, *unusable):
            _LOGGER.warning("%s", sentence)

    def _status(self) -> messages.GetStatusResponse:
        assert self._state is not None
        return build_status(
            self._state,
            self._policies,
            self._figures.counts(),
            audit_head="" if self._journal is None else self._journal.head,
            workers=len(self._workers.serving),
            started_at=self._started_at,
            now=datetime.now(UTC),
            connections=0 if self._dispatcher is None else self._dispatcher.connections,
        )

    async def _reload_when_wanted(self, wanted: asyncio.Event) -> None:
        """Reload after each SIGHUP, one reload after the other: what was read last stays."""
        while True:
            await wanted.wait()
            wanted.clear()
            await self._reload()

    async def _reload(self) -> None:
        """Take up settings, roots, collateral, policies and new identities; keep the old ones where that fails."""
        try:
            state, unusable = await asyncio.to_thread(self._read_again)
        except VerdictdError as error:
            _LOGGER.warning("reload failed, nothing was changed", extra={"why": str(error)})
            if self._journal is not None:
                self._journal.not_reloaded(str(error))
            return
        except Exception:
            _LOGGER.exception("reload failed, nothing was changed; this is a fault in the program")
            return
        self._announce(state, unusable)
        _LOGGER.info("reloaded")

    def _read_again(self) -> tuple[SupervisorState, list[str]]:
        settings = self._read_settings()
        if keys := needs_restart(self._settings, settings):
            _LOGGER.warning("these settings take a restart and stay as they were", extra={"settings": list(keys)})
        state = self._build_state(keep_until_restart(self._settings, settings))
        self._workers.replace_state(state)
        self._state = state
        if self._journal is not None:
            self._journal.reloaded(state)
        return state, [f"{pair.reason}; {pair.remedy}" for pair in self._policies.store.reload()]
