"""The attestation listener: judges each peer that connects, records what became of it, serves those it accepted."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from verdictd.core.errors import LimitExceededError, VerdictdError
from verdictd.daemon.judging import Clock, ConnectionJudge, JudgingSettings
from verdictd.daemon.registrar import Registrar
from verdictd.keybroker.session import Session
from verdictd.ratstls.attested_connection import AttestedConnection
from verdictd.ratstls.channel import Endpoint, PeerAccepted, PeerRefused
from verdictd.ratstls.connection_server import HandshakeOutcome
from verdictd.ratstls.limits import ServerLimits
from verdictd.ratstls.nulltls import NullTLSEndpoint
from verdictd.ratstls.server_endpoint import ServerEndpoint
from verdictd.ratstls.tls_context import RATSTLSContext

_LOGGER = logging.getLogger(__name__)
_ANSWERED_IN_TURN = 16
"""How many requests of one peer are answered in a row before others have their turn: thousands fit into one read."""
_REPLACED = "refused: the policy or its reference values were replaced while the peer connected; it may connect again"

CountRequest = Callable[[str], None]
"""Told of each request of an accepted peer: ``answered`` or ``refused``."""


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

    def __init__(
        self,
        serving: Serving,
        registrar: Registrar,
        clock: Clock,
        limits: ServerLimits,
        *,
        count_request: CountRequest = lambda _: None,
    ) -> None:
        self._serving = serving
        self._registrar = registrar
        self._clock = clock
        self._limits = limits
        self._count_request = count_request
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
        return ServerEndpoint(serving.context, judge)

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
        try:
            self._registrar.conclude(handshake, judgement)
            if isinstance(handshake.outcome, PeerAccepted) and judge is not None and not judge.still_holds():
                # The audit log may have been waited for. A second record says what became of the peer after all.
                self._turned_away.add(handshake.peer)
                self._registrar.conclude(replace(handshake, outcome=_turn_away(handshake.outcome)), judgement)
        except VerdictdError as error:  # what is not in the audit log did not happen
            if isinstance(handshake.outcome, PeerAccepted):
                self._turned_away.add(handshake.peer)
            _LOGGER.error(  # noqa: TRY400 - ours, no trace
                "the audit log cannot be written: nobody is served", extra={"peer": handshake.peer, "why": str(error)}
            )

    async def serve(self, connection: AttestedConnection) -> None:
        """Answer the requests of an accepted peer until one of the answers, or the peer, ends it."""
        if connection.peer in self._turned_away:
            self._turned_away.discard(connection.peer)
            return
        try:
            await self._answer(connection)
        except VerdictdError as error:
            self._count_request("refused")
            _LOGGER.warning("request refused", extra={"peer": connection.peer, "why": str(error)})

    async def _answer(self, connection: AttestedConnection) -> None:
        session, limits = Session(), self._limits
        answered, complete_by = 0, 0.0
        while not session.is_closed:
            if session.is_idle:
                data = await connection.read()
                complete_by = time.monotonic() + limits.request_timeout_s
            else:
                data = await self._read_rest(connection, complete_by)
            if not data:
                return
            session.feed(data)
            before = answered
            while (answer := session.next_answer()) is not None:
                answered += 1
                if answered > limits.max_requests:
                    raise LimitExceededError(
                        f"more than {limits.max_requests} requests on one connection",
                        remedy="connect again, or raise --max-requests",
                    )
                await connection.write(answer.content)
                self._count_request("answered")
                if answered % _ANSWERED_IN_TURN == 0:
                    await asyncio.sleep(0)
            if answered > before:  # what is incomplete now has begun only just
                complete_by = time.monotonic() + limits.request_timeout_s

    async def _read_rest(self, connection: AttestedConnection, complete_by: float) -> bytes:
        """Read on while a request has begun: byte by byte it could take for ever, and never be idle."""
        try:
            async with asyncio.timeout(complete_by - time.monotonic()):
                return await connection.read()
        except TimeoutError as error:
            raise LimitExceededError(
                f"a request was not complete after {self._limits.request_timeout_s:g} seconds",
                remedy="send it at once, or raise --request-timeout",
            ) from error


def _turn_away(accepted: PeerAccepted) -> PeerRefused:
    assert accepted.verdict is not None
    return PeerRefused(verdict=replace(accepted.verdict, allowed=False, reason=_REPLACED))
