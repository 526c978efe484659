"""What all connections of one identity share: OpenSSL's settings, and the gate at which a peer's certificate is judged.

OpenSSL is asked for the protocol alone. Its own opinion of the certificate is that of a web browser, so the callback
decides: the judge has the say, and OpenSSL's findings can only make it stricter.
"""

from typing import Final

from cryptography import x509
from OpenSSL import SSL, crypto

from verdictd.core.errors import VerdictdError
from verdictd.ratstls.certificate import attestation_id, read_public_key
from verdictd.ratstls.certificate_builder import Identity
from verdictd.ratstls.certificate_memory import recall
from verdictd.ratstls.channel import Judge, PeerVerdict, Role
from verdictd.ratstls.succession import TrafficSecrets

_TLS12_CIPHERS: Final = b"ECDHE+AESGCM:ECDHE+CHACHA20"
_FORGIVEN_FINDINGS: Final = frozenset(
    {
        SSL.X509VerificationCodes.OK,
        SSL.X509VerificationCodes.ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
        SSL.X509VerificationCodes.ERR_UNHANDLED_CRITICAL_EXTENSION,  # evidence may be critical: the judge looks at it
    }
)
_CHAIN_REFUSED: Final = "the peer sent a chain of certificates, expected exactly one, self-signed"
_FINDINGS: Final = {value: name for name, value in vars(SSL.X509VerificationCodes).items() if name.startswith("ERR_")}


class PeerGate:
    """Lets a peer through at most once, by exactly one certificate. One for each connection.

    Closed when it has: it then holds nothing more of the judgement, and would admit nobody.

    OpenSSL calls several times about the same certificate; the judge is called once, with the first one seen.

    Attributes:
        secrets: of a server's connection, until it is handed over.
        verdict: the judge's, or the gate's own refusal; ``None`` while no certificate has come.
        interruption: what must not be swallowed on the way through OpenSSL (Ctrl-C), to be raised again after it.
    """

    __slots__ = ("_certificate_der", "_judge", "interruption", "secrets", "verdict")

    def __init__(self, judge: Judge) -> None:
        self._judge: Judge | None = judge
        self._certificate_der: bytes | None = None
        self.secrets = TrafficSecrets()
        self.verdict: PeerVerdict | None = None
        self.interruption: BaseException | None = None

    def admits(self, connection: SSL.Connection, certificate: crypto.X509, finding: int, depth: int) -> bool:
        """Answer one of OpenSSL's calls. Never raises: between OpenSSL's frames there is nobody to catch it."""
        try:
            self._examine(connection, certificate, finding, depth)
        except (KeyboardInterrupt, SystemExit) as error:
            self.interruption = error
            self.refuse("the judgement of the certificate was interrupted")
        except VerdictdError as error:
            self.refuse(str(error))
        except BaseException as error:  # noqa: BLE001 - a native library's panic is no Exception, and must refuse too
            self.refuse(f"the certificate could not be judged, this is a fault in the verifier: {error!r}")
        return self.verdict is not None and self.verdict.allowed is True

    def _examine(self, connection: SSL.Connection, certificate: crypto.X509, finding: int, depth: int) -> None:
        if depth != 0 or len(connection.get_peer_cert_chain() or ()) > 1:
            self.refuse(_CHAIN_REFUSED)
            return
        der = crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)
        if self._certificate_der is None:
            self._certificate_der = der
            if not recall("key as used", der, lambda: read_public_key(der) == _used_key(certificate)):
                self.refuse("the certificate's key is not written as TLS uses it")
                return
            if self._judge is None:
                self.refuse("the peer presented a certificate after its handshake")
                return
            self.verdict = self._judge(der)
        elif der != self._certificate_der:
            self.refuse("the peer presented two different certificates, expected exactly one")
        if finding not in _FORGIVEN_FINDINGS:
            self.refuse(f"OpenSSL does not accept the certificate for TLS: {_FINDINGS.get(finding, finding)}")

    def conclude(self, *, further_certificates: int) -> PeerVerdict:
        """Return the verdict that stands when the handshake is complete."""
        if further_certificates > 0:
            return self.refuse(_CHAIN_REFUSED)
        if self.verdict is None:
            return self.refuse("the peer presented no certificate")
        return self.verdict

    def close(self) -> None:
        """Forget the judge, the certificate and the verdict; connections may last for days."""
        self._judge = self._certificate_der = self.verdict = None

    def refuse(self, reason: str) -> PeerVerdict:
        """Refuse for a reason that is not the judge's. A refusal that is there already stands, with its reason."""
        if self.verdict is None or self.verdict.allowed:
            self.verdict = PeerVerdict(
                attestation_id="none" if self._certificate_der is None else attestation_id(self._certificate_der),
                allowed=False,
                reason=reason,
                result=None if self.verdict is None else self.verdict.result,
            )
        return self.verdict


