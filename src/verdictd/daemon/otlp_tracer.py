"""Exports traces with OpenTelemetry's libraries: the one module that imports them."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

from verdictd import __version__
from verdictd.daemon.handshake_spans import ConcludedHandshake, Span, describe_handshake

MAX_QUEUED_SPANS: Final = 2048
"""What comes while so many wait is dropped."""
_BATCH: Final = 512
_DELAY_MS: Final = 2000.0
_POST_TIMEOUT_S: Final = 5.0
_CLOSE_TIMEOUT_S: Final = 3.0
_COMPLAINT_S: Final = 60.0

_LOGGER: Final = logging.getLogger(__name__)
_EPOCH: Final = datetime.fromtimestamp(0, UTC)


class OTLPTracer:
    """Exports from a thread of its own. `trace` may be called from any thread."""

    def __init__(self, endpoint: str, *, delay_ms: float = _DELAY_MS) -> None:
        """Begin; nothing is sent before there is something to send.

        Args:
            endpoint: the URL to post to.
            delay_ms: for how long spans wait for others to be sent with.
        """
        self._complaints = _Complaints(endpoint)
        logger = logging.getLogger("opentelemetry")
        logger.handlers[:] = [self._complaints]
        logger.propagate = False
        # First, as it may refuse the environment's variables, and the processor begins a thread.
        resource = Resource.create({"service.name": "verdictd", "service.version": __version__})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._processor = BatchSpanProcessor(
            OTLPSpanExporter(endpoint=endpoint, timeout=_POST_TIMEOUT_S),
            max_queue_size=MAX_QUEUED_SPANS,
            max_export_batch_size=_BATCH,
            schedule_delay_millis=delay_ms,
        )
        self._provider.add_span_processor(self._processor)
        self._tracer = self._provider.get_tracer("verdictd", __version__)

    def trace(self, concluded: ConcludedHandshake) -> None:
        """Have a handshake exported soon, or drop it where too many wait."""
        try:
            self._export(describe_handshake(concluded), Context())
        except Exception:  # whatever is wrong with a trace, the handshake is not to suffer from it
            _LOGGER.exception("a handshake is not traced; this is a fault in the program")

    def close(self) -> None:
        """Export what waits, for no longer than three seconds, and end."""
        ending = threading.Thread(target=self._provider.shutdown, name="tracing-ends", daemon=True)
        ending.start()
        ending.join(_CLOSE_TIMEOUT_S)

    def _export(self, span: Span, context: Context, kind: SpanKind = SpanKind.SERVER) -> None:
        opened = self._tracer.start_span(
            span.name,
            context=context,
            kind=kind,
            attributes=span.attributes,
            start_time=_nanoseconds(span.started_at),
        )
        if opened.is_recording():
            if span.is_failed:
                opened.set_status(Status(StatusCode.ERROR))
            within = set_span_in_context(opened, context)
            for child in span.children:
                self._export(child, within, SpanKind.INTERNAL)
        opened.end(_nanoseconds(span.ended_at))


class _Complaints(logging.Handler):
    """Says in our log that something is wrong with the traces, not for each of a thousand, and not as the library does.

    Its words may hold what a collector answered, or the headers that open it.
    """

    def __init__(self, endpoint: str, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(logging.WARNING)
        self._endpoint = endpoint
        self._clock = clock
        self._again_at = float("-inf")

    def emit(self, record: logging.LogRecord) -> None:
        """Take a complaint of the library's."""
        now = self._clock()
        if now >= self._again_at:
            self._again_at = now + _COMPLAINT_S
            _LOGGER.warning("traces may be lost", extra={"endpoint": self._endpoint, "part": record.name})


def _nanoseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1) * 1000
