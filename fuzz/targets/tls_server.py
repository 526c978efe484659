"""The server's side of RATS-TLS, fed whatever comes: the flights of a TLS client, down to its certificate.

In TLS 1.2 a client's certificate travels in the clear. So a stream that was recorded from a client goes on to the
judge, whatever the server answered, and the fuzzer reaches the gate between OpenSSL and the judge.
"""

from contextlib import suppress
from functools import cache

from cryptography import x509
from OpenSSL import SSL

from fuzz.certificates import make_certificate
from fuzz.parts import chunks, join, take
from fuzz.simulated import NOW, appraiser, private_key
from fuzz.target import FuzzTarget, check_sentence
from verdictd.appraisal.verifiers import SGX_VERIFIER
from verdictd.ratstls.certificate import attestation_id
from verdictd.ratstls.certificate_builder import Identity, build_certificate
from verdictd.ratstls.channel import (
    ChannelFailed,
    ChannelState,
    DataReceived,
    PeerAccepted,
    PeerRefused,
    PeerVerdict,
    Role,
)
from verdictd.ratstls.server_endpoint import ServerEndpoint
from verdictd.ratstls.tls_context import RATSTLSContext

_FAULT = "fault in the verifier"
_ENDED = {ChannelState.REFUSED, ChannelState.FAILED, ChannelState.CLOSED}


@cache
def _context() -> RATSTLSContext:
    key = private_key("server")
    return RATSTLSContext(
        Role.SERVER, Identity(private_key=key, certificate_der=build_certificate(key, at=NOW)), mutual=True
    )


def check(data: bytes) -> None:
    """Nobody is accepted who did not finish a handshake; the channel ends where it failed; the judge is asked once."""
    sizes, stream = take(data)
    asked: list[bytes] = []

    def judge(der: bytes) -> PeerVerdict:
        asked.append(der)
        result = appraiser().appraise_certificate(der, SGX_VERIFIER, NOW)
        reason = "; ".join(each.sentence for each in result.refusals) or "accepted"
        return PeerVerdict(attestation_id=attestation_id(der), allowed=result.allowed, reason=reason, result=result)

    endpoint = ServerEndpoint(_context(), judge)
    events = list(endpoint.start())
    for piece in chunks(stream, sizes):
        events += endpoint.receive(piece)
        endpoint.bytes_to_send()
    events += endpoint.receive_eof()
    assert len(asked) <= 1
    for event in events:
        match event:
            case PeerRefused(verdict=verdict):
                assert _FAULT not in verdict.reason, verdict.reason
                assert endpoint.state is ChannelState.REFUSED
            case ChannelFailed(message=message):
                check_sentence(message)
                assert endpoint.state is ChannelState.FAILED
            case PeerAccepted() | DataReceived():
                raise AssertionError("a stream that was made without the server's answers finished a handshake")
    if stream:
        assert endpoint.state in _ENDED


def _client(version: int, certificate: bytes | None) -> SSL.Connection:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(version)
    context.set_max_proto_version(version)
    if certificate is not None:
        context.use_certificate(x509.load_der_x509_certificate(certificate))
        context.use_privatekey(private_key("peer"))
    connection = SSL.Connection(context)
    connection.set_connect_state()
    return connection


def _record(version: int, certificate: bytes | None, *, flights: int = 3) -> bytes:
    """Return what a client says in a handshake with the server, as far as the flights named."""
    client = _client(version, certificate)
    server = ServerEndpoint(
        _context(), lambda der: PeerVerdict(attestation_id=attestation_id(der), allowed=True, reason="")
    )
    server.start()
    said = b""
    for _ in range(flights):
        with suppress(SSL.Error):  # it waits for an answer, or was turned away
            client.do_handshake()
        try:
            flight = client.bio_read(1 << 16)
        except SSL.WantReadError:
            break
        said += flight
        server.receive(flight)
        answer = server.bytes_to_send()
        if answer:
            client.bio_write(answer)
    return said


def seeds() -> dict[str, bytes]:
    bare = build_certificate(private_key("peer"), at=NOW)
    return {
        "tls13": join(b"", _record(SSL.TLS1_3_VERSION, bare)),
        "tls12": join(b"", _record(SSL.TLS1_2_VERSION, bare)),
        "tls12_evidence": join(b"\xff", _record(SSL.TLS1_2_VERSION, make_certificate())),
        "tls12_none": join(b"\x40", _record(SSL.TLS1_2_VERSION, None)),
        "tls12_alert": join(b"", _record(SSL.TLS1_2_VERSION, None, flights=1) + bytes.fromhex("15030300020230")),
        "alert": join(b"\x02", bytes.fromhex("15030300020228")),
        "http": join(b"", b"GET / HTTP/1.1\r\n\r\n"),
    }


TARGET = FuzzTarget(
    name="tls_server",
    modules=(
        "verdictd.ratstls.client_hello",
        "verdictd.ratstls.endpoint",
        "verdictd.ratstls.server_endpoint",
        "verdictd.ratstls.tls_context",
        "verdictd.ratstls.alerts",
    ),
    check=check,
    seeds=seeds,
)
