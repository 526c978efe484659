from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL, crypto

from tests.unit.ratstls.forge import (
    AT,
    EC_KEY,
    OTHER_EC_KEY,
    RSA_SHA256,
    Forged,
    interoperable,
    legacy,
    name,
    oid,
    tlv,
    utc,
)
from tests.unit.ratstls.peers import (
    ACCEPT,
    CLIENT,
    GENUINE,
    NOW,
    SERVER,
    RawPeer,
    RecordingJudge,
    converse,
    endpoint,
    identify,
    make_context,
    mismatched_key,
    raw,
)
from verdictd.core.checks import CheckLog
from verdictd.core.errors import MalformedError, TransportError
from verdictd.core.result import AppraisalResult
from verdictd.ratstls.alerts import explain_alert
from verdictd.ratstls.certificate_builder import Identity, build_identity
from verdictd.ratstls.channel import (
    NEXT_STATES,
    ChannelFailed,
    ChannelState,
    DataReceived,
    Event,
    Failure,
    PeerAccepted,
    PeerClosed,
    PeerRefused,
    PeerVerdict,
    Role,
)
from verdictd.ratstls.endpoint import RATSTLSEndpoint
from verdictd.ratstls.nulltls import NullTLSEndpoint
from verdictd.ratstls.tls_context import PeerGate, RATSTLSContext

VERSIONS = [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION]
BOTH = pytest.mark.parametrize("version", VERSIONS, ids=["TLSv1.2", "TLSv1.3"])
EITHER = pytest.mark.parametrize("role", list(Role))
NAMES = {SSL.TLS1_2_VERSION: "TLSv1.2", SSL.TLS1_3_VERSION: "TLSv1.3"}


def pair(ours: Role, version: int, judge: object = ACCEPT) -> tuple[RATSTLSEndpoint, RawPeer]:
    return endpoint(ours, judge), raw(ours.peer, version=version)


def presenting(der: bytes, key: ec.EllipticCurvePrivateKey, version: int, *more: bytes) -> RawPeer:
    return RawPeer(Role.CLIENT, [der, *more], key, version=version)


# Accepting


@BOTH
@EITHER
def test_a_peer_is_accepted_and_both_can_talk(role: Role, version: int) -> None:
    judge = RecordingJudge()
    ours, peer = pair(role, version, judge)
    events = converse(ours, peer)
    certificate = (CLIENT if role is Role.SERVER else SERVER).certificate_der
    verdict = PeerVerdict(attestation_id=identify(certificate), allowed=True, reason="as the test says")
    assert events == [PeerAccepted(verdict=verdict, protocol=NAMES[version])]
    assert judge.asked == [certificate]
    assert (ours.state, peer.error) == (ChannelState.OPEN, "")
    ours.send(b"a question")
    peer.connection.send(b"an answer")
    assert ours.receive(peer.step(ours.bytes_to_send())) == (DataReceived(b"an answer"),)
    assert peer.received == b"a question"


@BOTH
def test_accepted_only_when_the_last_byte_of_the_handshake_is_there(version: int) -> None:
    judge = RecordingJudge()
    ours, peer = pair(Role.SERVER, version, judge)
    ours.receive(peer.step(ours.bytes_to_send()))
    flight = peer.step(ours.bytes_to_send())
    judged_at = None
    for position, byte in enumerate(flight, start=1):
        events = ours.receive(bytes((byte,)))
        if judged_at is None and judge.asked:
            judged_at = position
        assert [type(event) for event in events] == [PeerAccepted] * (position == len(flight))
    assert judged_at is not None
    assert judged_at < len(flight) - 100  # a signature and a MAC were still to come
    assert len(judge.asked) == 1


