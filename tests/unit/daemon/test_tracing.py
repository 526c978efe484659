"""Traces as a collector gets them, over HTTP and decoded; and a collector that is dead, or answers nothing."""

import gzip
import logging
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status as WireStatus

from tests.unit.daemon.concluded import ENDED_AT, PEER, attested, failed
from verdictd.core.errors import ConfigError
from verdictd.daemon import otlp_tracer, tracing
from verdictd.daemon.otlp_tracer import MAX_QUEUED_SPANS, OTLPTracer, _Complaints
from verdictd.daemon.tracing import NoTracer, open_tracer

HANG_S = 30.0


@pytest.fixture(autouse=True)
def _no_exporter_outlives_its_test() -> Iterator[None]:
    """The exporter draws its pauses from the global random source, which other tests in this process rely on."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
        assert not thread.is_alive(), thread.name


class Collector:
    """A collector on loopback: what it was sent."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: queue.Queue[tuple[str, str, ExportTraceServiceRequest]] = queue.Queue()

    def wait_for_spans(self, count: int) -> list[WireSpan]:
        spans: list[WireSpan] = []
        while len(spans) < count:
            path, content_type, request = self.requests.get(timeout=HANG_S)
            assert (path, content_type) == ("/v1/traces", "application/x-protobuf")
            for each in request.resource_spans:
                names = {item.key: item.value.string_value for item in each.resource.attributes}
                assert names["service.name"] == "verdictd"
                spans += [span for scope in each.scope_spans for span in scope.spans]
        return spans


@contextmanager
def collector() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                data = gzip.decompress(data)
            message = ExportTraceServiceRequest.FromString(data)
            received.requests.put((self.path, self.headers["Content-Type"], message))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as http.server calls it
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        received = Collector(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield received
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def attributes(span: WireSpan) -> dict[str, str]:
    return {item.key: item.value.string_value for item in span.attributes}


def test_a_collector_gets_the_handshake_as_one_trace() -> None:
    concluded = attested(allow=False)
    with collector() as received:
        tracer = open_tracer(received.url, {})
        tracer.trace(concluded)
        tracer.close()  # does not wait for more to come
        spans = {span.name: span for span in received.wait_for_spans(4)}
    root, judgement = spans["verdictd.handshake"], spans["verdictd.judgement"]
    assert len({span.trace_id for span in spans.values()}) == 1
    assert root.parent_span_id == b""
    assert root.kind == WireSpan.SPAN_KIND_SERVER
    assert judgement.parent_span_id == root.span_id
    assert spans["verdictd.collateral"].parent_span_id == judgement.span_id
    assert spans["verdictd.policy_decision"].parent_span_id == judgement.span_id
    assert root.end_time_unix_nano == int(ENDED_AT.timestamp()) * 10**9
    assert root.end_time_unix_nano - root.start_time_unix_nano == 8 * 10**9
    assert judgement.end_time_unix_nano - judgement.start_time_unix_nano == 4 * 10**9
    assert root.status.code == WireStatus.STATUS_CODE_ERROR
    assert spans["verdictd.collateral"].status.code == WireStatus.STATUS_CODE_UNSET
    assert attributes(root)["verdictd.failed_check"] == "policy.decision"
    assert PEER not in str(list(spans.values()))


def test_two_handshakes_are_two_traces() -> None:
    with collector() as received:
        tracer = open_tracer(None, {"OTEL_EXPORTER_OTLP_ENDPOINT": received.url})
        tracer.trace(failed())
        tracer.trace(failed())
        tracer.close()
        spans = received.wait_for_spans(2)
    assert len({span.trace_id for span in spans}) == 2


def test_what_waits_is_sent_without_anybody_closing() -> None:
    with collector() as received, closing(OTLPTracer(f"{received.url}/v1/traces", delay_ms=10.0)) as tracer:
        tracer.trace(failed())
        assert received.wait_for_spans(1)[0].name == "verdictd.handshake"


@contextmanager
def silent_collector() -> Iterator[str]:
    """Takes connections, and never reads or answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def dead_collector() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("open_collector", [dead_collector, silent_collector])
def test_without_an_answer_no_handshake_waits_and_memory_is_bounded(
    open_collector: Any, caplog: pytest.LogCaptureFixture
) -> None:
    before = set(threading.enumerate())
    with open_collector() as url:
        tracer = OTLPTracer(f"{url}/v1/traces", delay_ms=10.0)
        started = time.monotonic()
        for _ in range(2 * MAX_QUEUED_SPANS):
            tracer.trace(failed())
        queued = len(tracer._processor._batch_processor._queue)
        traced = time.monotonic()
        tracer.close()
        closed = time.monotonic()
        for exporter in set(threading.enumerate()) - before:
            exporter.join(2 * HANG_S)  # it learns only when its last request has failed, which may be after the close
    assert queued <= MAX_QUEUED_SPANS
    assert traced - started < HANG_S
    assert closed - traced < HANG_S
    lost = [record for record in caplog.records if record.message == "traces may be lost"]
    assert len(lost) == 1, "the operator is told, and told once"


def test_a_fault_in_a_trace_is_logged_and_goes_no_further(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(otlp_tracer, "describe_handshake", fail)
    with dead_collector() as url, closing(OTLPTracer(url)) as tracer:
        tracer.trace(failed())
    assert "a handshake is not traced" in caplog.text


def test_complaints_come_once_a_minute_in_our_own_words(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    complaints = _Complaints("http://collector", clock=lambda: now[0])
    record = logging.LogRecord("opentelemetry.sdk", logging.WARNING, "", 0, "Authorization: hunter2", (), None)
    told = []
    for at in (0.0, 59.9, 60.0):
        now[0] = at
        complaints.emit(record)
        told.append(len(caplog.records))
    assert told == [1, 1, 2]
    assert "hunter2" not in caplog.text


def test_without_an_endpoint_nothing_is_imported_and_nothing_done() -> None:
    program = (
        "import sys; from verdictd.daemon.tracing import NoTracer, open_tracer;"
        "assert isinstance(open_tracer(None, {}), NoTracer);"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    tracer = NoTracer()
    tracer.trace(failed())
    tracer.close()


def test_without_the_libraries_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, tracing._EXPORTER)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ConfigError, match=r"pip install 'verdictd\[otel\]'"):
        open_tracer("http://collector:4318", {})


def test_a_variable_that_the_library_does_not_take_is_an_error_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "nonsense")
    with pytest.raises(ConfigError, match="OTEL_"):
        open_tracer("http://collector:4318", {})
