"""What a refusal says to whom, and what an error becomes."""

import logging

import pytest

from tests.unit.pccs.web.desk import ADMIN_HEADERS, FMSPC, PROBLEMS, TDX, V4, Desk
from verdictd.core.errors import (
    AuthenticityError,
    CollateralUnavailableError,
    ConfigError,
    LimitExceededError,
    MalformedError,
)
from verdictd.pccs.errors import StorageError, UnavailableError
from verdictd.pccs.web.http.exchange import choose_request_id
from verdictd.pccs.web.http.refusals import INTEL_TEXTS, make_refusal, takes_problems

TCB = f"{TDX}/tcb?fmspc={FMSPC}"


@pytest.mark.parametrize(
    ("accept", "takes"),
    [
        (b"application/problem+json", True),
        (b"Application/Problem+JSON", True),
        (b"text/html, application/problem+json;q=0.5", True),
        (b"application/problem+json;q=0", False),
        (b"application/problem+json; q=0.0", False),
        (b"application/problem+jsonx", False),
        (b"*/*", False),
        (b"application/*", False),
        (b"application/json", False),
        (b"", False),
    ],
)
def test_who_takes_problems(accept: bytes, takes: bool) -> None:
    assert takes_problems(accept) is takes


def test_a_problem_has_all_its_members() -> None:
    desk = Desk()
    desk.collateral.error = UnavailableError(
        "Intel's service asked to be left alone", status=503, problem="rate-limited", remedy="wait", retry_after_s=6.2
    )
    reply = desk.get(TCB, accept="application/problem+json", request_id="mine")
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["retry-after"] == "7"
    assert reply.document == {
        "type": "urn:verdictd:pccs:rate-limited",
        "title": "Server is currently unable to process the request.",
        "status": 503,
        "detail": "Intel's service asked to be left alone",
        "instance": "mine",
        "problem": "rate-limited",
        "remedy": "wait",
        "retry_after_s": 6.2,
    }


def test_others_are_told_in_headers() -> None:
    desk = Desk()
    desk.collateral.error = UnavailableError("a\r\nset-cookie: b\u2028é", status=502, problem="upstream-down")
    reply = desk.get(TCB, accept="*/*")
    assert (reply.status, reply.text) == (502, INTEL_TEXTS[502])
    assert reply.headers["error-code"] == "upstream-down"
    assert reply.headers["error-message"] == "a  set-cookie: b ?"


@pytest.mark.parametrize("status", sorted(INTEL_TEXTS))
def test_each_status_has_intels_text(status: int) -> None:
    answer = make_refusal(UnavailableError("x", status=status, problem="y"), "id", as_problem=False)
    assert (answer.status, answer.body.decode()) == (status, INTEL_TEXTS[status])


@pytest.mark.parametrize("status", [429, 599])
def test_other_statuses_have_a_text_too(status: int) -> None:
    assert make_refusal(UnavailableError("x", status=status, problem="y"), "id", as_problem=False).body.endswith(b".")


@pytest.mark.parametrize(
    ("error", "status", "problem"),
    [
        (MalformedError("the document has no platforms"), 400, "malformed"),
        (LimitExceededError("x"), 400, "limit-exceeded"),
        (AuthenticityError("a signature does not hold"), 460, "integrity"),
        (CollateralUnavailableError("x"), 502, "upstream-down"),
        (ConfigError("x"), 500, "internal"),
        (UnavailableError("x", status=462, problem="certificates-unavailable"), 462, "certificates-unavailable"),
    ],
)
def test_errors_of_an_import(error: Exception, status: int, problem: str) -> None:
    desk = Desk()
    desk.import_error = error
    reply = desk.ask("PUT", f"{V4}/platformcollateral", ADMIN_HEADERS)
    assert (reply.status, reply.text) == (status, INTEL_TEXTS[status])
    assert reply.headers["error-code"] == problem


def test_what_the_database_says_is_for_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    desk.collateral.error = StorageError("disk full at /var/lib/secret-place")
    with caplog.at_level(logging.ERROR):
        reply = desk.get(TCB, **PROBLEMS)
    assert (reply.status, reply.document["problem"]) == (503, "database")
    assert "secret-place" not in reply.text
    assert "secret-place" in caplog.text


@pytest.mark.parametrize("headers", [PROBLEMS, {}])
def test_a_fault_is_logged_under_the_request_id_and_not_told(
    headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk()
    desk.collateral.error = ZeroDivisionError("inside")
    with caplog.at_level(logging.ERROR):
        reply = desk.get(TCB, request_id="r-1", **headers)
    assert reply.status == 500
    assert "inside" not in reply.text + str(reply.headers)
    assert "request r-1" in caplog.text
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("given", [b"abc", b"A-z.0_9~:", b"x" * 128])
def test_request_ids_repeated(given: bytes) -> None:
    assert choose_request_id(given) == given.decode()


@pytest.mark.parametrize("given", [b"", b"x" * 129, b"a b", b"a\n", b"a\xff", b'"', b"<"])
def test_request_ids_made_anew(given: bytes) -> None:
    made = choose_request_id(given)
    assert len(made) == 32
    assert int(made, 16) >= 0
    assert made != choose_request_id(given)


def test_the_log_names_neither_tokens_nor_platforms(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    with caplog.at_level(logging.DEBUG):
        desk.ask("GET", f"{V4}/pckcert?qeid=AABBCC&encrypted_ppid=DDEEFF", {"admin-token": "swordfish"})
        desk.ask("GET", f"{V4}/platforms?source=AABBCC", {"admin-token": "swordfish"})
    assert "/sgx/certification/v4/pckcert: 400" in caplog.text
    for secret in ("swordfish", "AABBCC", "DDEEFF"):
        assert secret not in caplog.text
