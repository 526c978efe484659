"""The entry point of `rats-tls-server`: waits for clients, proves itself, judges them if mutual, and sends back."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence

from verdictd.cli.logs import configure_logging
from verdictd.cli.sample_options import EXIT_FAILURE, SampleParser, add_sample_options
from verdictd.cli.sample_peer import make_tls_context, open_peer
from verdictd.core.errors import VerdictdError
from verdictd.ratstls.attested_connection import AttestedConnection
from verdictd.ratstls.channel import Endpoint, PeerAccepted, PeerRefused, Role
from verdictd.ratstls.connection_server import EndpointFactory, HandshakeOutcome
from verdictd.ratstls.nulltls import NullTLSEndpoint
from verdictd.ratstls.server import serve
from verdictd.ratstls.server_endpoint import ServerEndpoint

_LOGGER = logging.getLogger(__name__)
_ANSWER_BYTES = 255
"""How much of what a client sent is sent back, as the original does."""
_SAMPLE_CLAIMS = ("key_0=value_0\0", "key_1=value_1\0")


def main(argv: Sequence[str] | None = None) -> int:
    """Run `rats-tls-server` until SIGINT or SIGTERM; 255 where it cannot start."""
    parser = SampleParser(prog="rats-tls-server", description="Serve RATS-TLS clients: send back what each sends.")
    add_sample_options(parser, os.environ)
    arguments = parser.parse_args(argv)
    arguments.claim = arguments.claim or list(_SAMPLE_CLAIMS)
    configure_logging(arguments.log_level)
    try:
        peer = open_peer(Role.SERVER, arguments)
        context = None if arguments.tls == "nulltls" else make_tls_context(Role.SERVER, arguments, peer)

        def make_endpoint(_: str) -> Endpoint:
            return NullTLSEndpoint() if context is None else ServerEndpoint(context, peer.judge)

        asyncio.run(_serve(arguments.ip, arguments.port, make_endpoint))
    except VerdictdError as error:
        sys.stderr.write(f"rats-tls-server: {error}\n")
        return EXIT_FAILURE
    return 0


async def _serve(host: str, port: int, make_endpoint: EndpointFactory) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    server = await serve(host, port, endpoint_factory=make_endpoint, handler=_answer, observer=_report)
    _LOGGER.info("listening", extra={"address": "{}:{}".format(*server.address)})
    await stopping.wait()
    await server.stop()


async def _answer(connection: AttestedConnection) -> None:
    if data := await connection.read():
        await connection.write(data[:_ANSWER_BYTES])


def _report(handshake: HandshakeOutcome) -> None:
    match handshake.outcome:
        case PeerAccepted(verdict=None):
            _LOGGER.info("client connected, not judged", extra={"peer": handshake.peer})
        case PeerAccepted(verdict=verdict) if verdict is not None:
            _LOGGER.info("client accepted", extra={"peer": handshake.peer, "id": verdict.attestation_id})
        case PeerRefused(verdict=verdict):
            extra = {"peer": handshake.peer, "id": verdict.attestation_id, "why": verdict.reason}
            _LOGGER.warning("client refused", extra=extra)
        case _:
            _LOGGER.warning("handshake failed", extra={"peer": handshake.peer, "why": str(handshake.outcome)})


if __name__ == "__main__":
    sys.exit(main())
