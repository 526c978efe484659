"""Framing: however a stream is cut, the same requests come out of it, and in time linear in its length."""

import itertools
import json
import re
import time
from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from verdictd.core.errors import LimitExceededError, MalformedError, VerdictdError
from verdictd.core.limits import MAX_REQUEST_BYTES
from verdictd.keybroker.framing import MAX_REQUEST_DEPTH, RequestFramer

ECHO = b'{"command":"echo","data":"hello"}'


def _run(pieces: Iterable[bytes], max_bytes: int = MAX_REQUEST_BYTES) -> tuple[list[bytes], str | None]:
    """The requests in pieces of a stream, and the error that ended it, if one did."""
    framer = RequestFramer(max_bytes=max_bytes, max_depth=4)
    requests = []
    try:
        for piece in pieces:
            framer.feed(piece)
            while (request := framer.next_request()) is not None:
                requests.append(request)
    except VerdictdError as error:
        return requests, f"{type(error).__name__}: {error}"
    return requests, None


def _cut(stream: bytes, cuts: Iterable[int]) -> list[bytes]:
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(places)]


json_objects = st.dictionaries(
    st.text(max_size=6),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=12),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)
# Bytes that matter to framing, far more often than chance would have them.
wild_streams = st.lists(
    st.sampled_from([b"{", b"}", b"[", b"]", b'"', b"\\", b" ", b"\n", b"a", b"\xff", b"{}", b'"\\"'])
).map(b"".join)
cuts = st.lists(st.integers(0, 200), max_size=8)


@given(json_objects, st.booleans(), cuts)
def test_an_object_written_by_any_json_writer_is_found_whole(
    value: dict[str, object], escaped: bool, places: list[int]
) -> None:
    request = json.dumps(value, ensure_ascii=escaped).encode()
    framer = RequestFramer()
    found = []
    for piece in _cut(request, places):
        framer.feed(piece)
        while (next_request := framer.next_request()) is not None:
            found.append(next_request)
    assert found == [request]
    assert framer.is_idle


@given(st.lists(json_objects, max_size=4), st.sampled_from([b"", b" ", b"\r\n", b"\t \n"]), cuts)
def test_requests_that_follow_one_another_are_told_apart(
    values: list[dict[str, object]], between: bytes, places: list[int]
) -> None:
    requests = [json.dumps(value).encode() for value in values]
    framer = RequestFramer()
    found = []
    for piece in _cut(between.join([b"", *requests, b""]), places):
        framer.feed(piece)
        while (request := framer.next_request()) is not None:
            found.append(request)
    assert found == requests


@given(wild_streams, cuts)
@example(b'{"\\"}"}', [3])
@example(b'{"\\\\"}{', [4, 5])
@example(b"{\\}", [2])
def test_any_split_of_any_stream_gives_the_same_requests_and_the_same_end(stream: bytes, places: list[int]) -> None:
    assert _run(_cut(stream, places)) == _run([stream]) == _run(bytes([byte]) for byte in stream)


@given(wild_streams, cuts, st.integers(1, 12))
def test_the_limit_falls_at_the_same_byte_however_the_stream_is_cut(
    stream: bytes, places: list[int], max_bytes: int
) -> None:
    assert _run(_cut(stream, places), max_bytes) == _run([stream], max_bytes)


@given(wild_streams | st.binary(max_size=60))
def test_any_bytes_give_requests_or_our_errors_and_nothing_is_lost(stream: bytes) -> None:
    requests, error = _run([stream])
    for request in requests:
        assert request.startswith(b"{")
        assert request[-1:] in {b"}", b"]"}
    if error is None:
        assert b"".join(stream.split()).startswith(b"".join(b"".join(requests).split()))


def _model(stream: bytes) -> list[bytes]:
    """A slow and simple framer: for each request, the shortest text that balances outside strings."""
    found = []
    rest = stream.lstrip(b" \n")
    while rest[:1] == b"{":
        end = next((end for end in range(2, len(rest) + 1) if _balances(rest[:end])), None)
        if end is None:
            break
        found.append(rest[:end])
        rest = rest[end:].lstrip(b" \n")
    return found


def _balances(text: bytes) -> bool:
    outside = re.sub(rb'"(?:[^"\\]|\\.)*"', b"", text, flags=re.DOTALL)
    depths = list(itertools.accumulate(1 if byte in b"{[" else -1 if byte in b"}]" else 0 for byte in outside))
    return b'"' not in outside and b"\\" not in outside and depths[-1:] == [0] and max(depths) <= 4


