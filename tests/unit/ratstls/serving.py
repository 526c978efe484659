"""A server of ours in the running event loop, for tests that talk to it over a real socket."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from tests.unit.ratstls.peers import ACCEPT, CLIENT, SERVER
from verdictd.ratstls.attested_connection import AttestedConnection
from verdictd.ratstls.certificate_builder import Identity
from verdictd.ratstls.channel import Endpoint, Judge, Role
from verdictd.ratstls.client import ClientChannel, connect
from verdictd.ratstls.connection_server import HandshakeOutcome
from verdictd.ratstls.endpoint import RATSTLSEndpoint
from verdictd.ratstls.limits import ServerLimits
from verdictd.ratstls.server import RATSTLSServer, serve
from verdictd.ratstls.server_endpoint import ServerEndpoint
from verdictd.ratstls.tls_context import RATSTLSContext

LIMITS = ServerLimits(handshake_timeout_s=20, idle_timeout_s=20, write_timeout_s=20, farewell_timeout_s=1)


async def echo(connection: AttestedConnection) -> None:
    while data := await connection.read():
        await connection.write(data)


class Served:
    """A server in the running loop, and what it observed."""

    def __init__(self, server: RATSTLSServer, outcomes: list[HandshakeOutcome]) -> None:
        self.server = server
        self.outcomes = outcomes
        self.host, self.port = server.address

    async def connect(self, identity: Identity = CLIENT, judge: Judge = ACCEPT, timeout_s: float = 20) -> ClientChannel:
        endpoint = RATSTLSEndpoint(RATSTLSContext(Role.CLIENT, identity, mutual=True), judge)
        return await asyncio.to_thread(connect, self.host, self.port, endpoint, timeout_s=timeout_s)

    async def outcome(self, number: int = 0) -> HandshakeOutcome:
        await until(lambda: len(self.outcomes) > number)
        return self.outcomes[number]


async def until(holds: Callable[[], bool], deadline_s: float = 20) -> None:
    async with asyncio.timeout(deadline_s):
        while not holds():  # noqa: ASYNC110 - what is waited for knows of no event
            await asyncio.sleep(0.005)


@asynccontextmanager
async def serving(
    handler: Callable[[AttestedConnection], Awaitable[None]] = echo,
    judge: Judge = ACCEPT,
    *,
    limits: ServerLimits = LIMITS,
    factory: Callable[[str], Endpoint] | None = None,
) -> AsyncIterator[Served]:
    context = RATSTLSContext(Role.SERVER, SERVER, mutual=True)
    outcomes: list[HandshakeOutcome] = []
    server = await serve(
        "127.0.0.1",
        0,
        endpoint_factory=factory or (lambda _: ServerEndpoint(context, judge)),
        handler=handler,
        observer=outcomes.append,
        limits=limits,
    )
    try:
        yield Served(server, outcomes)
    finally:
        await server.stop(grace_s=5)
    assert server.connections == 0


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await test()

    asyncio.run(bounded())
