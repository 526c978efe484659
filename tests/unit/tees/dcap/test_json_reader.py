"""Reading JSON documents: each field has its exact type, size and range, and each error says where."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdictd.core.errors import LimitExceededError, MalformedError, VerdictdError
from verdictd.tees.dcap.json_reader import JSONObject, parse_json_document


def document(**members: Any) -> JSONObject:
    return parse_json_document(json.dumps(members).encode(), "it")


def test_each_kind_of_field() -> None:
    given_one = document(
        text="ä", number=7, octets="00Ff", date="2026-01-31T23:59:59Z", object={"a": 1}, list=[1, "2"], texts=["a", "b"]
    )
    assert given_one.text("text") == "ä"
    assert given_one.integer("number", 7) == 7
    assert given_one.octets("octets", 2) == b"\0\xff"
    assert given_one.date("date") == datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)
    assert given_one.object("object").integer("a", 1) == 1
    assert given_one.list("list") == [1, "2"]
    assert given_one.texts("texts") == ("a", "b")
    assert given_one.texts("absent") == ()
    assert [each.integer("a", 9) for each in document(objects=[{"a": 1}, {"a": 2}]).objects("objects")] == [1, 2]


READS: dict[str, Callable[[JSONObject], object]] = {
    "text": lambda given: given.text("x"),
    "integer": lambda given: given.integer("x", 255),
    "octets": lambda given: given.octets("x", 2),
    "date": lambda given: given.date("x"),
    "object": lambda given: given.object("x"),
    "list": lambda given: given.list("x"),
    "objects": lambda given: given.objects("x"),
}


@pytest.mark.parametrize("kind", READS)
def test_an_absent_field_is_named(kind: str) -> None:
    with pytest.raises(MalformedError, match="it has no member 'x'"):
        READS[kind](document(y=1))


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("text", [None, 1, True, [], {}, 1.5]),
        ("integer", [None, "1", True, False, 1.0, -1, 256, 2**70, [], {}]),
        ("octets", [None, 1, "", "00", "000000", "000g", "0 00", " 0000", "0000 ", "00\n00", "\uff10" * 4, [0, 0]]),
        (
            "date",
            [
                None,
                0,
                "",
                "2026-01-31",
                "2026-01-31T00:00:00",
                "2026-01-31T00:00:00+00:00",
                "2026-01-31T00:00:00.5Z",
                "2026-02-30T00:00:00Z",
                "2026-01-31T25:00:00Z",
                "20260131T000000Z",
                "2026-01-31T00:00:00z",
                "2026-01-31t00:00:00Z",
                "2026-01-31 00:00:00Z",
                "2026-W05-6T00:00:00Z",
                "+026-01-31T00:00:00Z",
                "\uff12026-01-31T00:00:00Z",
                "2026-01-31T000000.5Z",
            ],
        ),
        ("object", [None, 1, "x", [], [{}]]),
        ("list", [None, 1, "x", {}]),
        ("objects", [None, {}, "x", [1], [{}, None], [[]]]),
    ],
)
def test_a_field_of_another_kind_is_named(kind: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(MalformedError, match=r"it[:.].*x|it\.x"):
            READS[kind](document(x=value))


@pytest.mark.parametrize("value", [None, "a", 1, {}, [1], ["a", None], [["a"]]])
def test_texts_are_a_list_of_text_where_they_are_there(value: Any) -> None:
    with pytest.raises(MalformedError, match="x is not a list of text"):
        document(x=value).texts("x")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"x",
        b"{",
        b'{"x":}',
        b'{"x":1,}',
        b"{} {}",
        b"[]",
        b'"{}"',
        b"1",
        b"null",
        b"\xff\xfe{\0}\0",
        b'{"\xff":1}',
    ],
)
def test_what_is_no_object_is_malformed(text: bytes) -> None:
    with pytest.raises(MalformedError, match="it is not"):
        parse_json_document(text, "it")


def test_depth_and_numbers_have_limits() -> None:
    with pytest.raises(LimitExceededError, match="it is nested too deeply"):
        parse_json_document(b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "it")
    with pytest.raises(MalformedError, match="not JSON"):
        parse_json_document(b'{"x":' + b"1" * 10_000 + b"}", "it")


def test_a_long_value_does_not_flood_the_message() -> None:
    for kind in ("integer", "date", "octets"):
        with pytest.raises(MalformedError) as caught:
            READS[kind](document(x="y" * 10_000))
        assert len(caught.value.message) < 200


@given(st.datetimes(min_value=datetime(1000, 1, 1), max_value=datetime(9999, 12, 31)))  # noqa: DTZ001 - made aware below
def test_every_second_is_read_as_written(instant: datetime) -> None:
    second = instant.replace(microsecond=0, tzinfo=UTC)
    assert document(x=f"{second:%Y-%m-%dT%H:%M:%SZ}").date("x") == second


@given(st.one_of(st.text(alphabet="0123456789-:TZ+W. ", min_size=18, max_size=22), st.text(max_size=24)))
def test_only_the_one_form_of_date_is_read(text: str) -> None:
    try:
        read = document(x=text).date("x")
    except MalformedError:
        return
    assert re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", text)
    assert f"{read.isoformat()[:19]}Z" == text


@given(st.binary(max_size=60), st.sampled_from([*READS]))
def test_any_bytes_give_a_value_or_our_error(data: bytes, kind: str) -> None:
    try:
        READS[kind](parse_json_document(data, "it"))
    except VerdictdError as error:
        assert error.message.startswith("it")  # noqa: PT017 - it says where


@pytest.mark.parametrize("text", [b'{"x": "\\ud83d"}', b'{"x": ["\\uDE00\\uD83D"]}', b'{"\\ud83d": 0}'])
def test_half_a_surrogate_pair_is_malformed(text: bytes) -> None:
    """What it stands for could be written to no log."""
    with pytest.raises(MalformedError, match="not JSON"):
        parse_json_document(text, "it")


def test_escapes_of_whole_characters_are_read() -> None:
    assert parse_json_document(b'{"x": "\\u00e9\\ud83d\\ude00"}', "it").text("x") == "é😀"