@BOTH
def test_data_in_full_records(version: int) -> None:
    ours, peer = pair(Role.SERVER, version)
    converse(ours, peer)
    ours.send(b"x" * 40000)
    peer.step(ours.bytes_to_send())
    assert peer.received == b"x" * 40000
    for size in (4097, 16385, 100_000):
        peer.connection.sendall(bytes(size))
        events = ours.receive(peer.outgoing())
        sizes = [len(event.data) for event in events if isinstance(event, DataReceived)]
        assert sizes == [16384] * (size // 16384) + [size % 16384]


@BOTH
@EITHER
def test_data_that_comes_with_the_end_of_the_handshake_is_not_lost(role: Role, version: int) -> None:
    ours, peer = pair(role, version)
    flights = []
    while not peer.done:
        flights.append(peer.step(ours.bytes_to_send()))
        if not peer.done:
            ours.receive(flights[-1])
    peer.connection.send(b"at once")
    events = ours.receive(flights[-1] + peer.outgoing())
    assert DataReceived(b"at once") in events


@EITHER
def test_one_way(role: Role) -> None:
    judge = RecordingJudge()
    ours = endpoint(role, judge, mutual=False)
    peer = raw(role.peer)
    (accepted,) = converse(ours, peer)
    assert isinstance(accepted, PeerAccepted)
    if role is Role.SERVER:
        assert (accepted.verdict, judge.asked) == (None, [])
    else:
        assert judge.asked == [SERVER.certificate_der]
        assert peer.connection.get_peer_certificate() is None


@pytest.mark.parametrize(
    "forged",
    [
        GENUINE.but(version=tlv(0xA0, tlv(0x02, b"\x03"))).with_extensions(legacy()),
        GENUINE.but(parameters=tlv(0x05)).with_extensions(legacy()),
        GENUINE.with_extensions((interoperable()[0], True, interoperable()[2])),
    ],
    ids=["version 4", "NULL parameters", "critical evidence"],
)
@BOTH
def test_odd_certificates_of_real_peers_reach_the_judge_byte_for_byte(forged: Forged, version: int) -> None:
    judge, der = RecordingJudge(), forged.der()
    ours = endpoint(Role.SERVER, judge)
    (accepted,) = converse(ours, presenting(der, EC_KEY, version))
    assert isinstance(accepted, PeerAccepted)
    assert judge.asked == [der]


# Refusing


@BOTH
@EITHER
def test_a_refused_peer_is_told_by_an_alert_and_never_read(role: Role, version: int) -> None:
    ours, peer = pair(role, version, RecordingJudge(allowed=False, reason="not that enclave"))
    events: tuple[Event, ...] = ()
    flight = b""
    while not events:
        flight = peer.step(ours.bytes_to_send())
        if peer.done:
            peer.connection.send(b"let me in")
            flight += peer.outgoing()
        events = ours.receive(flight)
    (refused,) = events
    assert isinstance(refused, PeerRefused)
    assert refused.verdict.reason == "not that enclave"
    assert ours.state is ChannelState.REFUSED
    peer.step(ours.bytes_to_send())
    assert "alert unknown ca" in peer.error
    assert ours.receive(flight) == ()
    assert ours.receive_eof() == ()
    with pytest.raises(RuntimeError, match="the channel is refused"):
        ours.send(b"never")


@BOTH
@EITHER
def test_the_refused_side_understands_it(role: Role, version: int) -> None:
    ours, refusing = endpoint(role), raw(role.peer, version=version, accepts=False)
    events = converse(ours, refusing)
    identifier = (CLIENT if role is Role.CLIENT else SERVER).attestation_id
    assert events[-1] == ChannelFailed(
        failure=Failure.REFUSED_BY_PEER,
        message=f"the {role.peer} refused our certificate (attestation id {identifier}, TLS alert unknown_ca)",
        remedy=f"the {role.peer}'s operator can see why under that id",
    )
    assert ours.state is ChannelState.FAILED
    accepted_before = role is Role.CLIENT and version == SSL.TLS1_3_VERSION
    assert [type(event) for event in events[:-1]] == [PeerAccepted] * accepted_before


@BOTH
@EITHER
def test_a_certificate_without_its_key_is_refused_although_the_judge_accepts_it(role: Role, version: int) -> None:
    judge, der = RecordingJudge(), GENUINE.der()
    ours = endpoint(role, judge)
    thief = RawPeer(role.peer, [der], mismatched_key(EC_KEY, OTHER_EC_KEY), version=version)
    (refused,) = converse(ours, thief)
    assert judge.asked == [der]
    assert isinstance(refused, PeerRefused)
    assert refused.verdict == PeerVerdict(
        attestation_id=identify(der),
        allowed=False,
        reason=f"the {role.peer} does not hold the key of the certificate it presented",
    )
    assert "alert decrypt error" in thief.error


@BOTH
def test_a_chain_is_refused_even_where_its_first_certificate_would_do(version: int) -> None:
    unrelated = presenting(GENUINE.der(), EC_KEY, version, SERVER.certificate_der)
    issued = GENUINE.but(issuer=name("issuer"), signer=OTHER_EC_KEY)
    issuer = GENUINE.but(key=OTHER_EC_KEY, issuer=name("issuer"), subject=name("issuer"), extensions=())
    descended = presenting(issued.der(), EC_KEY, version, issuer.der())
    for peer in (unrelated, descended):
        ours = endpoint(Role.SERVER)
        (refused,) = converse(ours, peer)
        assert isinstance(refused, PeerRefused)
        assert "a chain of certificates" in refused.verdict.reason
        assert peer.error
        assert ours.state is ChannelState.REFUSED
        with suppress(SSL.Error):
            peer.connection.send(b"let me in")
        assert ours.receive(peer.outgoing()) == ()


@BOTH
def test_a_server_that_sends_a_chain_is_refused_by_an_alert(version: int) -> None:
    server = RawPeer(Role.SERVER, [GENUINE.der(), CLIENT.certificate_der], EC_KEY, version=version)
    judge = RecordingJudge()
    (refused,) = converse(endpoint(Role.CLIENT, judge), server)
    assert isinstance(refused, PeerRefused)
    assert "a chain of certificates" in refused.verdict.reason
    assert "alert unknown ca" in server.error
    assert judge.asked == []


@BOTH
def test_a_client_without_a_certificate_is_refused(version: int) -> None:
    judge = RecordingJudge()
    ours, peer = endpoint(Role.SERVER, judge), RawPeer(Role.CLIENT, version=version)
    assert converse(ours, peer) == [
        ChannelFailed(
            failure=Failure.PROTOCOL,
            message="the client presented no certificate",
            remedy="it has to be started with --mutual",
        )
    ]
    assert judge.asked == []
    assert "alert" in peer.error


@BOTH
def test_our_own_client_learns_that_it_has_to_send_a_certificate(version: int) -> None:
    ours = endpoint(Role.CLIENT, mutual=False)
    server = raw(Role.SERVER, version=version)
    server.connection.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
    failed = converse(ours, server)[-1]
    assert isinstance(failed, ChannelFailed)
    assert "requires a certificate" in failed.message
    assert failed.remedy == "send one with --mutual"


class PanicError(BaseException):
    """What a native library's panic looks like: no `Exception`."""


@BOTH
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MalformedError("evidence is empty"), "evidence is empty"),
        (ZeroDivisionError("oops"), "this is a fault in the verifier: ZeroDivisionError('oops')"),
        (PanicError("oops"), "this is a fault in the verifier: PanicError('oops')"),
    ],
)
def test_a_judge_that_fails_refuses(version: int, error: BaseException, reason: str) -> None:
    def judge(_: bytes) -> PeerVerdict:
        raise error

    ours, peer = pair(Role.SERVER, version, judge)
    (refused,) = converse(ours, peer)
    assert isinstance(refused, PeerRefused)
    assert refused.verdict.reason.endswith(reason)
    assert refused.verdict.attestation_id == CLIENT.attestation_id
    assert "alert unknown ca" in peer.error


