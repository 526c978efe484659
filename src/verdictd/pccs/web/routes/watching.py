"""What whoever watches the service is told: ``/healthz``, ``/readyz`` and ``/metrics``."""

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST

from verdictd.core.errors import VerdictdError
from verdictd.core.result import JSONValue
from verdictd.pccs.ports import Storage
from verdictd.pccs.web.held_items import HeldItems
from verdictd.pccs.web.http.answers import JSON, Answer, Header, make_answer
from verdictd.pccs.web.http.exchange import Exchange
from verdictd.pccs.web.http.threads import Threads

_MAX_MISSING: Final = 100
_NO_STORE: Final[Header] = (b"cache-control", b"no-store")


class WatchingRoutes:
    """Answers from threads of its own, so that nobody is told of a fault because all others are busy."""

    def __init__(self, storage: Storage, held: HeldItems, write_metrics: Callable[[], bytes], threads: Threads) -> None:
        self._storage = storage
        self._held = held
        self._write_metrics = write_metrics
        self._threads = threads

    async def health(self, _exchange: Exchange) -> Answer:
        """Answer ``/healthz``: that it is answered is what it says."""
        return _page({"alive": True}, is_good=True)

    async def readiness(self, _exchange: Exchange) -> Answer:
        """Answer ``/readyz``: whether the database answers, and what could not be handed out meanwhile."""
        return await self._threads.run(self._look)

    async def metrics(self, _exchange: Exchange) -> Answer:
        """Answer ``/metrics``."""
        written = await self._threads.run(self._write_metrics)
        return make_answer(written, CONTENT_TYPE_LATEST.encode("ascii"), headers=(_NO_STORE,))

    def _look(self) -> Answer:
        try:
            self._storage.ping()
            missing: list[JSONValue] = [*self._held.missing()[:_MAX_MISSING]]
        except VerdictdError:
            return _page({"ready": False, "why_not": ["the database does not answer"], "missing": []}, is_good=False)
        return _page({"ready": True, "why_not": [], "missing": missing}, is_good=True)


def _page(document: dict[str, JSONValue], *, is_good: bool) -> Answer:
    status = HTTPStatus.OK if is_good else HTTPStatus.SERVICE_UNAVAILABLE
    return make_answer(json.dumps(document).encode("ascii") + b"\n", JSON, status=status, headers=(_NO_STORE,))
