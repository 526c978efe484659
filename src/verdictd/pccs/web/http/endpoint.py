"""The ASGI application behind every route: from a request to its answer, whatever happens in between.

It takes the place of a stack of middleware, each of which would cost every request.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from time import perf_counter
from typing import Final, Protocol, TypeAlias

from starlette.types import Receive, Scope, Send

from verdictd.core.errors import VerdictdError
from verdictd.pccs.errors import StorageError, UnavailableError
from verdictd.pccs.web.http.answers import Answer, Header
from verdictd.pccs.web.http.exchange import MAX_BODY_BYTES, Exchange
from verdictd.pccs.web.http.refusals import ClientGoneError, RequestRefusedError, as_unavailable, make_refusal

_LOGGER: Final = logging.getLogger(__name__)
Handler: TypeAlias = Callable[[Exchange], Awaitable[Answer]]
"""Answers one request. Raises VerdictdError to refuse."""
ANY: Final = "*"
"""Stands for every method."""


class Observer(Protocol):
    """Counts what was answered."""

    def observe(self, route: str, status: int, seconds: float) -> None:
        """Count one answer."""


class Endpoint:
    """Answers the requests for one path."""

    def __init__(
        self,
        name: str,
        handlers: Mapping[str, Handler],
        observer: Observer,
        *,
        headers: tuple[Header, ...] = (),
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        """Describe a path.

        Args:
            name: of the route, in logs and metrics: without what clients made up.
            handlers: by method; GET's answers HEAD too.
            observer: counts.
            headers: of every answer.
            max_body_bytes: of a request.
        """
        self._name = name
        self._handlers = dict(handlers)
        if "GET" in handlers:
            self._handlers.setdefault("HEAD", handlers["GET"])
        self._observer = observer
        self._headers = headers
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI has it."""
        began = perf_counter()
        exchange = Exchange(scope, receive, max_body_bytes=self._max_body_bytes)
        try:
            answer = await self._answer(exchange)
        except ClientGoneError:
            _LOGGER.debug("%s hung up during its request for %s", _peer(scope), self._name)
            return
        except VerdictdError as error:
            if isinstance(error, StorageError):
                _LOGGER.error("the database failed for request %s: %s", exchange.request_id, error)  # noqa: TRY400 - the message says it, a trace would not help
            answer = make_refusal(as_unavailable(error), exchange.request_id, as_problem=exchange.takes_problems)
        except Exception:
            _LOGGER.exception(
                "request %s for %s failed, this is a fault in the program", exchange.request_id, self._name
            )
            answer = make_refusal(_FAULT, exchange.request_id, as_problem=exchange.takes_problems)
        headers = [*answer.headers, (b"request-id", exchange.request_id.encode("ascii")), *self._headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})
        seconds = perf_counter() - began
        self._observer.observe(self._name, answer.status, seconds)
        level = logging.DEBUG if answer.status < HTTPStatus.BAD_REQUEST else logging.INFO
        if _LOGGER.isEnabledFor(level):
            _LOGGER.log(
                level,
                "%s %s %s: %d %s request %s, %.1f ms",
                _peer(scope),
                scope["method"],
                self._name,
                answer.status,
                answer.problem or "ok",
                exchange.request_id,
                seconds * 1000,
            )

    async def _answer(self, exchange: Exchange) -> Answer:
        exchange.check_target()
        handler = self._handlers.get(exchange.method) or self._handlers.get(ANY)
        if handler is not None:
            return await handler(exchange)
        allowed = ", ".join(sorted(self._handlers))
        error = RequestRefusedError(
            f"{self._name} takes {allowed}, not {exchange.method:.20}",
            status=HTTPStatus.METHOD_NOT_ALLOWED,
            problem="method-not-allowed",
            remedy=f"use {allowed}",
        )
        return make_refusal(
            error,
            exchange.request_id,
            as_problem=exchange.takes_problems,
            headers=((b"allow", allowed.encode("ascii")),),
        )


_FAULT: Final = UnavailableError(
    "this service failed, through a fault of its own",
    status=HTTPStatus.INTERNAL_SERVER_ERROR,
    problem="internal",
    remedy="look for the Request-ID in the log of this service",
)


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "somebody"
