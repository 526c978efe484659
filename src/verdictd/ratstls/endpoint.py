"""RATS-TLS without I/O: one side of one connection, as a small machine of received bytes, events and bytes to send."""

from typing import Final

from OpenSSL import SSL

from verdictd.core.errors import TransportError
from verdictd.ratstls.alerts import explain_alert, find_alert
from verdictd.ratstls.channel import (
    MAX_RECORD_BYTES,
    NEXT_STATES,
    SENDING_STATES,
    ChannelFailed,
    ChannelState,
    DataReceived,
    Event,
    Failure,
    Judge,
    PeerAccepted,
    PeerClosed,
    PeerRefused,
    PeerVerdict,
    Role,
)
from verdictd.ratstls.record_layer import RecordLayer
from verdictd.ratstls.succession import carry_on
from verdictd.ratstls.tls_context import PeerGate, RATSTLSContext

_READ_BYTES: Final = 64 * 1024
_FED_AT_ONCE: Final = 2048
"""OpenSSL's buffers grow to what they are given at once and never shrink: a connection would keep the size of its
peer's certificate."""
_FIRST_BYTES_OF_TLS: Final = frozenset({0x15, 0x16})  # alert, handshake
_NO_CERTIFICATE: Final = "peer did not return a certificate"
_BAD_SIGNATURE: Final = "bad signature"


