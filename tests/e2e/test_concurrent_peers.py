"""Many real handshakes at once, while the reference values change: nobody is let in under a value that was removed."""

import base64
import json
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import grpc

from tests.e2e.conftest import TRUST
from tests.e2e.processes import verifier
from verdictd.core.errors import TransportError
from verdictd.daemon.proto import clientapi_pb2 as messages
from verdictd.daemon.proto.clientapi_pb2_grpc import OpaServiceStub
from verdictd.ratstls.certificate import attestation_id
from verdictd.ratstls.certificate_builder import Identity, build_identity
from verdictd.ratstls.channel import PeerVerdict, Role
from verdictd.ratstls.client import connect
from verdictd.ratstls.endpoint import RATSTLSEndpoint
from verdictd.ratstls.tls_context import RATSTLSContext
from verdictd.simulator.attester import SimulatedAttester
from verdictd.simulator.enclave import EnclaveSpec
from verdictd.simulator.platform import SimulatedPlatform

ENCLAVES = (b"\x0a" * 32, b"\x0b" * 32)
THREADS_PER_ENCLAVE = 3
HANDSHAKES = 100
"""By each thread."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One handshake: of which enclave, from when to when, and whether it was served."""

    enclave: int
    began: float
    ended: float
    accepted: bool


@dataclass(frozen=True, slots=True)
class Change:
    """An upload that named one enclave instead of the other, from when to when."""

    named: int
    began: float
    returned: float


def trust_anyone(certificate: bytes) -> PeerVerdict:
    return PeerVerdict(attestation_id=attestation_id(certificate), allowed=True, reason="not asked")


def attest(identity: Identity, host: str, port: int) -> bool:
    endpoint = RATSTLSEndpoint(RATSTLSContext(Role.CLIENT, identity, mutual=True), trust_anyone)
    try:
        with connect(host, port, endpoint) as channel:
            channel.send(b'{"command":"version"}')
            return b"version" in channel.receive_answer()
    except TransportError:
        return False


def test_no_peer_is_let_in_under_a_value_that_an_upload_removed(place: Path) -> None:
    platform = SimulatedPlatform.load(place / "platform")
    attesters = [SimulatedAttester(platform, EnclaveSpec(mr_enclave=measure)) for measure in ENCLAVES]
    identities = [build_identity(at=datetime.now(UTC), make_quote=attester.quote) for attester in attesters]
    attempts: list[Attempt] = []
    changes: list[Change] = []
    with verifier(place, *TRUST, "--collateral", "collateral.json") as verdictd:
        finished = threading.Event()

        def keep_attesting(enclave: int) -> None:
            for _ in range(HANDSHAKES):
                began = time.monotonic()
                accepted = attest(identities[enclave], verdictd.host, int(verdictd.port))
                attempts.append(Attempt(enclave, began, time.monotonic(), accepted))

        def keep_changing() -> None:
            with grpc.insecure_channel(verdictd.client_api) as channel:
                service = OpaServiceStub(channel)
                named = 0
                while not finished.is_set():
                    began = time.monotonic()
                    request = messages.SetOpaReferenceRequest(name=b"sgxData", content=reference_of(named))
                    assert service.setOpaReference(request, timeout=20).status == b"OK"
                    changes.append(Change(named, began, time.monotonic()))
                    named = 1 - named
                    finished.wait(0.15)

        peers = [
            threading.Thread(target=keep_attesting, args=(number % 2,)) for number in range(2 * THREADS_PER_ENCLAVE)
        ]
        operator = threading.Thread(target=keep_changing)
        operator.start()
        for thread in peers:
            thread.start()
        for thread in peers:
            thread.join()
        finished.set()
        operator.join()
        assert verdictd.service.stop() == 0
        assert not [line for line in verdictd.service.lines if "fault in" in line]

    wrong = [attempt for attempt in attempts if is_wrong(attempt, changes)]
    assert wrong == []
    assert len(attempts) == 2 * THREADS_PER_ENCLAVE * HANDSHAKES
    for enclave in (0, 1):
        outcomes = {attempt.accepted for attempt in attempts if attempt.enclave == enclave}
        assert outcomes == {True, False}, "the test saw both outcomes, or it shows nothing"
    assert len(changes) >= 4


def is_wrong(attempt: Attempt, changes: list[Change]) -> bool:
    """Whether an attempt ended otherwise than every reference in force during it says."""
    named = {
        change.named for change in changes if change.began <= attempt.ended and not _is_past(change, attempt, changes)
    }
    if not named:
        return attempt.accepted
    if attempt.accepted:
        return attempt.enclave not in named
    return named == {attempt.enclave} and _was_in_force(attempt, changes)


def _is_past(change: Change, attempt: Attempt, changes: list[Change]) -> bool:
    """Whether another upload had returned before the attempt began."""
    return any(change.began < later.began and later.returned <= attempt.began for later in changes)


def _was_in_force(attempt: Attempt, changes: list[Change]) -> bool:
    """Whether some reference was in force already when the attempt began; before that there is the shipped one."""
    return any(change.returned <= attempt.began for change in changes)


def reference_of(enclave: int) -> bytes:
    measures = [base64.b64encode(ENCLAVES[enclave]).decode()]
    return json.dumps({"mrEnclave": measures, "mrSigner": [], "productId": 0, "svn": 0}).encode()