@BOTH
def test_an_interruption_refuses_and_is_not_swallowed(version: int) -> None:
    def judge(_: bytes) -> PeerVerdict:
        raise KeyboardInterrupt

    ours, peer = pair(Role.CLIENT, version, judge)
    with pytest.raises(KeyboardInterrupt):
        converse(ours, peer)
    peer.step(ours.bytes_to_send())
    assert "alert unknown ca" in peer.error


def test_only_true_allows() -> None:
    for almost in (1, "yes", object()):
        ours, peer = pair(Role.SERVER, SSL.TLS1_3_VERSION, RecordingJudge(allowed=almost))  # type: ignore[arg-type]
        converse(ours, peer)
        assert ours.state is ChannelState.REFUSED


def test_a_verdict_cannot_contradict_its_appraisal() -> None:
    log = CheckLog()
    log.failed("tcb.status", "UpToDate", "OutOfDate")
    refusing = AppraisalResult(tee="sgx_ecdsa", checks=log.finish(), at=AT)
    with pytest.raises(ValueError, match="cannot allow what its own appraisal refuses"):
        PeerVerdict(attestation_id="", allowed=True, reason="", result=refusing)
    assert PeerVerdict(attestation_id="", allowed=False, reason="", result=refusing).result is refusing


@BOTH
@pytest.mark.parametrize(
    ("forged", "finding"),
    [
        (GENUINE.but(not_after=utc(datetime(2021, 1, 1, tzinfo=UTC))), "ERR_CERT_HAS_EXPIRED"),
        (GENUINE.but(not_before=utc(datetime(2048, 1, 1, tzinfo=UTC))), "ERR_CERT_NOT_YET_VALID"),
        (GENUINE.but(issuer=name("somebody")), "ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY"),
        (GENUINE.with_extensions(("2.5.29.15", False, bytes.fromhex("03020204"))), "ERR_"),
    ],
    ids=["expired", "not yet valid", "not self-signed", "a key that may not sign"],
)
def test_a_judge_that_overlooks_what_openssl_finds_does_not_help(forged: Forged, finding: str, version: int) -> None:
    judge = RecordingJudge()
    peer = presenting(forged.der(), EC_KEY, version)
    (refused,) = converse(endpoint(Role.SERVER, judge), peer)
    assert isinstance(refused, PeerRefused)
    assert f"OpenSSL does not accept the certificate for TLS: {finding}" in refused.verdict.reason
    assert len(judge.asked) == 1
    assert "alert" in peer.error


