"""Reading a request: strict JSON, and our errors for anything else."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdictd.core.errors import LimitExceededError, MalformedError
from verdictd.core.limits import MAX_REQUEST_BYTES
from verdictd.core.result import JSONValue
from verdictd.keybroker.request import parse_request

json_values: st.SearchStrategy[JSONValue] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values, max_size=4), st.booleans())
def test_what_a_json_writer_wrote_is_read_back(value: dict[str, JSONValue], escaped: bool) -> None:
    assert parse_request(json.dumps(value, ensure_ascii=escaped).encode()) == value


@given(st.binary())
def test_any_bytes_give_an_object_or_our_error(data: bytes) -> None:
    with suppress(MalformedError):
        assert isinstance(parse_request(data), dict)


@given(st.text(alphabet='{}[]":,\\u0129dDaAnN+-.eE \ufeff', max_size=40))
def test_anything_that_nearly_is_json_gives_an_object_or_our_error(text: str) -> None:
    with suppress(MalformedError):
        assert isinstance(parse_request(("{" + text + "}").encode()), dict)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"{]}", "no JSON"),
        (b'{"a":}', "no JSON"),
        (b"{'a':1}", "no JSON"),
        (b"{}{}", "no JSON"),
        (b'{"a":"\x01"}', "no JSON"),
        (b'{"a":"\xff"}', "UnicodeDecodeError"),
        ('{"a":"é"}'.encode("latin-1"), "UnicodeDecodeError"),
        ('{"a":1}'.encode("utf-16"), "UnicodeDecodeError"),
        ('{"a":1}'.encode("utf-16-le"), "no JSON"),
        (b'\xef\xbb\xbf{"a":1}', "no JSON"),
        (b"[]", "no JSON object"),
        (b'"command"', "no JSON object"),
        (b"null", "no JSON object"),
        (b"", "no JSON"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":-Infinity}', "-Infinity"),
        (b'{"a":1e999}', "not finite"),
        (b'{"a":' + b"9" * 5000 + b"}", "no JSON"),
        (b'{"command":"echo","command":"version"}', "same name twice"),
        (b'{"a":[{"b":1,"b":1}]}', "same name twice"),
        (b'{"a":"\\ud800"}', "UnicodeEncodeError"),
        (b'{"\\uDfff":1}', "UnicodeEncodeError"),
        (b'{"a":' * 3000 + b"1" + b"}" * 3000, "no JSON|same name"),
    ],
)
def test_what_is_not_strictly_json_is_refused(text: bytes, why: str) -> None:
    with pytest.raises(MalformedError, match=why):
        parse_request(text)


def test_a_whole_surrogate_pair_is_a_character() -> None:
    assert parse_request(b'{"a":"\\ud83d\\ude00"}') == {"a": "\U0001f600"}


def test_an_escaped_backslash_before_u_is_no_surrogate() -> None:
    assert parse_request(b'{"a":"\\\\ud800"}') == {"a": "\\ud800"}


def test_the_reader_has_the_framers_limit() -> None:
    with pytest.raises(LimitExceededError):
        parse_request(b"{" + b" " * MAX_REQUEST_BYTES + b"}")


def test_an_error_never_repeats_what_the_peer_sent() -> None:
    with pytest.raises(MalformedError) as caught:
        parse_request(b'{"secret": "hunter2", }')
    assert "hunter2" not in str(caught.value)
