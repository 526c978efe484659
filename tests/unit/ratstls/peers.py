"""The other side of a channel: OpenSSL without our rules, so that it can do what we never would."""

import hashlib
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL, crypto

from tests.unit.ratstls.forge import Forged, oid, spki_of, tlv
from verdictd.ratstls.certificate import attestation_id
from verdictd.ratstls.certificate_builder import Identity, PrivateKey, build_identity
from verdictd.ratstls.channel import Endpoint, Event, PeerVerdict, Role
from verdictd.ratstls.endpoint import RATSTLSEndpoint
from verdictd.ratstls.tls_context import RATSTLSContext

NOW = datetime.now(UTC)
SERVER = build_identity(at=NOW)
CLIENT = build_identity(at=NOW)
GENUINE = Forged(not_before=tlv(0x17, b"200101000000Z"), not_after=tlv(0x17, b"491231235959Z"))


class RecordingJudge:
    """Says the same of every certificate, and remembers which it was asked about."""

    def __init__(self, *, allowed: bool = True, reason: str = "as the test says") -> None:
        self.allowed = allowed
        self.reason = reason
        self.asked: list[bytes] = []

    def __call__(self, certificate_der: bytes) -> PeerVerdict:
        self.asked.append(certificate_der)
        identifier = attestation_id(certificate_der)
        return PeerVerdict(attestation_id=identifier, allowed=self.allowed, reason=self.reason)


ACCEPT = RecordingJudge()


def endpoint(
    role: Role, judge: object = ACCEPT, *, mutual: bool = True, identity: Identity | None = None
) -> RATSTLSEndpoint:
    own = identity or (SERVER if role is Role.SERVER else CLIENT)
    made = RATSTLSEndpoint(RATSTLSContext(role, own, mutual=mutual), judge)  # type: ignore[arg-type]
    made.start()
    return made


def mismatched_key(certified: PrivateKey, held: ec.EllipticCurvePrivateKey) -> bytes:
    """DER of a private key that says it belongs to `certified`'s public key, and signs with `held`'s secret."""
    secret = held.private_numbers().private_value.to_bytes(32, "big")
    point = certified.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    curve = oid("1.2.840.10045.3.1.7")
    return tlv(0x30, tlv(2, b"\x01"), tlv(4, secret), tlv(0xA0, curve), tlv(0xA1, tlv(3, b"\x00", point)))


class RawPeer:
    """OpenSSL on memory buffers, as client or server, with any certificate, version and session one likes."""

    def __init__(
        self,
        role: Role,
        certificates: Sequence[bytes] = (),
        key: PrivateKey | bytes | None = None,
        *,
        version: int = SSL.TLS1_3_VERSION,
        ciphers: bytes = b"DEFAULT",
        accepts: bool = True,
        again: "RawPeer | None" = None,
        context: SSL.Context | None = None,
    ) -> None:
        if again is not None:
            context = again.connection.get_context()
        if context is None:
            context = make_context(role, certificates, key, version=version, ciphers=ciphers, accepts=accepts)
        self.connection: SSL.Connection = SSL.Connection(context)
        if role is Role.SERVER:
            self.connection.set_accept_state()
        else:
            self.connection.set_connect_state()
        if again is not None:
            session = again.connection.get_session()
            assert session is not None
            self.connection.set_session(session)
        self.error = ""
        self.received = b""
        self.done = False

    def step(self, data: bytes = b"") -> bytes:
        if data:
            self.connection.bio_write(data)
        try:
            if not self.done:
                self.connection.do_handshake()
                self.done = True
            while True:
                self.received += self.connection.recv(16384)
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.error = self.error or "close_notify"
        except SSL.Error as error:
            self.error = self.error or str(error)
        return self.outgoing()

    def outgoing(self) -> bytes:
        parts = []
        try:
            while True:
                parts.append(self.connection.bio_read(65536))
        except SSL.WantReadError:
            return b"".join(parts)


def make_context(
    role: Role,
    certificates: Sequence[bytes] = (),
    key: PrivateKey | bytes | None = None,
    *,
    version: int = SSL.TLS1_3_VERSION,
    ciphers: bytes = b"DEFAULT",
    accepts: bool = True,
) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD if role is Role.SERVER else SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(version)
    context.set_max_proto_version(version)
    context.set_cipher_list(ciphers)
    context.set_verify(SSL.VERIFY_PEER, lambda *_: accepts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # certificates that only the old classes can load
        for number, der in enumerate(certificates):
            certificate = crypto.load_certificate(crypto.FILETYPE_ASN1, der)
            if number == 0:
                context.use_certificate(certificate)
            else:
                context.add_extra_chain_cert(certificate)
        if isinstance(key, bytes):
            context.use_privatekey(crypto.load_privatekey(crypto.FILETYPE_ASN1, key))
        elif key is not None:
            context.use_privatekey(key)
    return context


def raw(role: Role, identity: Identity | None = None, **options: object) -> RawPeer:
    own = identity or (SERVER if role is Role.SERVER else CLIENT)
    return RawPeer(role, [own.certificate_der], own.private_key, **options)  # type: ignore[arg-type]


def converse(ours: Endpoint, peer: RawPeer) -> list[Event]:
    """Carry bytes to and fro until both fall silent; return our events."""
    events: list[Event] = []
    for _ in range(10):
        outgoing = peer.step(ours.bytes_to_send())
        if not outgoing and events:
            break
        events += ours.receive(outgoing)
    peer.step(ours.bytes_to_send())
    return events


def identify(der: bytes) -> str:
    return hashlib.sha256(der).hexdigest()[:8]


def spki(identity: Identity) -> bytes:
    return spki_of(identity.private_key)