@BOTH
def test_the_judged_key_is_the_one_tls_uses(version: int) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    padded = tlv(2, bytes(2) + key.public_key().public_numbers().n.to_bytes(256, "big"))  # OpenSSL does not mind
    numbers = tlv(0x30, padded, tlv(2, b"\x01\x00\x01"))
    spki = tlv(0x30, tlv(0x30, oid("1.2.840.113549.1.1.1"), tlv(5)), tlv(3, b"\x00", numbers))
    judge, forged = RecordingJudge(), GENUINE.but(key=key, spki=spki, algorithm=RSA_SHA256)
    peer = RawPeer(Role.CLIENT, [forged.der()], key, version=version)
    (refused,) = converse(endpoint(Role.SERVER, judge), peer)
    assert isinstance(refused, PeerRefused)
    assert refused.verdict.reason == "the certificate's key is not written as TLS uses it"
    assert judge.asked == []


def test_a_key_that_openssl_cannot_read_is_refused_for_that() -> None:
    """Of a point that is on no curve. In TLS 1.2 whoever is in between can write one."""
    judge, peer = RecordingJudge(), raw(Role.CLIENT, version=SSL.TLS1_2_VERSION)
    ours = endpoint(Role.SERVER, judge)
    ours.receive(peer.step())
    flight = peer.step(ours.bytes_to_send())
    point = bytes.fromhex("03420004")
    assert point in flight
    (refused,) = ours.receive(flight.replace(point, bytes.fromhex("03420005")))
    assert isinstance(refused, PeerRefused)
    assert refused.verdict.reason == "the certificate's key is not written as TLS uses it"
    assert judge.asked == []


def test_two_different_certificates_on_one_connection_are_refused() -> None:
    judge = RecordingJudge()
    gate = PeerGate(judge)
    connection = RATSTLSContext(Role.SERVER, SERVER, mutual=True).connection(gate)
    first, second = (
        crypto.load_certificate(crypto.FILETYPE_ASN1, identity.certificate_der) for identity in (CLIENT, SERVER)
    )
    assert gate.admits(connection, first, 18, 0)
    assert gate.admits(connection, first, 0, 0)
    assert not gate.admits(connection, second, 0, 0)
    assert not gate.admits(connection, first, 0, 0)
    assert judge.asked == [CLIENT.certificate_der]
    assert (
        gate.conclude(further_certificates=0).reason
        == "the peer presented two different certificates, expected exactly one"
    )


