"""A worker process: judges and serves the connections that the supervisor accepted, with what the supervisor says.

It ends when the supervisor says so, or is gone. It holds no file of the daemon's but the audit log.
"""

import asyncio
import gc
import logging
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from cryptography import x509

from verdictd.archive.writer import ArchiveWriter
from verdictd.audit.log import AuditLog
from verdictd.collateral.items import CollateralItem
from verdictd.core.errors import TransportError, VerdictdError
from verdictd.daemon.archiving import describe_judged_peer
from verdictd.daemon.attestation_messages import encode_record, newest_within
from verdictd.daemon.collateral_wire import SupervisorSource, decode_item, encode_item
from verdictd.daemon.figures import ACCEPTED, REFUSED
from verdictd.daemon.handover import HandoverLostError, TokenReturner, take_handed
from verdictd.daemon.handshake_spans import ConcludedHandshake
from verdictd.daemon.judging import Judgement
from verdictd.daemon.link import Link, LinkLostError, Question
from verdictd.daemon.listener import AttestationListener, Serving
from verdictd.daemon.policies import Decisions
from verdictd.daemon.proto.verdictd_pb2 import ListAttestationsResponse
from verdictd.daemon.proto.worker_pb2 import Figures, Frame, Prepare
from verdictd.daemon.records import AttestationHistory, AttestationRecord
from verdictd.daemon.registrar import Registrar, name_outcome
from verdictd.daemon.settings import Settings
from verdictd.daemon.settings_reader import FORM, build_settings
from verdictd.daemon.tracing import NoTracer, Tracer, open_tracer
from verdictd.daemon.worker_metrics import (
    ARCHIVED,
    ATTESTATIONS,
    COLLATERAL_SECONDS,
    DECISION_SECONDS,
    DECISIONS,
    HANDSHAKE_SECONDS,
    HANDSHAKES,
    JUDGEMENT_SECONDS,
    REQUESTS,
    WorkerMetrics,
)
from verdictd.daemon.worker_state import WorkerState, build_worker_state, make_context
from verdictd.policy.pair_exchange import decode_pairs
from verdictd.ratstls.connection_server import ConnectionServer, HandshakeOutcome
from verdictd.tees.dcap.trust_roots import TrustRoot, TrustRoots

_LOGGER: Final = logging.getLogger(__name__)
IDENTITY_LIFETIME: Final = timedelta(hours=24)
"""How long an identity of ours serves new connections; its certificate is valid for far longer."""

_GIVE_BACK_S: Final = 0.02
"""After which the supervisor is told that a connection is over."""

_OBJECTS_UNTIL_COLLECTION: Final = 50_000

ConfigureLogging = Callable[[Settings], None]


