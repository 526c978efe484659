"""``refresh`` and ``platformcollateral``: what an administrator has the cache do."""

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from http import HTTPStatus
from typing import Final, TypeAlias

from verdictd.core.result import JSONValue
from verdictd.pccs.errors import UPSTREAM_FAILED, UnavailableError
from verdictd.pccs.ports import AMDCache, CollateralCache, PCKCache
from verdictd.pccs.web.http.answers import JSON, SUCCESS_TEXT, TEXT, Answer, make_answer
from verdictd.pccs.web.http.exchange import Exchange
from verdictd.pccs.web.http.parameters import read_fmspc
from verdictd.pccs.web.http.refusals import make_refusal, one_line, refuse_parameter
from verdictd.pccs.web.http.threads import Threads
from verdictd.pccs.web.http.tokens import TokenHashes

_LOGGER: Final = logging.getLogger(__name__)
_MAX_SHOWN: Final = 1000
ImportPlatformCollateral: TypeAlias = Callable[[bytes, datetime], Sequence[str]]
"""Takes Intel's JSON document of collateral in; returns notes for the operator. Raises VerdictdError."""
_Outcomes: TypeAlias = Sequence[tuple[str, str]]


class RefreshRoute:
    """Has upstream asked for everything held, one refresh at a time. Those who ask for the same at once share it."""

    def __init__(
        self,
        caches: tuple[CollateralCache, PCKCache, AMDCache],
        tokens: TokenHashes,
        clock: Callable[[], datetime],
    ) -> None:
        self._collateral, self._pck, self._amd = caches
        self._tokens = tokens
        self._clock = clock
        # A refresh takes minutes where there are many platforms: it must not take a thread from those who wait.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="pccs-refresh")
        self._running: dict[bytes | None, asyncio.Future[_Outcomes]] = {}

    async def handle(self, exchange: Exchange) -> Answer:
        """Answer ``refresh``."""
        self._tokens.require_admin(exchange)
        fmspc = _read_certificates_wanted(exchange.parameters())
        running = self._running.get(fmspc)
        if running is None:
            loop = asyncio.get_running_loop()
            running = self._running[fmspc] = loop.run_in_executor(self._executor, self._refresh, fmspc)
            running.add_done_callback(lambda _: self._running.pop(fmspc, None))
        return _tell(await asyncio.shield(running), exchange)

    def close(self) -> None:
        """Drop what waits; what runs comes to its end."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _refresh(self, fmspc: bytes | None) -> _Outcomes:
        now = self._clock()
        if fmspc is not None:
            return self._pck.refresh(now, fmspc=fmspc)
        return [*self._collateral.refresh(now), *self._amd.refresh(now)]


class PlatformCollateralRoute:
    """Takes in what Intel's administration tool fetched somewhere else."""

    def __init__(
        self,
        take_in: ImportPlatformCollateral,
        tokens: TokenHashes,
        clock: Callable[[], datetime],
        threads: Threads,
    ) -> None:
        self._take_in = take_in
        self._tokens = tokens
        self._clock = clock
        self._threads = threads

    async def handle(self, exchange: Exchange) -> Answer:
        """Answer ``platformcollateral``."""
        self._tokens.require_admin(exchange)
        body = await exchange.read_body()
        notes = await self._threads.run(self._take_in, body, self._clock())
        for note in notes:
            _LOGGER.warning("platformcollateral, request %s: %s", exchange.request_id, note)
        told = (b"error-message", one_line("; ".join(notes)))
        return make_answer(SUCCESS_TEXT, TEXT, headers=(told,) if notes else ())


def _read_certificates_wanted(parameters: dict[str, str]) -> bytes | None:
    """Return the family whose certificates are wanted, empty for all; ``None`` where collateral is wanted."""
    kind = parameters.get("type")
    if not kind:
        return None
    if kind != "certs":
        raise refuse_parameter("type", "certs, or not there", kind)
    # Intel's administration tool sends an empty one for "all", which its service refuses.
    return b"" if parameters.get("fmspc") == "" else read_fmspc(parameters)


def _tell(outcomes: _Outcomes, exchange: Exchange) -> Answer:
    items: list[JSONValue] = [{"item": name, "failure": failure} for name, failure in outcomes[:_MAX_SHOWN]]
    failed: list[JSONValue] = [{"item": name, "failure": failure} for name, failure in outcomes if failure]
    if not failed:
        if JSON in exchange.header(b"accept"):
            return make_answer(json.dumps({"items": items}).encode("ascii"), JSON, status=HTTPStatus.OK)
        return make_answer(SUCCESS_TEXT, TEXT)
    error = UnavailableError(
        f"{len(failed)} of {len(outcomes)} items could not be refreshed; the others were",
        status=UPSTREAM_FAILED,
        problem="refresh-incomplete",
        remedy="what is held stays in use until it expires; see the failures",
    )
    return make_refusal(
        error,
        exchange.request_id,
        as_problem=exchange.takes_problems,
        members={"failed": failed[:_MAX_SHOWN]},
    )
