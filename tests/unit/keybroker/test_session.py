"""The conversation with an attested peer, as agents and samples hold it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError, VerdictdError
from verdictd.core.limits import MAX_REQUEST_BYTES
from verdictd.keybroker.commands import COMMANDS, Answer, answer_request
from verdictd.keybroker.session import Session


def _talk(session: Session, data: bytes) -> list[Answer]:
    session.feed(data)
    answers = []
    while (answer := session.next_answer()) is not None:
        answers.append(answer)
    return answers


def test_version_is_answered_byte_for_byte_and_the_connection_stays() -> None:
    assert _talk(Session(), b'{"command":"version"}') == [Answer(content=b'{"status":"OK","version":"v1"}')]


def test_the_samples_echo_is_answered_with_the_bare_data_and_closes() -> None:
    session = Session()
    request = b'{ "command": "echo", "data": "Hello and welcome to RATS-TLS!\\n" }'
    assert _talk(session, request) == [Answer(content=b"Hello and welcome to RATS-TLS!\n", closes=True)]
    assert session.is_closed


def test_the_coloured_greeting_of_later_samples_comes_back_as_it_was() -> None:
    greeting = "\x1b[91mHello and welcome to RATS-TLS!\n\x1b[0m"
    request = json.dumps({"command": "echo", "data": greeting}).encode()
    assert _talk(Session(), request)[0].content == greeting.encode()


@pytest.mark.parametrize(
    "request_", [b'{"command":"echo"}', b'{"command":"echo","data":1}', b'{"command":"echo","data":null}']
)
def test_echo_without_data_says_so_and_closes(request_: bytes) -> None:
    assert _talk(Session(), request_) == [Answer(content=b"Echo parameters error", closes=True)]


def test_an_empty_echo_is_an_empty_answer_that_closes() -> None:
    assert _talk(Session(), b'{"command":"echo","data":""}') == [Answer(content=b"", closes=True)]


@given(st.text())
def test_any_text_is_echoed_as_its_utf_8(text: str) -> None:
    assert _talk(Session(), json.dumps({"command": "echo", "data": text}).encode())[0].content == text.encode()


def test_an_answer_is_whole_whatever_its_size() -> None:
    data = "x" * (MAX_REQUEST_BYTES - 100)
    assert _talk(Session(), json.dumps({"command": "echo", "data": data}).encode())[0].content == data.encode()


def test_an_agent_asks_again_and_again_on_one_connection() -> None:
    session = Session()
    for _ in range(3):
        assert len(_talk(session, b'{"command":"version"}')) == 1
    assert len(_talk(session, b'{"command":"version"}{"command":"version"}\n')) == 2
    assert session.is_idle
    assert not session.is_closed


def test_nothing_is_answered_after_echo() -> None:
    session = Session()
    answers = _talk(session, b'{"command":"echo","data":"a"}{"command":"version"}')
    assert [answer.content for answer in answers] == [b"a"]
    assert _talk(session, b'{"command":"version"}') == []
    assert session.is_idle


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"Hello and welcome to RATS-TLS!\n", MalformedError),
        (b"{nonsense}", MalformedError),
        (b"{}", MalformedError),
        (b'{"command":null}', MalformedError),
        (b'{"command":["version"]}', MalformedError),
        (b'{"Command":"version"}', MalformedError),
        (b'{"command":"Version"}', UnsupportedError),
        (b'{"command":""}', UnsupportedError),
        (b'{"command":"Get KEK","kids":[]}', UnsupportedError),
        (b'{"a":"' + b"x" * MAX_REQUEST_BYTES, LimitExceededError),
    ],
)
def test_what_cannot_be_answered_closes(data: bytes, error: type[VerdictdError]) -> None:
    session = Session()
    with pytest.raises(error):
        _talk(session, data)
    assert session.is_closed
    assert _talk(session, b'{"command":"version"}') == []


def test_requests_before_one_that_cannot_be_answered_are_answered() -> None:
    session = Session()
    session.feed(b'{"command":"version"} garbage')
    assert session.next_answer() == Answer(content=b'{"status":"OK","version":"v1"}')
    with pytest.raises(MalformedError):
        session.next_answer()


def test_a_half_request_is_waited_for() -> None:
    session = Session()
    assert _talk(session, b'{"command":"ver') == []
    assert not session.is_idle
    assert len(_talk(session, b'sion"}')) == 1
    assert session.is_idle


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_any_bytes_give_answers_or_our_errors(pieces: list[bytes]) -> None:
    session = Session()
    try:
        for piece in pieces:
            _talk(session, piece)
    except VerdictdError:
        assert session.is_closed


def test_an_unknown_commands_name_is_shown_in_part_and_escaped() -> None:
    with pytest.raises(UnsupportedError) as caught:
        answer_request({"command": "\x1b[31m\n" + "x" * 5000})
    assert len(str(caught.value)) < 120
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_larger_table_answers_further_commands() -> None:
    session = Session({**COMMANDS, "Get Weather": lambda _: Answer(content=b"fine")})
    assert [answer.content for answer in _talk(session, b'{"command":"Get Weather"}{"command":"version"}')] == [
        b"fine",
        b'{"status":"OK","version":"v1"}',
    ]


def test_a_handlers_own_error_closes_the_session() -> None:
    def refuse(_: object) -> Answer:
        raise MalformedError("no")

    session = Session({"refuse": refuse})
    with pytest.raises(MalformedError, match="no"):
        _talk(session, b'{"command":"refuse"}')
    assert session.is_closed