def test_a_handshake_without_any_certificate_is_never_concluded_well() -> None:
    verdict = PeerGate(ACCEPT).conclude(further_certificates=0)
    assert (verdict.allowed, verdict.reason) == (False, "the peer presented no certificate")


# Sessions


@BOTH
def test_nothing_is_resumed(version: int) -> None:
    judge = RecordingJudge()
    context = RATSTLSContext(Role.SERVER, SERVER, mutual=True)
    peer: RawPeer | None = None
    for attempt in (1, 2, 3):
        ours = RATSTLSEndpoint(context, judge)
        ours.start()
        peer = raw(Role.CLIENT, version=version, again=peer)
        (accepted,) = converse(ours, peer)
        assert isinstance(accepted, PeerAccepted)
        assert len(judge.asked) == attempt


@BOTH
def test_a_client_that_offers_its_session_again_is_judged_again(version: int) -> None:
    judge = RecordingJudge()
    context = RATSTLSContext(Role.SERVER, SERVER, mutual=True)
    first, second = RATSTLSEndpoint(context, judge), RATSTLSEndpoint(context, judge)
    first.start()
    second.start()
    peer = raw(Role.CLIENT, version=version)
    converse(first, peer)
    judge.allowed = False
    assert [type(event) for event in converse(second, raw(Role.CLIENT, again=peer))] == [PeerRefused]


# The protocol


@pytest.mark.parametrize("ciphers", [b"AES128-SHA", b"ECDHE-ECDSA-AES128-SHA", b"ADH-AES128-SHA256:@SECLEVEL=0"])
def test_old_ciphers_are_not_agreed_on(ciphers: bytes) -> None:
    peer = raw(Role.CLIENT, version=SSL.TLS1_2_VERSION, ciphers=ciphers)
    (failed,) = converse(endpoint(Role.SERVER), peer)
    assert isinstance(failed, ChannelFailed)
    assert failed.message == "the TLS handshake with the client failed: no shared cipher"


def test_old_versions_are_not_agreed_on() -> None:
    peer = raw(Role.CLIENT, version=SSL.TLS1_1_VERSION, ciphers=b"ALL:@SECLEVEL=0")
    (failed,) = converse(endpoint(Role.SERVER), peer)
    assert isinstance(failed, ChannelFailed)
    assert "unsupported protocol" in failed.message
    assert "protocol version" in peer.error


