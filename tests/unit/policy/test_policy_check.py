import contextlib
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.policy.rego import ENGINE, check
from verdictd.core.errors import LimitExceededError, MalformedError, VerdictdError
from verdictd.core.limits import MAX_POLICY_BYTES
from verdictd.policy.engine import Dialect, EngineFailedError, describe_engine_error
from verdictd.policy.policy_check import check_policy, parse_policy_text

GOOD = "package policy\n\nallow := true\n"
FRAGMENTS = [
    "allow", "deny", "if", "not", "every", "some", "in", "x", "y", "input", "data", "policy", "_", "{", "}", "[", "]",
    "(", ")", ":=", "=", "==", "|", ",", ";", "\n", " ", ".", '"a"', "`", "#", "1", "-", "with", "as", "else",
    "default", "contains", "count(", "import", "package policy\n", "null", "é", "\t", "&", "<",
]  # fmt: skip


def test_size_limit() -> None:
    padding = "#" + "x" * 1000 + "\n"
    text = GOOD + padding * (MAX_POLICY_BYTES // len(padding))
    room = MAX_POLICY_BYTES - len(text)
    full = text + "#" * (room % 1000)
    assert len(full) <= MAX_POLICY_BYTES
    check(full)
    with pytest.raises(LimitExceededError, match="the limit is 1048576"):
        check_policy(full.encode() + b"\n" * (MAX_POLICY_BYTES + 1 - len(full)), ENGINE)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("allow := x if { x := " + "(" * 15 + "1" + ")" * 15 + " }", True),
        ("allow := x if { x := " + "(" * 16 + "1" + ")" * 16 + " }", False),
        ("allow := x if {\n x := " + "[" * 16 + "1" + "]" * 16 + " }", False),
        ("allow := x if { x := " + "{" * 40 + "1" + "}" * 40 + " }", False),
        ("allow := x if { x := " + "[" * 100_000, False),
        ('allow := "' + "[" * 40 + '"', True),
        ("allow := `" + "[" * 40 + "\n" + "{" * 40 + "`", True),
        ("allow := 1 # " + "[" * 40, True),
        ('allow := "\\"' + "[" * 40 + '"', True),
        ('allow := [1] # "\nx := ' + "[" * 17 + "1" + "]" * 17, False),
    ],
)
def test_nesting_limit(text: str, *, fits: bool) -> None:
    policy = f"package policy\n{text}\n".encode()
    if fits:
        check_policy(policy, ENGINE)
        return
    with pytest.raises(LimitExceededError, match=r"line \d: the policy has brackets more than 16 deep"):
        parse_policy_text(policy)


@pytest.mark.parametrize(
    "text", ['"' + '\\"' * 500_000, "`" * 999_999, '"x\n' * 300_000], ids=["quotes", "raw", "lines"]
)
def test_the_time_a_text_takes_grows_no_faster_than_its_size(text: str) -> None:
    started = time.monotonic()
    assert parse_policy_text(text.encode()) == text
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("unclosed", ['"x ' + "[" * 40, "`x " + "[" * 40, '"x \\' + "[" * 40])
def test_brackets_in_a_string_that_does_not_end_are_never_parsed(unclosed: str) -> None:
    """They are not counted, and the engine, which would take twice the time for each, does not come to them."""
    with pytest.raises(MalformedError, match="line 2, column"):
        check(f"package policy\nallow := {unclosed}\n")


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (b"package policy\nallow = \xff", "not UTF-8: invalid start byte at byte 23"),
        (b"package policy\nallow = true\0", "NUL"),
        (b"\xef\xbb\xbfpackage policy\nallow = true", "byte order mark"),
        (b"{}", "not Rego"),
        (b'package policy\nallow = "\\u0000" "', "line 2"),
    ],
)
def test_what_is_no_text_or_no_rego(policy: bytes, message: str) -> None:
    with pytest.raises(MalformedError, match=message):
        check_policy(policy, ENGINE)


def test_line_ends_of_another_system() -> None:
    check_policy(b"package policy\r\n\r\nallow {\r\n  not input.x > 1\r\n}\r\n", ENGINE)


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=40).map(" ".join) | st.text(max_size=60))
def test_any_text_gives_a_value_or_one_of_our_errors(text: str) -> None:
    for policy in (text, f"package policy\nallow = true\n{text}"):
        with contextlib.suppress(VerdictdError):
            check_policy(policy.encode("utf-8", "surrogatepass"), ENGINE)


def test_panic_of_the_engine_is_told_from_errors() -> None:
    # An engine belongs to the thread that made it; in another it panics, which is a BaseException.
    prepared = ENGINE.prepare(GOOD, Dialect.V1, "{}")
    failures: list[BaseException] = []

    def use() -> None:
        try:
            prepared.evaluate("{}")
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is what the test is about
            failures.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert [type(failure) for failure in failures] == [EngineFailedError]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "\n--> p:3:14\n  |\n3 | x\n  |  ^\nerror: no such thing\n\nStack backtrace:\n   0: a",
            "line 3, column 14: no such thing",
        ),
        ("plain words\nand more", "plain words"),
        ("", "no reason given"),
        ('error: var y is unsafe (path ["policy"], scopes [{"secret": 1}])', "var y is unsafe"),
        ("x" * 1000, "x" * 300),
    ],
)
def test_engine_errors_become_one_sentence(text: str, sentence: str) -> None:
    assert describe_engine_error(text) == sentence
