"""What the listener makes of handshakes: who is recorded, who is served, and what no peer leaves behind."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.unit.appraisal.platforms import NOW, appraiser, identity
from verdictd.appraisal.verifiers import NULL_VERIFIER, SGX_VERIFIER, Verifiers
from verdictd.audit.segments import AuditLogError
from verdictd.core.result import JSONValue
from verdictd.daemon.judging import JudgingSettings
from verdictd.daemon.listener import AttestationListener, Serving
from verdictd.daemon.records import AttestationHistory
from verdictd.daemon.refusal_limit import RefusalLimit
from verdictd.daemon.registrar import Registrar
from verdictd.policy.decision import Decision, Outcome
from verdictd.ratstls.certificate_builder import Identity, build_identity
from verdictd.ratstls.channel import (
    ChannelFailed,
    DataReceived,
    Event,
    Failure,
    PeerAccepted,
    PeerRefused,
    PeerVerdict,
    Role,
)
from verdictd.ratstls.connection_server import HandshakeOutcome
from verdictd.ratstls.endpoint import RATSTLSEndpoint
from verdictd.ratstls.limits import ServerLimits
from verdictd.ratstls.nulltls import NullTLSEndpoint
from verdictd.ratstls.server_endpoint import ServerEndpoint
from verdictd.ratstls.tls_context import RATSTLSContext

PEER = "192.0.2.7:4711"
OWN = build_identity(at=datetime.now(UTC))


class Fixture:
    """A listener whose policy and reference values a test can change at any instant."""

    def __init__(
        self,
        *,
        tls: bool = True,
        verifier: Verifiers = SGX_VERIFIER,
        limits: ServerLimits | None = None,
    ) -> None:
        self.limits = limits or ServerLimits()
        self.audit = FakeAuditLog()
        self.in_force = "first"
        self.open_reference: str | None = None
        self.history = AttestationHistory(10)
        judging = JudgingSettings(
            appraiser=appraiser(),
            verifier=verifier,
            decide=self.decide,
            still_holds=lambda _, decision: decision.reference_digest == self.in_force,
            shipped_reference_remedy=lambda _: self.open_reference,
        )
        context = RATSTLSContext(Role.SERVER, OWN, mutual=True) if tls else None
        self.later = timedelta(0)
        self.registrar = Registrar(
            self.audit,  # type: ignore[arg-type]
            self.history,
            lambda: NOW + self.later,
            lambda *_: None,
            refusals_per_minute=self.limits.max_refusals_per_minute,
        )
        self.listener = AttestationListener(
            Serving(judging=judging, context=context),
            self.registrar,
            lambda: NOW,
            self.limits,
        )

    def decide(self, _tee: str, given: dict[str, Any]) -> Decision:
        return Decision(allow=True, outcome=Outcome.ALLOWED, reason="it is", reference_digest=self.in_force)

    def shake_hands(self, peer: Identity, *, before_the_end: str | None = None) -> tuple[list[Event], bool]:
        """Carry a handshake to its end and let the listener observe it; return our events, and whether it is served."""
        ours = self.listener.make_endpoint(PEER)
        theirs = RATSTLSEndpoint(RATSTLSContext(Role.CLIENT, peer, mutual=True), _trust)
        events = list(ours.start())
        theirs.start()
        for _ in range(6):
            events += ours.receive(theirs.bytes_to_send())
            theirs.receive(ours.bytes_to_send())
        self.in_force = before_the_end or self.in_force
        outcome = events[0]
        assert isinstance(outcome, PeerAccepted | PeerRefused | ChannelFailed)
        self.listener.observe(HandshakeOutcome(peer=PEER, outcome=outcome, seconds=0.25))
        connection = FakeConnection()
        if isinstance(outcome, PeerAccepted):
            asyncio.run(self.listener.serve(connection))  # type: ignore[arg-type]
        return events, connection.answers != []


class FakeAuditLog:
    """An audit log in memory, whose disk can be full."""

    def __init__(self) -> None:
        self.records: list[Mapping[str, JSONValue]] = []
        self.is_full = False
        self.meanwhile: Callable[[], object] = lambda: None

    def append(self, record: Mapping[str, JSONValue]) -> int:
        if self.is_full:
            raise AuditLogError("the disk is full")
        self.meanwhile()
        self.records.append(record)
        return len(self.records)


class FakeConnection:
    """A peer that asks for the version, and then no more."""

    peer = PEER

    def __init__(self) -> None:
        self.requests = [b'{"command":"version"}']
        self.answers: list[bytes] = []

    async def read(self) -> bytes:
        return self.requests.pop() if self.requests else b""

    async def write(self, data: bytes) -> None:
        self.answers.append(data)


def _trust(certificate: bytes) -> PeerVerdict:
    return PeerVerdict(attestation_id="00000000", allowed=True, reason="not asked")


def test_an_accepted_peer_is_recorded_with_every_check_and_served() -> None:
    fixture = Fixture()
    peer = identity()
    events, served = fixture.shake_hands(peer)
    assert served
    assert not [event for event in events if isinstance(event, DataReceived)]
    (record,) = fixture.history.find("", 0)
    assert (record.attestation_id, record.peer, record.accepted) == (peer.attestation_id, PEER, True)
    assert record.result is not None
    assert record.result.allowed
    assert record.decision is not None


def test_nobody_is_served_whose_attestation_the_audit_log_does_not_take(caplog: pytest.LogCaptureFixture) -> None:
    fixture = Fixture()
    fixture.audit.is_full = True
    with caplog.at_level(logging.ERROR, "verdictd.daemon.listener"):
        _, served = fixture.shake_hands(identity())
    assert not served
    assert fixture.history.find("", 0) == ()
    assert "nobody is served" in caplog.text
    fixture.audit.is_full = False
    assert fixture.shake_hands(identity())[1]
    assert [record["verdict"] for record in fixture.audit.records] == ["accepted"]


def test_more_requests_than_allowed_end_the_connection() -> None:
    fixture = Fixture(limits=ServerLimits(max_requests=2))
    connection = FakeConnection()
    connection.requests *= 3
    asyncio.run(fixture.listener.serve(connection))  # type: ignore[arg-type]
    assert len(connection.answers) == 2


def test_a_request_that_does_not_end_in_time_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    class Dawdler(FakeConnection):
        async def read(self) -> bytes:
            if len(self.answers) == 1:
                await asyncio.Event().wait()
            self.answers.append(b"half a request was read")
            return b'{"command":'

    with caplog.at_level(logging.WARNING, "verdictd.daemon.listener"):
        asyncio.run(Fixture(limits=ServerLimits(request_timeout_s=0.05)).listener.serve(Dawdler()))  # type: ignore[arg-type]
    assert "a request was not complete after 0.05 seconds" in str([vars(record) for record in caplog.records])


def test_a_peer_accepted_under_what_an_upload_replaced_is_not_served() -> None:
    fixture = Fixture()
    events, served = fixture.shake_hands(identity(), before_the_end="second")
    assert isinstance(events[0], PeerAccepted)
    assert not served
    (record,) = fixture.history.find("", 0)
    assert not record.accepted
    assert "were replaced while the peer connected" in record.sentence
    _, served = fixture.shake_hands(identity())
    assert served, "the next one from the same address is judged by itself"


def test_a_peer_is_not_served_under_what_was_replaced_while_the_audit_log_was_waited_for() -> None:
    fixture = Fixture()
    fixture.audit.meanwhile = lambda: setattr(fixture, "in_force", "second")
    _, served = fixture.shake_hands(identity())
    assert not served
    assert [record["verdict"] for record in fixture.audit.records] == ["accepted", "refused"]
    accepted, refused = fixture.history.find("", 0)
    assert (accepted.accepted, refused.accepted) == (True, False)
    assert "replaced while the peer connected" in refused.sentence


def test_of_too_many_refusals_only_how_many_they_were_is_recorded(caplog: pytest.LogCaptureFixture) -> None:
    fixture, bad, good = Fixture(limits=ServerLimits(max_refusals_per_minute=2)), identity(debug=True), identity()
    for _ in range(5):
        fixture.shake_hands(bad)
    _, served = fixture.shake_hands(good)
    assert served
    verdicts = [record.get("verdict") for record in fixture.audit.records]
    assert verdicts == ["refused", "refused", "accepted"], "who is let in is always recorded"
    assert len(fixture.history.find("", 0)) == 3
    said = [entry.message for entry in caplog.records]
    assert said.count("too many peers are refused: more are only counted (--max-refusals-per-minute)") == 1

    fixture.later = timedelta(minutes=1)
    fixture.shake_hands(bad)
    skipped, refused = fixture.audit.records[3:]
    at = f"{NOW:%Y-%m-%dT%H:%M:%SZ}"
    assert skipped == {"kind": "refusals", "count": 3, "from": at, "to": at}
    assert refused["verdict"] == "refused"


def test_at_the_end_what_was_skipped_is_recorded_once() -> None:
    fixture, bad = Fixture(limits=ServerLimits(max_refusals_per_minute=1)), identity(debug=True)
    fixture.registrar.record_skipped()
    assert fixture.audit.records == []
    for _ in range(3):
        fixture.shake_hands(bad)
    fixture.registrar.record_skipped()
    fixture.registrar.record_skipped()
    assert [record["kind"] for record in fixture.audit.records] == ["attestation", "refusals"]
    assert fixture.audit.records[1]["count"] == 2


def test_a_clock_that_goes_back_stops_no_recording() -> None:
    limit = RefusalLimit(1)
    assert limit.admits(NOW)
    assert not limit.admits(NOW + timedelta(seconds=59))
    assert limit.admits(NOW - timedelta(hours=1))
    assert not limit.admits(NOW - timedelta(minutes=59, seconds=30))
    assert limit.admits(NOW - timedelta(minutes=58))


def test_while_the_reference_values_are_the_shipped_ones_nobody_is_let_in() -> None:
    fixture = Fixture()
    fixture.open_reference = "name yours"
    _, served = fixture.shake_hands(identity())
    assert not served
    (record,) = fixture.history.find("", 0)
    assert record.result is not None
    assert [check.name for check in record.result.refusals] == ["policy.reference"]
    assert record.decision is None
    assert record.sentence.endswith("; name yours")


def test_a_refused_peer_is_recorded_and_not_served() -> None:
    fixture = Fixture()
    events, served = fixture.shake_hands(identity(debug=True))
    assert isinstance(events[0], PeerRefused)
    assert not served
    assert fixture.history.counts() == {"accepted": 0, "refused": 1}


def test_the_null_verifier_asks_no_policy() -> None:
    fixture = Fixture(verifier=NULL_VERIFIER)
    fixture.open_reference = "name yours"
    _, served = fixture.shake_hands(build_identity(at=NOW))
    assert served
    (record,) = fixture.history.find("", 0)
    assert record.decision is None


def test_what_was_refused_before_it_could_be_judged_is_recorded_under_the_id_that_its_peer_was_told() -> None:
    fixture = Fixture()
    fixture.listener.make_endpoint(PEER)
    verdict = PeerVerdict(attestation_id="0badcafe", allowed=False, reason="it cannot be read")
    fixture.listener.observe(HandshakeOutcome(peer=PEER, outcome=PeerRefused(verdict=verdict), seconds=0.25))
    (record,) = fixture.history.find("0badcafe", 0)
    assert (record.accepted, record.sentence, record.result, record.duration_s) == (False, verdict.reason, None, 0.25)


@pytest.mark.parametrize("failure", list(Failure))
def test_a_handshake_that_dies_leaves_nothing_behind(failure: Failure, caplog: pytest.LogCaptureFixture) -> None:
    fixture = Fixture()
    for number in range(50):
        peer = f"192.0.2.7:{number}"
        fixture.listener.make_endpoint(peer).start()
        outcome = ChannelFailed(failure=failure, message="it died", remedy="nothing")
        fixture.listener.observe(HandshakeOutcome(peer=peer, outcome=outcome, seconds=0))
    assert fixture.listener._judges == {}
    assert fixture.listener._turned_away == set()
    assert fixture.history.find("", 0) == ()
    lines = [entry for entry in caplog.records if entry.message == "handshake"]
    assert len(lines) == 50
    assert {vars(entry)["why"] for entry in lines} == {"it died; nothing"}
    assert {entry.levelno for entry in lines} == {logging.WARNING}


def test_without_tls_nobody_is_judged_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    fixture = Fixture(tls=False)
    endpoint = fixture.listener.make_endpoint(PEER)
    assert isinstance(endpoint, NullTLSEndpoint)
    (accepted,) = endpoint.start()
    assert isinstance(accepted, PeerAccepted)
    fixture.listener.observe(HandshakeOutcome(peer=PEER, outcome=accepted, seconds=0))
    assert fixture.history.find("", 0) == ()
    assert "not asked for evidence (nulltls)" in vars(caplog.records[-1])["why"]


def test_connections_keep_what_they_began_with_when_something_else_is_served() -> None:
    fixture = Fixture()
    before = fixture.listener.make_endpoint(PEER)
    assert isinstance(before, ServerEndpoint)
    fixture.listener.replace(Serving(judging=fixture.listener.serving.judging, context=None))
    assert isinstance(fixture.listener.make_endpoint("192.0.2.8:1"), NullTLSEndpoint)


def test_the_log_line_of_an_attestation_holds_what_an_operator_looks_for(caplog: pytest.LogCaptureFixture) -> None:
    fixture = Fixture()
    peer = identity(debug=True)
    fixture.shake_hands(peer)
    (line,) = [vars(entry) for entry in caplog.records if entry.message == "attestation"]
    assert line["id"] == peer.attestation_id
    assert line["peer"] == PEER
    assert (line["verdict"], line["tee"], line["tcb_status"]) == ("refused", "sgx_ecdsa", "UpToDate")
    assert line["failed_checks"] == ["enclave.debug"]
    assert "enclave.debug" in line["why"]
