"""What every channel has in common: the verdict on a peer, the events, and the states in which they occur."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from verdictd.core.result import AppraisalResult

MAX_RECORD_BYTES: Final = 16384
"""Size of a full TLS record. rats-tls clients stop reading an answer at the first record that is shorter."""


class Role(StrEnum):
    """Which side of a connection this is."""

    CLIENT = "client"
    SERVER = "server"

    @property
    def peer(self) -> "Role":
        """The other side."""
        return Role.SERVER if self is Role.CLIENT else Role.CLIENT


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerVerdict:
    """What a judge made of a peer's certificate.

    Attributes:
        attestation_id: the id under which both sides speak of it.
        allowed: whether the peer may be served.
        reason: one sentence for the operator; for a refusal, why.
        result: all the checks, where there was an appraisal.
    """

    attestation_id: str
    allowed: bool
    reason: str
    result: AppraisalResult | None = None

    def __post_init__(self) -> None:
        if self.allowed and self.result is not None and not self.result.allowed:
            raise ValueError("a verdict cannot allow what its own appraisal refuses")


Judge = Callable[[bytes], PeerVerdict]
"""Judges a peer by its certificate's DER. May take its time (collateral may have to be fetched), and may raise."""


class ChannelState(StrEnum):
    """Where a channel stands. Application data is received in `OPEN` alone, and sent in `PEER_CLOSED` as well."""

    NEW = "new"
    HANDSHAKING = "handshaking"
    OPEN = "open"
    PEER_CLOSED = "peer_closed"
    REFUSED = "refused"
    FAILED = "failed"
    CLOSED = "closed"


NEXT_STATES: Final = {
    ChannelState.NEW: frozenset({ChannelState.HANDSHAKING, ChannelState.OPEN, ChannelState.CLOSED}),
    ChannelState.HANDSHAKING: frozenset(
        {ChannelState.OPEN, ChannelState.REFUSED, ChannelState.FAILED, ChannelState.CLOSED}
    ),
    ChannelState.OPEN: frozenset({ChannelState.PEER_CLOSED, ChannelState.FAILED, ChannelState.CLOSED}),
    ChannelState.PEER_CLOSED: frozenset({ChannelState.CLOSED}),
    ChannelState.REFUSED: frozenset[ChannelState](),
    ChannelState.FAILED: frozenset[ChannelState](),
    ChannelState.CLOSED: frozenset[ChannelState](),
}
"""Which state may follow which. A channel without TLS goes from new to open; nothing leaves the last three."""

SENDING_STATES: Final = frozenset({ChannelState.OPEN, ChannelState.PEER_CLOSED})
"""In which states application data may be sent: a peer that says it will send no more can still be answered."""


class Failure(StrEnum):
    """Why a channel failed, where it was not this side that refused."""

    REFUSED_BY_PEER = "refused_by_peer"
    NOT_TLS = "not_tls"
    PROTOCOL = "protocol"
    CUT_OFF = "cut_off"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerAccepted:
    """The handshake is complete: the peer holds its key, and where it was asked for evidence, was accepted.

    Attributes:
        verdict: ``None`` where the peer was not asked to prove anything; it is then anyone.
        protocol: e.g. ``TLSv1.3``; ``nulltls`` where nothing is encrypted.
    """

    verdict: PeerVerdict | None
    protocol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRefused:
    """This side turned the peer away. It is told so by a TLS alert among the bytes to send; nothing of it is read."""

    verdict: PeerVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelFailed:
    """The channel ended for another reason: a sentence for the operator, and what kind of reason it is."""

    failure: Failure
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class DataReceived:
    """Application data of an accepted peer, at most one TLS record of it."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PeerClosed:
    """The peer will send no more; unless it said so (`clean`), something may be missing at the end."""

    clean: bool


Event = PeerAccepted | PeerRefused | ChannelFailed | DataReceived | PeerClosed


class Endpoint(Protocol):
    """One side of a connection without I/O: received bytes in, events and bytes to send out.

    For one thread at a time. `receive` may block while the peer is judged, see `may_judge`. After each call, whatever
    `bytes_to_send` returns has to be sent.
    """

    @property
    def state(self) -> ChannelState:
        """Where the channel stands."""

    @property
    def may_judge(self) -> bool:
        """Whether the next `receive` may come to judge the peer, and so may take its time; else it does not block."""

    def start(self) -> tuple[Event, ...]:
        """Begin. To be called once, first."""

    def receive(self, data: bytes) -> tuple[Event, ...]:
        """Take bytes from the network. Ignored once the channel is refused, failed or closed."""

    def receive_eof(self) -> tuple[Event, ...]:
        """Take the news that the network has no more bytes."""

    def bytes_to_send(self) -> bytes:
        """Return, once, what has to be sent now."""

    def send(self, data: bytes) -> None:
        """Send application data. RuntimeError where the state is not one of `SENDING_STATES`."""

    def close(self) -> None:
        """End the channel in good order. Nothing happens where it has ended already."""