class Worker:
    """One worker. Made in the event loop's thread, run once by `run`, and then done."""

    def __init__(self, control: socket.socket, handover: socket.socket, configure_logging: ConfigureLogging) -> None:
        """Make a worker that has not been told anything yet.

        Args:
            control: the link to the supervisor.
            handover: where accepted connections come from.
            configure_logging: sets up the log as the settings say.
        """
        self._handover = handover
        handover.setblocking(False)  # noqa: FBT003 - the socket's own name for it
        self._configure_logging = configure_logging
        self._returner = TokenReturner(handover)
        self._link = Link(control, self._take, self._stop_soon, name="supervisor")
        self._slow = ThreadPoolExecutor(2, thread_name_prefix="supervisor-asks")
        self._decisions = Decisions()
        self._history: AttestationHistory | None = None
        self._is_watched = False
        self._is_giving_back = False
        self._metrics = WorkerMetrics()
        self._tracer: Tracer = NoTracer()
        self._concluded: tuple[AttestationRecord, Judgement | None] | None = None
        self._audit: AuditLog | None = None
        self._archive: ArchiveWriter | None = None
        self._prepared: WorkerState | None = None
        self._state: WorkerState | None = None
        self._registrar: Registrar | None = None
        self._listener: AttestationListener | None = None
        self._server: ConnectionServer | None = None
        self._grace_s = 0.0

    async def run(self) -> None:
        """Serve until the supervisor says stop, or is gone."""
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._link.start()
        rotation = asyncio.create_task(self._rotate())
        try:
            await self._stopping.wait()
            self._loop.remove_reader(self._handover)
            rotation.cancel()
            if self._server is not None:
                await self._server.stop(grace_s=self._grace_s)
        finally:
            self._decisions.close()
            self._tracer.close()
            if self._archive is not None:
                self._archive.close()
            self._record_skipped()
            if self._audit is not None:
                self._audit.close()
            self._link.close()
            self._link.join()  # what it hands on needs this loop, and the threads
            self._slow.shutdown(wait=False, cancel_futures=True)

    # What the supervisor says; on the link's reading thread.

    def _take(self, question: Question) -> None:
        frame = question.frame
        match frame.WhichOneof("body"):
            case "pairs":
                self._decisions.board.replace(decode_pairs(frame.pairs))
                question.answer_done()
            case "prepare":
                self._slow.submit(self._prepare, question)
            case "commit":
                self._loop.call_soon_threadsafe(self._commit, question)
            case "stop":
                self._grace_s = frame.stop.grace_s
                self._stop_soon()
            case "newer":
                self._learn(frame)
            case "watch":
                self._is_watched = frame.watch.is_on
                question.answer_done()
            case "list":
                self._slow.submit(self._list, question)
            case "figures_request":
                self._loop.call_soon_threadsafe(self._count, question)
            case body:
                raise TransportError(f"the supervisor says {body}, which is nothing for a worker")

    def _stop_soon(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)

    def _learn(self, frame: Frame) -> None:
        """Take in collateral that somebody else learned of. Verified here, as anything."""
        item, at = decode_item(frame.newer), datetime.now(UTC)
        for state in {id(state): state for state in (self._state, self._prepared) if state is not None}.values():
            service = state.setup.service
            (service.offer_from_peer if frame.newer.is_from_peer else service.offer)(item, at)

    def _list(self, question: Question) -> None:
        wanted = question.frame.list
        found = () if self._history is None else self._history.find(wanted.id_prefix, wanted.limit)
        newest = newest_within(encode_record(record) for record in reversed(found))
        question.answer(Frame(attestations=ListAttestationsResponse(attestations=newest)))

    def _prepare(self, question: Question) -> None:
        """Make ready what the settings say. Slow: a quote of our own may have to be made, collateral to be found."""
        try:
            self._prepared = self._build(question.frame.prepare)
        except VerdictdError as error:
            question.answer_error(error)
        except Exception as error:
            _LOGGER.exception("the worker cannot take up its settings; this is a fault in the program")
            question.answer_error(TransportError(f"a worker failed: {error!r}"))
        else:
            question.answer_done()

    def _build(self, prepare: Prepare) -> WorkerState:
        layer = FORM.parse_file(prepare.settings.encode("utf-8"), name="the supervisor's settings", base=Path.cwd())
        settings = build_settings(layer)
        if self._state is None:
            self._configure_logging(settings)
            self._tracer = open_tracer(settings.otlp_endpoint, os.environ)
            self._audit = AuditLog.open(settings.data_dir / "audit", sync_always=settings.audit_sync_always)
            if settings.archive.is_on:
                self._archive = ArchiveWriter(settings.data_dir / "archive", bounds=settings.archive.bounds)
            self._decisions.start()
        return build_worker_state(
            settings,
            TrustRoots(
                tuple(TrustRoot(x509.load_der_x509_certificate(root.der), root.label) for root in prepare.roots)
            ),
            self._decisions,
            datetime.now(UTC),
            sources=[SupervisorSource(self._link)],
            on_newer=self._tell,
            previous=self._state,
        )

    def _tell(self, item: CollateralItem, is_from_peer: bool) -> None:  # noqa: FBT001 - as the service calls it
        """Tell the supervisor of newer collateral that a peer brought. Everything else came from there."""
        if not is_from_peer:
            return
        try:
            self._link.send(Frame(newer=encode_item(item, is_from_peer=True)))
        except LinkLostError as error:
            _LOGGER.debug("the supervisor is gone: %s", error)

    # On the event loop.

    def _commit(self, question: Question) -> None:
        state = self._state = self._prepared
        assert state is not None
        if self._listener is None:
            self._begin(state)
        else:
            self._listener.replace(state.serving)
        question.answer_done()

    def _begin(self, state: WorkerState) -> None:
        assert self._audit is not None
        self._history = AttestationHistory(state.settings.attestation_history)
        registrar = self._registrar = Registrar(
            self._audit,
            self._history,
            lambda: datetime.now(UTC),
            self._show,
            refusals_per_minute=state.settings.limits.max_refusals_per_minute,
        )
        self._listener = AttestationListener(
            state.serving,
            registrar,
            lambda: datetime.now(UTC),
            state.settings.limits,
            count_request=partial(self._metrics.count, REQUESTS),
        )
        self._server = ConnectionServer(
            endpoint_factory=self._listener.make_endpoint,
            handler=self._listener.serve,
            observer=self._observe,
            limits=state.settings.limits,
        )
        # What there is now stays. The rest dies young and holds few cycles: looking for them after each few hundred
        # objects, among all that is remembered of attestations, took a tenth of a handshake's time.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_OBJECTS_UNTIL_COLLECTION)
        self._loop.add_reader(self._handover, self._take_connections)

    def _record_skipped(self) -> None:
        """The last thing that is said of this worker's peers."""
        try:
            if self._registrar is not None:
                self._registrar.record_skipped()
        except VerdictdError as error:
            _LOGGER.warning("how many refusals were not recorded cannot be: %s", error)

    def _observe(self, handshake: HandshakeOutcome) -> None:
        assert self._listener is not None
        self._metrics.count(HANDSHAKES, name_outcome(handshake))
        self._metrics.observe(HANDSHAKE_SECONDS, handshake.seconds)
        ended_at, self._concluded = datetime.now(UTC), None
        self._listener.observe(handshake)
        self._trace(handshake, ended_at)

    def _trace(self, handshake: HandshakeOutcome, ended_at: datetime) -> None:
        record, judgement = self._concluded or (None, None)
        self._tracer.trace(
            ConcludedHandshake(handshake=handshake, ended_at=ended_at, record=record, judgement=judgement)
        )

    def _show(self, record: AttestationRecord, judgement: Judgement | None) -> None:
        self._concluded = (record, judgement)
        self._count_attestation(record)
        wait = None if judgement is None else judgement.appraised.collateral_wait
        if wait is not None:
            self._metrics.observe(COLLATERAL_SECONDS, wait.seconds)
        if self._archive is not None and judgement is not None:
            self._archive.submit(describe_judged_peer(record, judgement, self._decisions.pair(judgement.result.tee)))
        if self._is_watched:
            try:
                self._link.send(Frame(concluded=encode_record(record)))
            except LinkLostError as error:
                _LOGGER.debug("the supervisor is gone: %s", error)

    def _count_attestation(self, record: AttestationRecord) -> None:
        tee = "none" if record.result is None else record.result.tee
        refusals = () if record.result is None else record.result.refusals
        verdict = ACCEPTED if record.accepted else REFUSED
        self._metrics.count(ATTESTATIONS, tee, verdict, refusals[0].name if refusals else "")
        self._metrics.observe(JUDGEMENT_SECONDS, record.duration_s)
        if record.decision is not None:
            self._metrics.count(DECISIONS, record.decision.outcome.value)
            self._metrics.observe(DECISION_SECONDS, record.decision.duration_s)

    def _take_connections(self) -> None:
        assert self._server is not None
        try:
            handed = take_handed(self._handover)
        except HandoverLostError as error:
            _LOGGER.warning("%s", error)
            self._give_back(error.token)
        except EOFError:
            self._loop.remove_reader(self._handover)
            self._stopping.set()
        else:
            if handed is not None:
                self._server.take(handed.accepted, handed.peer, partial(self._give_back, handed.token))

    def _give_back(self, token: int) -> None:
        """Give a token back soon, along with those that follow closely."""
        self._returner.keep(token)
        if not self._is_giving_back:
            self._is_giving_back = True
            self._loop.call_later(_GIVE_BACK_S, self._give_back_all)

    def _give_back_all(self) -> None:
        self._is_giving_back = self._returner.give_back()
        if self._is_giving_back:
            self._loop.call_later(_GIVE_BACK_S, self._give_back_all)

    def _count(self, question: Question) -> None:
        if self._archive is not None:
            counts = self._archive.counts
            for outcome in ("archived", "dropped", "failed"):
                self._metrics.count_to(ARCHIVED, getattr(counts, outcome), outcome)
        question.answer(Frame(figures=Figures(metrics=self._metrics.snapshot())))

    async def _rotate(self) -> None:
        """Make a new identity of ours from time to time."""
        while True:
            await asyncio.sleep(IDENTITY_LIFETIME.total_seconds())
            state = self._state
            if state is None or self._listener is None:
                continue
            try:
                context = await self._loop.run_in_executor(
                    None, make_context, state.settings, state.identities, datetime.now(UTC)
                )
            except VerdictdError as error:
                _LOGGER.warning("no new identity was made, the old one stays", extra={"why": str(error)})
                continue
            if state is self._state:
                self._listener.replace(Serving(judging=state.serving.judging, context=context))