class RATSTLSContext:
    """TLS settings for one role and identity. Make one and use it for every connection; it is never changed.

    TLS 1.2 and 1.3; nothing can be resumed, because a resumed session would skip the judgement: no session is cached
    and no ticket holds anything (TLS 1.3 servers still send tickets, which lead to a full handshake); no
    renegotiation, because it would change the peer after it was judged.

    Attributes:
        role: which side this is.
        identity: what this side proves itself with; ``None`` for a client that sends no certificate.
        asks_peer: whether the peer has to present a certificate and is judged.
    """

    __slots__ = ("_context", "asks_peer", "identity", "role")

    def __init__(self, role: Role, identity: Identity | None, *, mutual: bool) -> None:
        """Prepare OpenSSL.

        Args:
            role: which side this is.
            identity: key and certificate. A server needs one; a client needs one where `mutual` is true, and sends it
                only then.
            mutual: whether both sides present a certificate. A client judges the server's in any case.

        Raises:
            ValueError: no identity where one is needed.
        """
        if identity is None and (mutual or role is Role.SERVER):
            raise ValueError("a server, and a client of a mutual channel, needs an identity")
        self.role = role
        self.identity = identity if mutual or role is Role.SERVER else None
        self.asks_peer = mutual or role is Role.CLIENT
        self._context = _make_context(role, self.identity, asks_peer=self.asks_peer)

    def connection(self, gate: PeerGate) -> SSL.Connection:
        """Return a new connection on memory buffers, whose peer has to pass this gate."""
        connection = SSL.Connection(self._context)
        connection.set_app_data(gate)
        if self.role is Role.SERVER:
            connection.set_accept_state()
        else:
            connection.set_connect_state()
        return connection


def _make_context(role: Role, identity: Identity | None, *, asks_peer: bool) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD if role is Role.SERVER else SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_max_proto_version(SSL.TLS1_3_VERSION)
    context.set_cipher_list(_TLS12_CIPHERS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    verify_mode = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT if asks_peer else SSL.VERIFY_NONE
    context.set_verify(verify_mode, _judge_certificate)
    if role is Role.SERVER:
        context.set_keylog_callback(_note_secret)
    if identity is not None:
        context.use_certificate(x509.load_der_x509_certificate(identity.certificate_der))
        context.use_privatekey(identity.private_key)
        context.check_privatekey()
    return context


def _used_key(certificate: crypto.X509) -> bytes:
    """Return the DER of the key that TLS uses; empty where OpenSSL cannot read it."""
    try:
        return crypto.dump_publickey(crypto.FILETYPE_ASN1, certificate.get_pubkey())
    except crypto.Error:
        return b""


def _note_secret(connection: SSL.Connection, line: bytes) -> None:
    """Called with every secret of a handshake, which are kept in memory alone, and only those of the data to come."""
    gate = connection.get_app_data()
    if isinstance(gate, PeerGate):
        gate.secrets.note(line)


def _judge_certificate(connection: SSL.Connection, certificate: crypto.X509, finding: int, depth: int, _: int) -> bool:
    gate = connection.get_app_data()
    return isinstance(gate, PeerGate) and gate.admits(connection, certificate, finding, depth)