@example(b'{"\\""}')
@given(wild_streams)
def test_each_request_is_balanced_outside_strings(stream: bytes) -> None:
    assert _run([stream])[0] == _model(stream)


@pytest.mark.parametrize("stream", [b"hello", b"[1]", b'"{}"', b"1", b"\xef\xbb\xbf{}", b"\0{}", b"}", b"\x80{}"])
def test_what_begins_with_anything_but_an_object_is_refused_at_its_first_byte(stream: bytes) -> None:
    framer = RequestFramer()
    framer.feed(stream[:1])
    with pytest.raises(MalformedError, match="no JSON object"):
        framer.next_request()


def test_a_backslash_outside_a_string_is_refused_at_once_for_it_could_hide_the_end() -> None:
    framer = RequestFramer()
    framer.feed(b"{\\")
    with pytest.raises(MalformedError, match="backslash outside a string"):
        framer.next_request()


def test_requests_before_a_malformed_one_are_handed_out() -> None:
    framer = RequestFramer()
    framer.feed(ECHO + b" nonsense")
    assert framer.next_request() == ECHO
    with pytest.raises(MalformedError):
        framer.next_request()


@pytest.mark.parametrize("piece_bytes", [1000, 4096, 2**21])
def test_a_request_of_exactly_the_limit_passes_and_one_byte_more_does_not(piece_bytes: int) -> None:
    largest = b'{"a":"' + b"x" * (MAX_REQUEST_BYTES - 8) + b'"}'
    assert len(largest) == MAX_REQUEST_BYTES
    places = range(0, len(largest), piece_bytes)
    assert _run(_cut(largest, places)) == ([largest], None)
    assert _run(_cut(largest[:-2] + b'x"}', places)) == (
        [],
        "LimitExceededError: a request is longer than 1048576 bytes",
    )


def test_the_limit_is_each_requests_own() -> None:
    framer = RequestFramer(max_bytes=len(ECHO))
    framer.feed(ECHO * 3)
    assert [framer.next_request() for _ in range(4)] == [ECHO, ECHO, ECHO, None]


def test_an_endless_request_is_refused_at_the_limit_not_later() -> None:
    framer = RequestFramer(max_bytes=100)
    framer.feed(b'{"a":"' + b"x" * 94)
    assert framer.next_request() is None
    framer.feed(b"x")
    with pytest.raises(LimitExceededError):
        framer.next_request()


def test_nesting_is_bounded() -> None:
    framer = RequestFramer()
    deepest = b'{"a":' * MAX_REQUEST_DEPTH + b"1" + b"}" * MAX_REQUEST_DEPTH
    framer.feed(deepest + b'{"a":' + deepest + b"}")
    assert framer.next_request() == deepest
    with pytest.raises(LimitExceededError, match=f"deeper than {MAX_REQUEST_DEPTH}"):
        framer.next_request()


@pytest.mark.parametrize(
    ("stream", "is_idle"), [(b"", True), (b" \n", True), (b"{", False), (b"{}", True), (b"{}{", False), (b"{} ", True)]
)
def test_idle_means_between_requests(stream: bytes, is_idle: bool) -> None:
    framer = RequestFramer()
    framer.feed(stream)
    while framer.next_request() is not None:
        pass
    assert framer.is_idle is is_idle


def test_a_request_that_waits_to_be_taken_is_not_idle() -> None:
    framer = RequestFramer()
    framer.feed(b"{}{}")
    assert framer.next_request() == b"{}"
    assert not framer.is_idle


@pytest.mark.parametrize("filler", [b"x", b"\\\\", b"{", b" "], ids=["text", "escapes", "braces", "blanks"])
def test_a_large_request_in_single_bytes_takes_linear_time(filler: bytes) -> None:
    # Quadratic handling of a megabyte in single bytes would take hours; linear takes a second.
    body = filler * (250_000 // len(filler))
    request = b'{"a":"' + body + b'"}'
    framer = RequestFramer()
    started = time.process_time()
    for byte in request[:-1]:
        framer.feed(bytes([byte]))
        assert framer.next_request() is None
    framer.feed(request[-1:])
    assert framer.next_request() == request
    assert time.process_time() - started < 15


def test_many_small_requests_in_one_read_take_linear_time() -> None:
    framer = RequestFramer()
    framer.feed(b"{}" * 200_000)
    started = time.process_time()
    count = 0
    while framer.next_request() is not None:
        count += 1
    assert count == 200_000
    assert time.process_time() - started < 15
