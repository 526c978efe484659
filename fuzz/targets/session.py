"""A conversation with an attested peer: requests in, answers out."""

import json

from fuzz.parts import after_part, chunks, join, take
from fuzz.target import FuzzTarget, attempt, check_sentence
from verdictd.core.errors import VerdictdError
from verdictd.keybroker.request import parse_request
from verdictd.keybroker.session import Session


def check(data: bytes) -> None:
    """Answers do not depend on how the stream was split; a request means the same to any reader of JSON."""
    sizes, stream = take(data)
    assert _converse([stream]) == _converse(chunks(stream, sizes))
    request = attempt(parse_request, stream)
    if request is not None:
        assert parse_request(json.dumps(request, allow_nan=False, ensure_ascii=False).encode("utf-8")) == request


def _converse(pieces: list[bytes]) -> tuple[list[bytes], bool, str]:
    session, answers = Session(), list[bytes]()
    try:
        for piece in pieces:
            session.feed(piece)
            while (answer := session.next_answer()) is not None:
                answers.append(answer.content)
    except VerdictdError as error:
        check_sentence(str(error))
        assert session.is_closed
        return answers, True, str(error)
    return answers, session.is_closed, ""


def seeds() -> dict[str, bytes]:
    return {
        "version": join(b"\x04", b'{"command":"version"}'),
        "echo": join(b"", b'{"command":"version"}{"command":"echo","data":"\\u00e9\xc3\xa9"}{}'),
        "unknown": join(b"", b'{"command":"getKek","kid":"1"}'),
        "pair": join(b"", b'{"command":"echo","data":"\\ud83d\\ude00"}'),
        "numbers": join(b"", b'{"a":[1e3,-0,NaN,null,true]}'),
    }


TARGET = FuzzTarget(
    name="session",
    modules=("verdictd.keybroker.session", "verdictd.keybroker.request", "verdictd.keybroker.commands"),
    check=check,
    seeds=seeds,
    structure=after_part,
    max_bytes=1024,
)
