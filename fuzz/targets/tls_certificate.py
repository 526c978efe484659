"""A certificate on its way through OpenSSL to the judge, on either side of a TLS 1.2 handshake, where it is not hidden.

What comes before it in the handshake was recorded; the message around it is written here, whatever its size.
"""

from contextlib import suppress
from functools import cache

from cryptography import x509
from OpenSSL import SSL

from fuzz.certificates import make_certificate
from fuzz.parts import at_start
from fuzz.simulated import NOW, private_key
from fuzz.target import FuzzTarget, check_sentence
from verdictd.ratstls.certificate import attestation_id
from verdictd.ratstls.certificate_builder import Identity, build_certificate
from verdictd.ratstls.channel import ChannelFailed, Event, PeerRefused, PeerVerdict, Role
from verdictd.ratstls.endpoint import RATSTLSEndpoint
from verdictd.ratstls.tls_context import RATSTLSContext

_MAX_FRAGMENT = 16384
_FAULT = "fault in the verifier"


def check(data: bytes) -> None:
    """The judge sees the certificate that was sent, once and whole; a fault of ours is no reason."""
    for role in Role:
        asked: list[bytes] = []

        def judge(der: bytes, asked: list[bytes] = asked) -> PeerVerdict:
            asked.append(der)
            return PeerVerdict(attestation_id=attestation_id(der), allowed=True, reason="")

        endpoint = RATSTLSEndpoint(_context(role), judge)
        events = [*endpoint.start(), *endpoint.receive(_beginning(role.peer)), *endpoint.receive(_certificate(data))]
        assert asked in ([], [data])
        for event in events:
            _check_event(event)


def _check_event(event: Event) -> None:
    match event:
        case PeerRefused(verdict=verdict):
            check_sentence(verdict.reason)
            assert _FAULT not in verdict.reason, verdict.reason
        case ChannelFailed(message=message):
            check_sentence(message)
        case _:
            raise AssertionError(f"a handshake that was never finished brought {event}")


@cache
def _identity() -> Identity:
    key = private_key("server")
    return Identity(private_key=key, certificate_der=build_certificate(key, at=NOW))


@cache
def _context(role: Role) -> RATSTLSContext:
    return RATSTLSContext(role, _identity(), mutual=True)


@cache
def _beginning(role: Role) -> bytes:
    """What a side of TLS 1.2 says before its certificate: the hello of either."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD if role is Role.CLIENT else SSL.TLS_SERVER_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    context.use_certificate(x509.load_der_x509_certificate(_identity().certificate_der))
    context.use_privatekey(_identity().private_key)
    connection = SSL.Connection(context)
    if role is Role.CLIENT:
        connection.set_connect_state()
    else:
        connection.set_accept_state()
        client = RATSTLSEndpoint(
            _context(Role.CLIENT), lambda _: PeerVerdict(attestation_id="", allowed=False, reason="")
        )
        client.start()
        connection.bio_write(client.bytes_to_send())
    with suppress(SSL.WantReadError):
        connection.do_handshake()
    said = connection.bio_read(1 << 16)
    return said[: 5 + int.from_bytes(said[3:5], "big")]


def _certificate(der: bytes) -> bytes:
    """The message that holds one certificate, in as many records as it takes (RFC 5246, 7.4.2)."""
    one = len(der).to_bytes(3, "big") + der
    listed = len(one).to_bytes(3, "big") + one
    message = b"\x0b" + len(listed).to_bytes(3, "big") + listed
    pieces = [message[start : start + _MAX_FRAGMENT] for start in range(0, len(message), _MAX_FRAGMENT)]
    return b"".join(b"\x16\x03\x03" + len(piece).to_bytes(2, "big") + piece for piece in pieces)


def seeds() -> dict[str, bytes]:
    return {
        "bare": build_certificate(private_key("peer"), at=NOW),
        "evidence": make_certificate(),
    }


TARGET = FuzzTarget(
    name="tls_certificate",
    modules=("verdictd.ratstls.endpoint", "verdictd.ratstls.tls_context"),
    check=check,
    seeds=seeds,
    structure=at_start,
)
