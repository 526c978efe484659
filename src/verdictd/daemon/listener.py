"""The attestation listener: judges each peer that connects, records what became of it, serves those it accepted."""

import logging
from dataclasses import dataclass, replace

from verdictd.core.errors import VerdictdError
from verdictd.daemon.judging import Clock, ConnectionJudge, JudgingSettings, Registrar
from verdictd.keybroker.session import Session
from verdictd.ratstls.attested_connection import AttestedConnection
from verdictd.ratstls.channel import Endpoint, PeerAccepted, PeerRefused
from verdictd.ratstls.endpoint import RATSTLSEndpoint
from verdictd.ratstls.nulltls import NullTLSEndpoint
from verdictd.ratstls.server import HandshakeOutcome
from verdictd.ratstls.tls_context import RATSTLSContext

_LOGGER = logging.getLogger(__name__)
_REPLACED = "refused: the policy or its reference values were replaced while the peer connected; it may connect again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """With what new connections are met. Replaced as a whole; connections keep what they began with.

    Attributes:
        judging: how peers are judged.
        context: our identity and TLS settings; ``None`` for `nulltls`.
    """

    judging: JudgingSettings
    context: RATSTLSContext | None


class AttestationListener:
    """What the RATS-TLS server calls for each connection. The server's event loop and its threads call it."""

    def __init__(self, serving: Serving, registrar: Registrar, clock: Clock) -> None:
        self._serving = serving
        self._registrar = registrar
        self._clock = clock
        self._judges: dict[str, ConnectionJudge] = {}
        self._turned_away: set[str] = set()

    @property
    def serving(self) -> Serving:
        """With what new connections are met now."""
        return self._serving

    def replace(self, serving: Serving) -> None:
        """Meet new connections with something else from now on."""
        self._serving = serving

    def make_endpoint(self, peer: str) -> Endpoint:
        """Make our side of a new connection. No two connections that are open have the same `peer` address."""
        serving = self._serving
        if serving.context is None:
            return NullTLSEndpoint()
        judge = ConnectionJudge(serving.judging, self._clock)
        self._judges[peer] = judge
        return RATSTLSEndpoint(serving.context, judge)

    def observe(self, handshake: HandshakeOutcome) -> None:
        """Record what became of a handshake.

        A peer that was judged under values which an upload has replaced meanwhile is not served: after an upload
        returned, nobody is let in under what it removed.
        """
        judge = self._judges.pop(handshake.peer, None)
        judgement = None if judge is None else judge.judgement
        if isinstance(handshake.outcome, PeerAccepted) and judge is not None and not judge.still_holds():
            self._turned_away.add(handshake.peer)
            handshake = replace(handshake, outcome=_turn_away(handshake.outcome))
        self._registrar.conclude(handshake, judgement)

    async def serve(self, connection: AttestedConnection) -> None:
        """Answer the requests of an accepted peer until one of the answers, or the peer, ends it."""
        if connection.peer in self._turned_away:
            self._turned_away.discard(connection.peer)
            return
        session = Session()
        while not session.is_closed and (data := await connection.read()):
            session.feed(data)
            try:
                while (answer := session.next_answer()) is not None:
                    await connection.write(answer.content)
            except VerdictdError as error:
                _LOGGER.warning("request refused", extra={"peer": connection.peer, "why": str(error)})
                return


def _turn_away(accepted: PeerAccepted) -> PeerRefused:
    assert accepted.verdict is not None
    return PeerRefused(verdict=replace(accepted.verdict, allowed=False, reason=_REPLACED))
