"""One request, as the routes see it."""

import json
import re
import secrets
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope

from verdictd.core.result import JSONValue
from verdictd.pccs.web.http.refusals import ClientGoneError, RequestRefusedError, takes_problems

MAX_BODY_BYTES: Final = 2 * 1024 * 1024
MAX_QUERY_BYTES: Final = 16 * 1024
MAX_PATH_BYTES: Final = 1024
MAX_PARAMETERS: Final = 64
_MAX_LENGTH_DIGITS: Final = 12
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:~-]{1,128}")
_REMEDY: Final = "see docs/pccs-api.md for the parameters of each route"


class Exchange:
    """A request, read as far as a route asks for. Everything in it is untrusted.

    Attributes:
        scope: of ASGI.
        receive: of ASGI.
        request_id: the client's where it is fit to be repeated, else one of our own.
        query: after the ``?``, percent-encoded.
    """

    __slots__ = ("_headers", "_max_body_bytes", "query", "receive", "request_id", "scope")

    def __init__(self, scope: Scope, receive: Receive, *, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self.scope = scope
        self.receive = receive
        self._headers: list[tuple[bytes, bytes]] = scope["headers"]
        self.query: bytes = scope["query_string"]
        self._max_body_bytes = max_body_bytes
        self.request_id = choose_request_id(self.header(b"request-id"))

    @property
    def method(self) -> str:
        """GET, POST and so on."""
        return str(self.scope["method"])

    @property
    def takes_problems(self) -> bool:
        """Whether refusals may be written as problem documents."""
        return takes_problems(self.header(b"accept"))

    def header(self, name: bytes) -> bytes:
        """Return the first header of a name (lower case); empty where there is none."""
        for key, value in self._headers:
            if key == name:
                return value
        return b""

    def path_parameter(self, name: str) -> str:
        """Return the part of the path that stands for a name."""
        return str(self.scope["path_params"][name])

    def check_target(self) -> None:
        """Refuse what is too long to be for anything here.

        Raises:
            RequestRefusedError: 414.
        """
        if len(self.query) > MAX_QUERY_BYTES or len(self.scope["path"]) > MAX_PATH_BYTES:
            raise RequestRefusedError(
                f"the path has at most {MAX_PATH_BYTES} bytes and the query {MAX_QUERY_BYTES}",
                status=HTTPStatus.REQUEST_URI_TOO_LONG,
                problem="uri-too-long",
                remedy="name fewer families in one request",
            )

    def parameters(self) -> dict[str, str]:
        """Return the query's parameters; of those given twice the first, as Intel's service does.

        Raises:
            RequestRefusedError: 400, there are more than `MAX_PARAMETERS`.
        """
        return parse_query(self.query)

    async def read_body(self) -> bytes:
        """Return the body.

        Raises:
            RequestRefusedError: 413, longer than it may be; 415, compressed.
            ClientGoneError: the client hung up.
        """
        encoding = self.header(b"content-encoding").lower()
        if encoding not in {b"", b"identity"}:
            raise RequestRefusedError(
                "the body is compressed",
                status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                problem="compressed",
                remedy="send it as it is, without Content-Encoding",
            )
        length = self.header(b"content-length")
        if length.isdigit() and (len(length) > _MAX_LENGTH_DIGITS or int(length) > self._max_body_bytes):
            raise _too_large(self._max_body_bytes)
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self.receive()
            if message["type"] != "http.request":
                raise ClientGoneError
            part: bytes = message.get("body", b"")
            size += len(part)
            if size > self._max_body_bytes:
                raise _too_large(self._max_body_bytes)
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)

    async def read_json_object(self) -> dict[str, JSONValue]:
        """Return the body, a JSON object.

        Raises:
            RequestRefusedError: 400, it is none; also as `read_body`.
            ClientGoneError: the client hung up.
        """
        body = await self.read_body()
        try:
            document = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise _malformed(f"the body is not JSON: {error}") from error
        if not isinstance(document, dict):
            raise _malformed(f"the body should be a JSON object, it is a {type(document).__name__}")
        return document


def choose_request_id(given: bytes) -> str:
    """Return the client's Request-ID where it is fit to be repeated, else 32 hex digits of chance."""
    if given and _REQUEST_ID.fullmatch(given):
        return given.decode("ascii")
    return secrets.token_hex(16)


def parse_query(query: bytes) -> dict[str, str]:
    """Read a query; of parameters given twice the first counts.

    Raises:
        RequestRefusedError: 400, there are more than `MAX_PARAMETERS`.
    """
    try:
        pairs = parse_qsl(
            query.decode("latin-1"), keep_blank_values=True, errors="replace", max_num_fields=MAX_PARAMETERS
        )
    except ValueError as error:
        raise RequestRefusedError(
            f"the query cannot be read: {error}",
            status=HTTPStatus.BAD_REQUEST,
            problem="invalid-parameter",
            remedy=_REMEDY,
        ) from error
    parameters: dict[str, str] = {}
    for name, value in pairs:
        parameters.setdefault(name, value)
    return parameters


def _too_large(limit: int) -> RequestRefusedError:
    return RequestRefusedError(
        f"the body is longer than {limit} bytes",
        status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        problem="too-large",
        remedy="send fewer platforms at once, use `pccs import` for a large file, or raise limits.max_request_bytes",
    )


def _malformed(message: str) -> RequestRefusedError:
    return RequestRefusedError(message, status=HTTPStatus.BAD_REQUEST, problem="malformed", remedy=_REMEDY)
