"""The simulated service and what can be made to go wrong with it; sockets only where the fault is one of theirs."""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.unit.simulator.oracle import AT
from verdictd.core.errors import ConfigError
from verdictd.simulator.behaviour import Behaviour, Fault
from verdictd.simulator.pcs_answers import PCSAnswer
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.simulator.request_log import Entry
from verdictd.simulator.server import CollateralServer
from verdictd.simulator.service import ServiceRequest, SimulatedService
from verdictd.tees.dcap.acceptance import TCBStatus

TCB = "/sgx/certification/v4/tcb?fmspc=53494D000000"
QE = "/sgx/certification/v4/qe/identity"
PCK = f"/sgx/certification/v4/pckcerts?pceid=0000&encrypted_ppid={'ab' * 384}"
BEHAVIOUR = "/tee-sim/behaviour"
REQUESTS = "/tee-sim/requests"


@dataclass
class Clock:
    now: datetime = AT

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Desk:
    """A service whose clock a test moves."""

    directory: Path
    behaviour: Behaviour = field(default_factory=Behaviour)
    required_key: str = ""
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.service = SimulatedService(
            self.directory, self.clock, behaviour=self.behaviour, required_key=self.required_key
        )

    def ask(self, target: str, *, method: str = "GET", body: bytes = b"", key: str = "") -> PCSAnswer:
        return self.service.respond(ServiceRequest(method=method, target=target, body=body, key=key))[0]

    def statuses(self, *targets: str) -> list[int]:
        return [int(self.ask(target).status) for target in targets]


@pytest.fixture
def desk(directory: Path) -> Desk:
    return Desk(directory)


@pytest.fixture
def server(directory: Path) -> Iterator[CollateralServer]:
    with CollateralServer(directory, host="127.0.0.1", port=0, clock=lambda: AT) as running:
        yield running


@pytest.fixture
def connection(server: CollateralServer) -> Iterator[http.client.HTTPConnection]:
    with closing(http.client.HTTPConnection(server.address, timeout=30)) as opened:
        yield opened


def _ask(
    connection: http.client.HTTPConnection, target: str, method: str = "GET", body: bytes | None = None
) -> tuple[http.client.HTTPResponse, bytes]:
    connection.request(method, target, body=body)
    response = connection.getresponse()
    return response, response.read()


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_fault_answers_with_its_status_as_often_as_it_is_to(desk: Desk, status: int) -> None:
    desk.service.behaviour = Behaviour(faults=(Fault(route="*/tcb", status=status, times=2, retry_after_s=7),))
    refused = desk.ask(TCB)
    assert (int(refused.status), refused.headers) == (status, (("Retry-After", "7"),))
    assert desk.statuses(QE, TCB, QE, TCB) == [200, status, 200, 200]


def test_first_fault_that_is_not_used_up_applies(desk: Desk) -> None:
    faults = (Fault(route="*/tcb", status=500, times=1), Fault(route="*/tcb", status=503, times=1), Fault(route="*/q*"))
    desk.service.behaviour = Behaviour(faults=faults)
    assert desk.statuses(TCB, TCB, TCB, QE) == [500, 503, 200, 200]
    desk.service.behaviour = Behaviour(faults=faults)  # told again, it starts again
    assert desk.statuses(TCB) == [500]


def test_content_can_be_wrong_with_the_right_headers(desk: Desk) -> None:
    usual = desk.ask(QE)
    desk.service.behaviour = Behaviour(faults=(Fault(body="<html>"),))
    wrong = desk.ask(QE)
    assert wrong.body == b"<html>"
    assert (wrong.status, wrong.headers) == (usual.status, usual.headers)


def test_requests_beyond_the_rate_are_told_to_come_back(desk: Desk) -> None:
    desk.service.behaviour = Behaviour(rate_per_s=2)
    assert desk.statuses(TCB, QE, TCB) == [200, 200, 429]
    assert desk.ask(TCB).headers == (("Retry-After", "1"),)
    desk.clock.advance(0.999)
    assert desk.statuses(TCB) == [429]
    desk.clock.advance(0.001)
    assert desk.statuses(TCB, TCB, TCB) == [200, 200, 429]


def test_what_is_issued_is_new_each_time_and_ends_when_it_was_told_to(desk: Desk) -> None:
    desk.service.behaviour = Behaviour(lifetime_s=3)
    first = desk.ask(QE).body
    assert json.loads(first)["enclaveIdentity"]["nextUpdate"] == "2026-03-01T12:00:03Z"
    desk.clock.advance(10)
    assert json.loads(desk.ask(QE).body)["enclaveIdentity"]["nextUpdate"] == "2026-03-01T12:00:13Z"


def test_frozen_answers_stay_until_told_otherwise(desk: Desk) -> None:
    frozen = Behaviour(frozen=True, lifetime_s=3)
    desk.service.behaviour = frozen
    first = [desk.ask(target) for target in (TCB, QE, PCK)]
    desk.clock.advance(1000)
    SimulatedPlatform.update(desk.directory, lambda present: present.with_tcb_status(TCBStatus.OUT_OF_DATE))
    assert [desk.ask(target) for target in (TCB, QE, PCK)] == first
    desk.service.behaviour = frozen
    assert b'"tcbEvaluationDataNumber":18' in desk.ask(TCB).body
    desk.service.behaviour = Behaviour()
    assert desk.ask(QE).body != desk.ask(QE).body  # signed anew


