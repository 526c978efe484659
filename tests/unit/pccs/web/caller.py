"""Calls an application as a server would, in this thread and without sockets."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from starlette.types import ASGIApp, Message


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def document(self) -> Any:
        return json.loads(self.body)


def call(
    app: ASGIApp,
    target: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Reply:
    return asyncio.run(acall(app, target, method=method, headers=headers, body=body))


async def acall(
    app: ASGIApp,
    target: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    parts: Iterable[Message] | None = None,
) -> Reply:
    path, _, query = target.partition("?")
    raw_headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in (headers or {}).items()]
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode("ascii", "replace"),
        "root_path": "",
        "query_string": query.encode("latin-1"),
        "headers": raw_headers,
        "client": ("192.0.2.1", 5),
        "server": ("127.0.0.1", 8081),
    }
    coming = iter(parts if parts is not None else [{"type": "http.request", "body": body, "more_body": False}])
    sent: list[Message] = []

    async def receive() -> Message:
        return next(coming)

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    if not sent:
        return Reply(0, {}, b"")
    start, *bodies = sent
    names = [name for name, _ in start["headers"]]
    assert len(set(names)) == len(names), f"a header twice: {names}"
    assert all(name == name.lower() for name in names)
    headers_sent = {name.decode("ascii"): value.decode("ascii") for name, value in start["headers"]}
    content = b"".join(message["body"] for message in bodies)
    assert int(headers_sent["content-length"]) == len(content)
    return Reply(start["status"], headers_sent, content)