class RATSTLSEndpoint:
    """One side of a RATS-TLS connection.

    The judge is called at most once, with the peer's one certificate, inside `receive`. `PeerAccepted` comes only when
    the handshake is complete: until then nothing shows that the peer holds the key its certificate names.

    A client of TLS 1.3 is open before the server has judged it: a refusal comes as `ChannelFailed` when it first reads.
    """

    __slots__ = ("_connection", "_context", "_gate", "_has_received", "_has_sent", "_state")

    def __init__(self, context: RATSTLSContext, judge: Judge) -> None:
        self._context = context
        self._gate = PeerGate(judge)
        self._connection = context.connection(self._gate)
        self._state = ChannelState.NEW
        self._has_received = False
        self._has_sent = False

    @property
    def state(self) -> ChannelState:
        """Where the channel stands."""
        return self._state

    @property
    def may_judge(self) -> bool:
        """Whether the peer is still to be judged. Its certificate comes after something that a server says first."""
        is_asked = self._has_sent or self._context.role is Role.CLIENT
        return self._state is ChannelState.HANDSHAKING and is_asked and self._gate.verdict is None

    def start(self) -> tuple[Event, ...]:
        """Begin the handshake."""
        self._move_to(ChannelState.HANDSHAKING)
        return self._continue_handshake()

    def receive(self, data: bytes) -> tuple[Event, ...]:
        """Take bytes from the network; judge the peer when its certificate is among them.

        Nothing is decrypted, let alone returned, of a peer that was refused.
        """
        if not data or self._state not in {ChannelState.HANDSHAKING, ChannelState.OPEN}:
            return ()
        if not self._has_received and data[0] not in _FIRST_BYTES_OF_TLS:
            return (self._fail(Failure.NOT_TLS, f"the {self._context.role.peer} does not speak TLS"),)
        self._has_received = True
        events: list[Event] = []
        for start in range(0, len(data), _FED_AT_ONCE):
            self._connection.bio_write(data[start : start + _FED_AT_ONCE])
            events += self._read() if self._state is ChannelState.OPEN else self._continue_handshake()
            if self._has_ended:
                break
        return tuple(events)

    @property
    def _has_ended(self) -> bool:
        return self._state not in {ChannelState.HANDSHAKING, ChannelState.OPEN}

    def receive_eof(self) -> tuple[Event, ...]:
        """Take the news that the network has no more bytes."""
        if self._state is ChannelState.OPEN:
            self._move_to(ChannelState.CLOSED)
            return (PeerClosed(clean=False),)
        if self._state is ChannelState.HANDSHAKING:
            return (self._fail(Failure.CUT_OFF, f"the {self._context.role.peer} closed during the handshake"),)
        return ()

    def bytes_to_send(self) -> bytes:
        """Return, once, what has to be sent now."""
        if self._state is ChannelState.OPEN:  # records leave uncounted from now on, so nobody else may number any
            self._gate.secrets.forget()
        return self._drain()

    def _drain(self) -> bytes:
        parts = []
        try:
            while True:
                parts.append(self._connection.bio_read(_READ_BYTES))
        except SSL.WantReadError:
            self._has_sent = self._has_sent or bool(parts)
            return b"".join(parts)

    def send(self, data: bytes) -> None:
        """Send application data, in full TLS records but for the last.

        Raises:
            RuntimeError: the channel is in none of `SENDING_STATES`.
            TransportError: TLS cannot send any more.
        """
        if self._state not in SENDING_STATES:
            raise RuntimeError(f"cannot send, the channel is {self._state}")
        try:
            self._connection.sendall(data)
        except SSL.Error as error:
            raise TransportError(f"TLS cannot send: {_describe(error)}") from error

    def close(self) -> None:
        """Tell the peer that nothing more will come, where the channel is open, and end it."""
        if self._state in SENDING_STATES:
            self._say_goodbye()
        if ChannelState.CLOSED in NEXT_STATES[self._state]:
            self._move_to(ChannelState.CLOSED)

    def hand_over(self) -> tuple[RecordLayer | None, bytes]:
        """Return what carries a server's open connection on, and what has to be sent before anything of that.

        ``None`` where this endpoint has to carry on, as it can: always so where it has given bytes to send since it was
        opened, which would not be counted. Where something is returned this endpoint must not be used any more.

        To be called right after the record that completed the handshake was received.
        """
        if self._state is not ChannelState.OPEN or self._context.role is not Role.SERVER:
            raise RuntimeError("only a server's connection is handed over, when it has just been opened")
        identity = self._context.identity
        identifier = None if identity is None else identity.attestation_id
        emitted = self._drain()
        successor = carry_on(self._connection, self._gate.secrets, emitted, identifier)
        if successor is not None:
            self._move_to(ChannelState.CLOSED)
        return successor, emitted

    def _continue_handshake(self) -> tuple[Event, ...]:
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return ()
        except SSL.Error as error:
            if self._gate.interruption is not None:
                raise self._gate.interruption from error
            return (self._explain_failed_handshake(_describe(error)),)
        return self._finish_handshake()

    def _finish_handshake(self) -> tuple[Event, ...]:
        """The peer has proved that it holds its key: say what becomes of it."""
        verdict = None
        if self._context.asks_peer:
            # Of a chain, a server sees the rest only now. For a client, OpenSSL counts the server's own certificate.
            others = len(self._connection.get_peer_cert_chain() or ()) - (self._context.role is Role.CLIENT)
            verdict = self._gate.conclude(further_certificates=others)
            if verdict.allowed is not True:
                self._say_goodbye()  # no fatal alert can be sent any more
                return (self._refuse(verdict),)
        self._gate.close()
        self._move_to(ChannelState.OPEN)
        accepted = PeerAccepted(verdict=verdict, protocol=self._connection.get_protocol_version_name())
        return (accepted, *self._read())

    def _explain_failed_handshake(self, reason: str) -> Event:
        verdict, peer = self._gate.verdict, self._context.role.peer
        if verdict is not None and verdict.allowed is not True:
            return self._refuse(verdict)
        if (alert := find_alert(reason)) is not None:
            return self._explain_alert(alert)
        if verdict is not None and _BAD_SIGNATURE in reason:
            return self._refuse(self._gate.refuse(f"the {peer} does not hold the key of the certificate it presented"))
        if _NO_CERTIFICATE in reason:
            message = f"the {peer} presented no certificate"
            return self._fail(Failure.PROTOCOL, message, "it has to be started with --mutual")
        return self._fail(Failure.PROTOCOL, f"the TLS handshake with the {peer} failed: {reason}")

    def _read(self) -> tuple[Event, ...]:
        events: list[Event] = []
        try:
            while True:
                events.append(DataReceived(self._connection.recv(MAX_RECORD_BYTES)))
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self._move_to(ChannelState.PEER_CLOSED)
            events.append(PeerClosed(clean=True))
        except SSL.Error as error:
            reason = _describe(error)
            if (alert := find_alert(reason)) is not None:
                events.append(self._explain_alert(alert))
            else:
                events.append(self._fail(Failure.PROTOCOL, f"TLS failed: {reason}"))
        return tuple(events)

    def _say_goodbye(self) -> None:
        try:
            self._connection.shutdown()
        except SSL.Error:  # the other side has gone already, or TLS is past saying anything
            return

    def _move_to(self, state: ChannelState) -> None:
        if state not in NEXT_STATES[self._state]:
            raise RuntimeError(f"a channel that is {self._state} cannot become {state}")
        self._state = state
        if state is not ChannelState.OPEN:
            self._gate.secrets.forget()

    def _refuse(self, verdict: PeerVerdict) -> PeerRefused:
        self._move_to(ChannelState.REFUSED)
        return PeerRefused(verdict=verdict)

    def _fail(self, failure: Failure, message: str, remedy: str = "") -> ChannelFailed:
        self._move_to(ChannelState.FAILED)
        return ChannelFailed(failure=failure, message=message, remedy=remedy)

    def _explain_alert(self, alert: int) -> ChannelFailed:
        self._move_to(ChannelState.FAILED)
        identity = self._context.identity
        identifier = identity.attestation_id if identity is not None else None
        return explain_alert(alert, role=self._context.role, attestation_id=identifier)


def _describe(error: SSL.Error) -> str:
    """Say what OpenSSL said, without its library and function names."""
    if isinstance(error, SSL.SysCallError):
        return str(error.args[-1])
    reasons = [str(entry[-1]) for entry in error.args[0]] if error.args else []
    return ", ".join(reasons) or "no reason given"