def test_key_is_asked_of_subscribers_only(directory: Path) -> None:
    desk = Desk(directory, required_key="k\u00e9y")
    assert desk.statuses(TCB, PCK) == [200, 401]
    assert [int(desk.ask(PCK, key=key).status) for key in ("other", "k\u00e9y")] == [401, 200]
    assert Desk(directory).statuses(PCK) == [200]


def test_behaviour_is_told_and_read_over_http(desk: Desk) -> None:
    told = {"faults": [{"route": "*/tcb", "status": 503}], "rate_per_s": 1}
    assert int(desk.ask(BEHAVIOUR, method="PUT", body=json.dumps(told).encode()).status) == 200
    answered = json.loads(desk.ask(BEHAVIOUR).body)
    assert (answered["faults"][0]["status"], answered["rate_per_s"], answered["frozen"]) == (503, 1, False)
    assert desk.statuses(TCB, QE, QE, BEHAVIOUR) == [503, 200, 429, 200]  # controls are never limited


def test_behaviour_that_cannot_be_read_changes_nothing(desk: Desk) -> None:
    desk.service.behaviour = Behaviour(frozen=True)
    refused = desk.ask(BEHAVIOUR, method="PUT", body=b'{"frozen": 1}')
    assert int(refused.status) == 400
    assert b"of another type" in refused.body
    assert desk.service.behaviour == Behaviour(frozen=True)


@pytest.mark.parametrize(
    ("method", "target"), [("POST", BEHAVIOUR), ("PUT", REQUESTS), ("GET", "/tee-sim/"), ("GET", "/tee-sim/x")]
)
def test_other_controls_are_not_there(desk: Desk, method: str, target: str) -> None:
    refused = desk.ask(target, method=method)
    assert int(refused.status) == 404
    assert b"GET and PUT /tee-sim/behaviour" in refused.body


def test_does_not_start_without_a_platform(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="tee-sim init"):
        Desk(tmp_path)


def test_requests_are_counted_and_listed(server: CollateralServer, connection: http.client.HTTPConnection) -> None:
    _ask(connection, TCB)
    _ask(connection, f"{TCB}&update=late")
    _ask(connection, QE)
    told = json.loads(_ask(connection, REQUESTS)[1])
    path = TCB.partition("?")[0]
    assert told["counts"] == {path: 2, QE: 1}
    assert told["most_at_once"] == {path: 1, QE: 1}
    assert [(entry["target"], entry["status"]) for entry in told["requests"]] == [
        (TCB, 200),
        (f"{TCB}&update=late", 400),
        (QE, 200),
    ]
    assert server.service.log.entries()[0] == Entry("GET", TCB, 200)
    assert json.loads(_ask(connection, REQUESTS, "DELETE")[1]) == {"counts": {}, "most_at_once": {}, "requests": []}


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_requests_at_the_same_time_are_told_from_those_after_one_another(server: CollateralServer) -> None:
    server.service.behaviour = Behaviour(faults=(Fault(delay_s=60),))
    log = server.service.log

    def ask() -> None:
        with closing(http.client.HTTPConnection(server.address, timeout=90)) as own:
            _ask(own, QE)

    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(ask) for _ in range(3)]
        _wait_until(lambda: log.most_at_once().get(QE) == 3)
        server.close()  # which ends all waiting
        for one in asked:
            one.result(timeout=60)
    _wait_until(lambda: len(log.entries()) == 3)
    assert log.counts() == {QE: 3}


def test_answer_comes_late_and_in_drips(server: CollateralServer, connection: http.client.HTTPConnection) -> None:
    server.service.behaviour = Behaviour(faults=(Fault(delay_s=0.1, drip_s=0.1),))
    began = time.monotonic()
    connection.request("GET", TCB)
    response = connection.getresponse()
    assert time.monotonic() - began >= 0.1
    assert response.read().startswith(b'{"tcbInfo":')
    assert time.monotonic() - began >= 0.19


def test_connection_is_reset(server: CollateralServer, connection: http.client.HTTPConnection) -> None:
    server.service.behaviour = Behaviour(faults=(Fault(resets=True, times=1),))
    with pytest.raises(ConnectionResetError):
        _ask(connection, TCB)
    connection.close()
    assert _ask(connection, TCB)[0].status == 200
    _wait_until(lambda: [entry.status for entry in server.service.log.entries()] == [0, 200])


def test_manifest_travels_in_a_body(connection: http.client.HTTPConnection) -> None:
    body = json.dumps({"platformManifest": "ab" * 56442, "pceid": "0000"}).encode()
    response, answered = _ask(connection, "/sgx/certification/v4/pckcerts", "POST", body)
    assert response.status == 200
    assert json.loads(answered)[0]["cert"].startswith("-----BEGIN")
    too_much, _ = _ask(connection, "/sgx/certification/v4/pckcerts", "POST", b" " * (256 * 1024 + 1))
    assert (too_much.status, too_much.will_close) == (400, True)