@EITHER
@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\x00", b"{", b"\x17\x03\x03", b"\x80\x2e\x01"])
def test_what_is_not_tls_is_called_so(role: Role, data: bytes) -> None:
    ours = endpoint(role)
    (failed,) = ours.receive(data)
    assert isinstance(failed, ChannelFailed)
    assert (failed.failure, failed.message) == (Failure.NOT_TLS, f"the {role.peer} does not speak TLS")
    assert ours.receive(data) == ()


@EITHER
@given(data=st.binary(min_size=1, max_size=200), size=st.integers(1, 50))
@settings(max_examples=50)
def test_any_bytes_at_all_end_in_a_failure_or_in_waiting(role: Role, data: bytes, size: int) -> None:
    ours = endpoint(role)
    events = [
        event
        for prefix in (b"\x16\x03\x01", b"")
        for start in range(0, len(data), size)
        for event in ours.receive(prefix * (start == 0) + data[start : start + size])
    ]
    assert all(isinstance(event, ChannelFailed) for event in events)
    assert len(events) <= 1
    assert ours.state is (ChannelState.FAILED if events else ChannelState.HANDSHAKING)


@BOTH
@settings(max_examples=40)
@given(data=st.data())
def test_a_record_that_was_damaged_on_the_way_never_leads_to_wrong_data(version: int, data: st.DataObject) -> None:
    ours, peer = pair(Role.SERVER, version)
    converse(ours, peer)
    peer.connection.send(b"a question")
    record = bytearray(peer.outgoing())
    bit = data.draw(st.integers(0, 8 * len(record) - 1))
    record[bit // 8] ^= 1 << bit % 8
    events = ours.receive(bytes(record)) + ours.receive_eof()
    assert all(isinstance(event, ChannelFailed) or event == PeerClosed(clean=False) for event in events)
    assert len(events) == 1


@BOTH
def test_an_alert_after_the_handshake_ends_the_channel(version: int) -> None:
    ours, peer = pair(Role.SERVER, version)
    converse(ours, peer)
    (failed,) = ours.receive(peer.step(b"\x17\x03\x03\x00\x20" + bytes(32)))
    message = "the client ended the connection (TLS alert bad_record_mac)"
    assert failed == ChannelFailed(failure=Failure.PROTOCOL, message=message)
    assert ours.receive(b"\x17") == ()


# States


@BOTH
def test_a_peer_that_says_goodbye_can_still_be_answered(version: int) -> None:
    ours, peer = pair(Role.SERVER, version)
    converse(ours, peer)
    peer.connection.send(b"a last question")
    peer.connection.shutdown()
    assert ours.receive(peer.outgoing()) == (DataReceived(b"a last question"), PeerClosed(clean=True))
    assert ours.state is ChannelState.PEER_CLOSED
    ours.send(b"a last answer")
    ours.close()
    peer.step(ours.bytes_to_send())
    assert peer.received == b"a last answer"
    assert peer.error == "close_notify"


@BOTH
def test_closing_says_goodbye(version: int) -> None:
    ours, peer = pair(Role.SERVER, version)
    converse(ours, peer)
    ours.close()
    peer.step(ours.bytes_to_send())
    assert (peer.error, ours.state) == ("close_notify", ChannelState.CLOSED)
    ours.close()
    assert ours.bytes_to_send() == b""
    with pytest.raises(RuntimeError):
        ours.send(b"too late")


def test_the_end_of_the_stream_in_each_state() -> None:
    new = RATSTLSEndpoint(RATSTLSContext(Role.SERVER, SERVER, mutual=True), ACCEPT)
    assert new.receive_eof() == ()
    shaking = endpoint(Role.SERVER)
    (failed,) = shaking.receive_eof()
    assert isinstance(failed, ChannelFailed)
    assert (failed.failure, failed.message) == (Failure.CUT_OFF, "the client closed during the handshake")
    ours, peer = pair(Role.SERVER, SSL.TLS1_3_VERSION)
    converse(ours, peer)
    assert ours.receive_eof() == (PeerClosed(clean=False),)
    assert ours.receive_eof() == ()
    assert ours.state is ChannelState.CLOSED


def test_misuse_is_an_error_of_the_program() -> None:
    ours = endpoint(Role.SERVER)
    with pytest.raises(RuntimeError, match="cannot become handshaking"):
        ours.start()
    with pytest.raises(RuntimeError, match="the channel is handshaking"):
        ours.send(b"too early")
    ours.close()
    assert ours.receive(b"\x16") == ()
    for options in ((Role.SERVER, False), (Role.SERVER, True), (Role.CLIENT, True)):
        with pytest.raises(ValueError, match="needs an identity"):
            RATSTLSContext(options[0], None, mutual=options[1])
    assert RATSTLSContext(Role.CLIENT, None, mutual=False).identity is None


def test_every_state_has_its_successors_and_the_last_ones_have_none() -> None:
    assert set(NEXT_STATES) == set(ChannelState)
    last = {state for state, following in NEXT_STATES.items() if not following}
    assert last == {ChannelState.REFUSED, ChannelState.FAILED, ChannelState.CLOSED}


def test_a_key_that_does_not_belong_to_the_certificate_is_refused_at_once() -> None:
    mixed = Identity(private_key=CLIENT.private_key, certificate_der=SERVER.certificate_der)
    with pytest.raises(SSL.Error):
        RATSTLSContext(Role.SERVER, mixed, mutual=True)


def test_sending_that_tls_cannot_do_is_a_transport_error() -> None:
    ours, peer = pair(Role.SERVER, SSL.TLS1_3_VERSION)
    converse(ours, peer)
    ours._connection.shutdown()
    with pytest.raises(TransportError, match="TLS cannot send"):
        ours.send(b"x")


# Many at once


def test_threads_do_not_mix_verdicts() -> None:
    context = RATSTLSContext(Role.SERVER, SERVER, mutual=True)
    good, bad = build_identity(at=NOW), build_identity(at=NOW)

    def judge(der: bytes) -> PeerVerdict:
        return PeerVerdict(attestation_id=identify(der), allowed=der == good.certificate_der, reason="")

    peers = {
        (identity.attestation_id, version): make_context(
            Role.CLIENT, [identity.certificate_der], identity.private_key, version=version
        )
        for identity in (good, bad)
        for version in VERSIONS
    }

    def shake(number: int) -> bool:
        ours = RATSTLSEndpoint(context, judge)
        ours.start()
        identity = bad if number % 3 == 0 else good
        peer_context = peers[identity.attestation_id, VERSIONS[number % 2]]
        (event,) = converse(ours, RawPeer(Role.CLIENT, context=peer_context))
        if identity is good:
            return isinstance(event, PeerAccepted) and ours.state is ChannelState.OPEN
        return isinstance(event, PeerRefused) and event.verdict.attestation_id == bad.attestation_id

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(shake, range(300)))


# Alerts


@pytest.mark.parametrize(
    ("alert", "identifier", "failure", "words"),
    [
        (42, "ab", Failure.REFUSED_BY_PEER, "the server refused our certificate (attestation id ab, TLS alert bad_cer"),
        (
            48,
            "ab",
            Failure.REFUSED_BY_PEER,
            "the server refused our certificate (attestation id ab, TLS alert unknown_",
        ),
        (
            80,
            "ab",
            Failure.REFUSED_BY_PEER,
            "the server refused our certificate (attestation id ab, TLS alert internal",
        ),
        (80, None, Failure.PROTOCOL, "the server ended the connection (TLS alert internal_error)"),
        (116, None, Failure.REFUSED_BY_PEER, "requires a certificate (TLS alert certificate_required)"),
        (40, None, Failure.REFUSED_BY_PEER, "requires a certificate (TLS alert handshake_failure)"),
        (40, "ab", Failure.PROTOCOL, "the server ended the connection (TLS alert handshake_failure)"),
        (51, "ab", Failure.REFUSED_BY_PEER, "our key and certificate do not match (TLS alert decrypt_error)"),
        (70, "ab", Failure.PROTOCOL, "(TLS alert protocol_version)"),
        (200, None, Failure.PROTOCOL, "(TLS alert 200)"),
    ],
)
def test_alerts_in_words(alert: int, identifier: str | None, failure: Failure, words: str) -> None:
    explained = explain_alert(alert, role=Role.CLIENT, attestation_id=identifier)
    assert explained.failure is failure
    assert words in explained.message


# Without TLS


def test_nulltls_carries_bytes_and_says_that_nobody_is_attested() -> None:
    ours = NullTLSEndpoint()
    assert ours.receive(b"too early") == ()
    assert ours.start() == (PeerAccepted(verdict=None, protocol="nulltls"),)
    assert [len(event.data) for event in ours.receive(bytes(16385)) if isinstance(event, DataReceived)] == [16384, 1]
    ours.send(b"clear ")
    ours.send(b"text")
    assert (ours.bytes_to_send(), ours.bytes_to_send()) == (b"clear text", b"")
    assert ours.receive_eof() == (PeerClosed(clean=True),)
    assert ours.receive_eof() == ()
    ours.send(b"still")
    ours.close()
    ours.close()
    assert (ours.state, ours.bytes_to_send(), ours.receive(b"x")) == (ChannelState.CLOSED, b"still", ())
    with pytest.raises(RuntimeError):
        ours.send(b"too late")
    with pytest.raises(RuntimeError):
        ours.start()
