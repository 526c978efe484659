"""The framing of requests: wherever the stream is split, the requests are the same, and so is its end."""

from fuzz.parts import chunks, join, take
from fuzz.target import FuzzTarget
from verdictd.core.errors import VerdictdError
from verdictd.keybroker.framing import RequestFramer

_MAX_BYTES, _MAX_DEPTH = 64, 4
_SMALL, _USUAL = {"max_bytes": _MAX_BYTES, "max_depth": _MAX_DEPTH}, dict[str, int]()


def check(data: bytes) -> None:
    """Compare a stream that comes at once with the same in pieces, under the usual and under small limits."""
    sizes, stream = take(data)
    for limits in (_USUAL, _SMALL):
        whole = _read([stream], limits)
        assert whole == _read(chunks(stream, sizes), limits)
        for request in whole[0]:
            assert request.startswith(b"{")
            assert request.endswith((b"}", b"]"))
            assert request in stream
            assert not limits or len(request) <= _MAX_BYTES


def _read(pieces: list[bytes], limits: dict[str, int]) -> tuple[list[bytes], str]:
    framer, requests = RequestFramer(**limits), list[bytes]()
    try:
        for piece in pieces:
            framer.feed(piece)
            while (request := framer.next_request()) is not None:
                requests.append(request)
    except VerdictdError as error:
        return requests, str(error)
    return requests, "idle" if framer.is_idle else "waiting"


def seeds() -> dict[str, bytes]:
    return {
        "two": join(b"\x01", b'{"command":"version"} \n{"command":"echo","data":"a\\"}"}'),
        "nested": join(b"\x03\x05", b'{"a":{"b":[{"c":[]}]}}'),
        "cut": join(b"\x02", b'{"command":"ec'),
        "escape": join(b"\x06", b'{"a":"\\\\"}{'),
        "deep": join(b"", b'{"a":' * 6),
    }


TARGET = FuzzTarget(name="framing", modules=("verdictd.keybroker.framing",), check=check, seeds=seeds, max_bytes=512)
