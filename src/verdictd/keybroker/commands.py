"""The commands of the EAA protocol and their answers, byte for byte as the original verdictd writes them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

from verdictd.core.errors import MalformedError, UnsupportedError
from verdictd.core.result import JSONValue

PROTOCOL_VERSION: Final = "v1"
_MAX_NAME_SHOWN: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a request is answered with.

    Attributes:
        content: the bytes to send, whole and as they are; may be empty.
        closes: whether the connection ends once they are sent.
    """

    content: bytes
    closes: bool = False


Handler: TypeAlias = Callable[[Mapping[str, JSONValue]], Answer]
"""Answers a request of one command. What the request asks for may be absent or wrong; the answer says so."""


def _answer_version(_: Mapping[str, JSONValue]) -> Answer:
    return Answer(content=b'{"status":"OK","version":"%s"}' % PROTOCOL_VERSION.encode("ascii"))


def _answer_echo(request: Mapping[str, JSONValue]) -> Answer:
    data = request.get("data")
    return Answer(content=(data if isinstance(data, str) else "Echo parameters error").encode("utf-8"), closes=True)


COMMANDS: Final[Mapping[str, Handler]] = MappingProxyType({"version": _answer_version, "echo": _answer_echo})
"""What can be asked of a verdictd that holds no secrets. One that holds some has a larger table."""


def answer_request(request: Mapping[str, JSONValue], commands: Mapping[str, Handler] = COMMANDS) -> Answer:
    """Answer one request by its command.

    Raises:
        MalformedError: it names no command. The peer is then answered by closing, as by the original.
        UnsupportedError: it names an unknown one. Likewise.
    """
    command = request.get("command")
    if not isinstance(command, str):
        raise MalformedError("a request names no command")
    handler = commands.get(command)
    if handler is None:
        raise UnsupportedError(f"a request names the unknown command {command[:_MAX_NAME_SHOWN]!a}")
    return handler(request)
