"""Who waits for whom: an upstream that stalls holds up only those who ask for what it is slow with."""

import asyncio
import json
from datetime import datetime
from threading import Event

from tests.unit.pccs.web.caller import Reply, acall
from tests.unit.pccs.web.desk import ADMIN_HEADERS, PCK_QUERY, V4, Desk
from verdictd.collateral.items import ItemName, VerifiedItem
from verdictd.pccs.errors import UnavailableError
from verdictd.pccs.model import Edition
from verdictd.pccs.web.http.threads import THREADS

PATIENCE_S = 30.0


def test_who_asks_for_families_that_stall_keeps_nobody_else_waiting() -> None:
    desk = Desk()
    desk.fill()
    over = Event()

    def stall(edition: Edition, name: ItemName, at: datetime) -> VerifiedItem:
        assert over.wait(PATIENCE_S)
        raise UnavailableError("too late", status=502, problem="upstream-down")

    desk.collateral.find = stall  # type: ignore[method-assign]

    async def ask() -> tuple[Reply, ...]:
        invented = [
            asyncio.create_task(acall(desk.app, f"{V4}/tcb?fmspc={number:012x}")) for number in range(THREADS + 8)
        ]
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(PATIENCE_S / 2):
                return (
                    await acall(desk.app, f"{V4}/pckcert?{PCK_QUERY}"),
                    await acall(desk.app, f"{V4}/platforms", headers=ADMIN_HEADERS),
                    await acall(desk.app, "/readyz"),
                )
        finally:
            over.set()
            assert {reply.status for reply in await asyncio.gather(*invented)} == {502}

    certificate, waiting, ready = asyncio.run(ask())
    assert [certificate.status, waiting.status, ready.status] == [200, 200, 200]
    assert json.loads(waiting.body) == []
