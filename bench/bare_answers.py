"""The bare server beside which `pccs` is measured: Starlette routes that return bytes read before, on uvicorn.

Its arguments are files, each of which holds an HTTP answer as `pccs` gave it; the n-th is what ``/n`` returns.
"""

import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def make_route(number: int, content: bytes) -> Route:
    """Return what `content` is: headers but for those that the server sets, an empty line, and the body."""
    head, _, body = content.partition(b"\r\n\r\n")
    headers = dict(line.decode("latin-1").split(": ", 1) for line in head.split(b"\r\n"))

    async def answer(_: Request) -> Response:
        return Response(body, headers=headers)

    return Route(f"/{number}", answer)


def main() -> None:
    routes = [make_route(number, Path(path).read_bytes()) for number, path in enumerate(sys.argv[1:])]
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), port=0, http="h11", access_log=False))
    server.run()


if __name__ == "__main__":
    main()
