"""What is answered from memory, for how long, and what many who ask at once share."""

import asyncio
from datetime import datetime
from threading import Event

import pytest

from tests.unit.pccs.web.caller import acall
from tests.unit.pccs.web.desk import ADMIN_HEADERS, PCK_QUERY, QE_IDENTITY, TCB_INFO, V4, Desk
from tests.unit.pccs.web.fakes import FakePCK
from verdictd.pccs.errors import UnavailableError
from verdictd.pccs.model import PCKCertificate, PCKSet, PlatformKey, RawTCB
from verdictd.pccs.web.http.exchange import Exchange
from verdictd.pccs.web.http.threads import Threads
from verdictd.pccs.web.metrics import Metrics
from verdictd.pccs.web.routes.collateral import EncodedItems
from verdictd.pccs.web.routes.pck_certificates import KEPT_S, MAX_ANSWERS, PCKCertificateRoute


def exchange(query: str) -> Exchange:
    async def receive() -> None:
        raise AssertionError

    return Exchange({"headers": [], "query_string": query.encode(), "method": "GET"}, receive)  # type: ignore[arg-type]


class Certificates:
    def __init__(self, pck: FakePCK) -> None:
        self.ticks = 0.0
        self.threads = Threads()
        desk = Desk()
        self.route = PCKCertificateRoute(
            pck, desk.clock, self.threads, self.threads, Metrics(), ticks=lambda: self.ticks
        )


def filled() -> FakePCK:
    desk = Desk()
    desk.fill()
    return desk.pck


def test_a_certificate_is_looked_up_again_after_a_moment() -> None:
    pck = filled()
    certificates = Certificates(pck)

    async def run() -> None:
        await certificates.route.handle(exchange(PCK_QUERY))
        certificates.ticks = KEPT_S * 0.99
        await certificates.route.handle(exchange(PCK_QUERY))
        assert len(pck.asked) == 1
        certificates.ticks = KEPT_S
        await certificates.route.handle(exchange(PCK_QUERY))
        assert len(pck.asked) == 2

    asyncio.run(run())


def test_a_refusal_is_not_remembered() -> None:
    pck = FakePCK()
    certificates = Certificates(pck)

    async def run() -> None:
        for _ in range(2):
            with pytest.raises(UnavailableError):
                await certificates.route.handle(exchange(PCK_QUERY))
        pck.sets = filled().sets
        assert (await certificates.route.handle(exchange(PCK_QUERY))).status == 200

    asyncio.run(run())
    assert len(pck.asked) == 3


def test_those_who_ask_for_the_same_certificate_at_once_share_the_look_up() -> None:
    class Slow(FakePCK):
        def certificate(
            self, key: PlatformKey, raw_tcb: RawTCB, enc_ppid: bytes, at: datetime
        ) -> tuple[PCKCertificate, PCKSet]:
            assert may_go_on.wait(30)
            return super().certificate(key, raw_tcb, enc_ppid, at)

    may_go_on = Event()
    pck = Slow()
    certificates = Certificates(pck)

    async def run(*, known: bool) -> list[object]:
        asking = [asyncio.create_task(certificates.route.handle(exchange(PCK_QUERY))) for _ in range(20)]
        await asyncio.sleep(0)
        pck.sets = filled().sets if known else {}
        may_go_on.set()
        return list(await asyncio.gather(*asking, return_exceptions=True))

    assert all(isinstance(outcome, UnavailableError) for outcome in asyncio.run(run(known=False)))
    assert len(pck.asked) == 1
    may_go_on.clear()
    assert len({id(outcome) for outcome in asyncio.run(run(known=True))}) == 1
    assert len(pck.asked) == 2


def test_certificates_in_memory_are_bounded() -> None:
    certificates = Certificates(filled())

    async def run() -> None:
        for number in range(MAX_ANSWERS + 5):
            await certificates.route.handle(exchange(f"{PCK_QUERY}&x={number}"))

    asyncio.run(run())
    assert len(certificates.route._answers) == MAX_ANSWERS


def test_an_item_is_encoded_once_while_it_is_the_same_and_the_memory_is_bounded() -> None:
    encoded = EncodedItems(2)
    first = encoded.answer(TCB_INFO, "v4")
    assert encoded.answer(TCB_INFO, "v4") is first
    assert encoded.answer(TCB_INFO, "v3") is not first
    encoded.answer(TCB_INFO, "v4")
    encoded.answer(QE_IDENTITY, "v4")  # in place of the version 3 form, which was used longest ago
    assert encoded.answer(TCB_INFO, "v4") is first
    assert len(encoded._answers) == 2


def test_too_many_who_wait_for_a_thread_are_turned_away() -> None:
    threads = Threads(threads=1, max_waiting=2)
    may_go_on = Event()

    async def run() -> None:
        waiting = [asyncio.create_task(threads.run(may_go_on.wait, 30)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(UnavailableError) as refused:
            await threads.run(may_go_on.wait, 30)
        assert (refused.value.status, refused.value.problem) == (503, "busy")
        may_go_on.set()
        assert await asyncio.gather(*waiting) == [True, True]
        assert await threads.run(may_go_on.is_set)

    asyncio.run(run())
    threads.close()


def test_refreshes_asked_for_at_once_are_one() -> None:
    desk = Desk()
    desk.collateral.may_refresh.clear()

    async def run() -> None:
        asking = [
            asyncio.create_task(acall(desk.app, f"{V4}/refresh", method="POST", headers=ADMIN_HEADERS))
            for _ in range(5)
        ]
        await asyncio.sleep(0)
        desk.collateral.may_refresh.set()
        assert [reply.status for reply in await asyncio.gather(*asking)] == [200] * 5

    asyncio.run(run())
    assert desk.collateral.refreshes == 1


def test_nothing_waits_for_a_refresh() -> None:
    desk = Desk()
    desk.collateral.may_refresh.clear()

    async def run() -> None:
        refreshing = asyncio.create_task(acall(desk.app, f"{V4}/refresh", headers=ADMIN_HEADERS))
        await asyncio.sleep(0)
        assert (await acall(desk.app, "/readyz")).status == 200
        desk.collateral.may_refresh.set()
        assert (await refreshing).status == 200

    asyncio.run(run())
