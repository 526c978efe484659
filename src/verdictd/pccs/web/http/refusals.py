"""Refusals: Intel's status and text for Intel's clients, and why, for those who can read it.

A client that names ``application/problem+json`` in its ``Accept`` header is told in that form. All others get Intel's
text, which its tools show and compare; why stands in the headers ``Error-Code`` and ``Error-Message`` then.

Spec: RFC 9457; Intel PCCS, status codes.
"""

import json
import math
from http import HTTPStatus
from typing import Final

from verdictd.core.errors import (
    AuthenticityError,
    CollateralError,
    ConfigError,
    LimitExceededError,
    VerdictdError,
)
from verdictd.core.result import JSONValue
from verdictd.pccs.errors import INTEGRITY, NOT_NOW, UPSTREAM_FAILED, StorageError, UnavailableError
from verdictd.pccs.web.http.answers import PROBLEM, TEXT, Answer, Header, make_answer

INTEL_TEXTS: Final = {
    200: "Operation successful.",
    400: "Invalid request parameters.",
    401: "Authentication failed.",
    404: "No cache data for this platform.",
    410: (
        "The Intel PCS API version 3 reached planned EOL. Accordingly, collateral from this API version cannot be"
        " retrieved any longer."
    ),
    413: "Content too large.",
    460: "The integrity of the data can't be verified.",
    461: "The platform was not found in the cache.",
    462: "Certificates are not available for certain TCBs.",
    500: "Internal server error occurred.",
    502: "Unable to retrieve the collateral from the Intel SGX PCS.",
    503: "Server is currently unable to process the request.",
}
"""What Intel's service says with each status."""

PROBLEM_TYPE: Final = "urn:verdictd:pccs:"
"""Before a problem's word: the member ``type`` of RFC 9457."""

NO_SUCH_PATH: Final = "no-such-path"
"""The problem of an address at which there is nothing. Intel's text for its status would speak of platforms."""

_MAX_MESSAGE_CHARACTERS: Final = 600


class RequestRefusedError(UnavailableError):
    """The request itself is at fault, or whoever made it may not."""


class ClientGoneError(Exception):
    """Whoever asked hung up before all of the request was there. Nobody is to be answered."""


_ANSWERS: Final[tuple[tuple[type[VerdictdError], tuple[int, str]], ...]] = (
    (ConfigError, (500, "internal")),
    (AuthenticityError, (INTEGRITY, "integrity")),
    (CollateralError, (UPSTREAM_FAILED, "upstream-down")),
    (LimitExceededError, (400, "limit-exceeded")),
)
"""Status and problem for each kind of error; what is of none of them was malformed."""


def refuse_parameter(name: str, expected: str, found: str | None) -> RequestRefusedError:
    """Refuse a request for one of its parameters.

    Args:
        name: of the parameter.
        expected: what it should be.
        found: what it is; ``None`` where it is not there.
    """
    shown = "it is not there" if found is None else f"it is {found[:40]!a}"
    return RequestRefusedError(
        f"the parameter {name} should be {expected}, but {shown}",
        status=HTTPStatus.BAD_REQUEST,
        problem="invalid-parameter",
        remedy="see docs/pccs-api.md for the parameters of each route",
    )


def as_unavailable(error: VerdictdError) -> UnavailableError:
    """Say which status an error is answered with."""
    if isinstance(error, UnavailableError):
        return error
    if isinstance(error, StorageError):
        # The message may tell where the database is, which is for the log.
        return UnavailableError(
            "the database failed", status=NOT_NOW, problem="database", remedy="see the log of this service"
        )
    status, problem = next((answer for kind, answer in _ANSWERS if isinstance(error, kind)), (400, "malformed"))
    return UnavailableError(error.message, status=status, problem=problem, remedy=error.remedy)


def make_refusal(
    error: UnavailableError,
    request_id: str,
    *,
    as_problem: bool,
    members: dict[str, JSONValue] | None = None,
    headers: tuple[Header, ...] = (),
) -> Answer:
    """Write a refusal.

    Args:
        error: why.
        request_id: of the request.
        as_problem: whether the client takes ``application/problem+json``.
        members: more of the problem document.
        headers: more of the answer's.
    """
    status = int(error.status)
    title = _phrase(status) if error.problem == NO_SUCH_PATH else INTEL_TEXTS.get(status) or _phrase(status)
    if error.retry_after_s is not None:
        headers = (*headers, (b"retry-after", str(max(1, math.ceil(error.retry_after_s))).encode("ascii")))
    if not as_problem:
        explanation = (
            (b"error-code", one_line(error.problem)),
            (b"error-message", one_line(str(error))),
            (b"vary", b"accept"),
        )
        body = title.encode()
        if members:
            body += b"\n" + json.dumps(members, indent=1).encode("ascii") + b"\n"
        return make_answer(body, TEXT, status=status, headers=(*headers, *explanation), problem=error.problem)
    document: dict[str, JSONValue] = {
        "type": PROBLEM_TYPE + error.problem,
        "title": title,
        "status": status,
        "detail": error.message,
        "instance": request_id,
        "problem": error.problem,
        "remedy": error.remedy,
        "retry_after_s": error.retry_after_s,
    }
    body = json.dumps(document | (members or {})).encode("ascii")
    vary = (b"vary", b"accept")
    return make_answer(body, PROBLEM, status=status, headers=(*headers, vary), problem=error.problem)


def takes_problems(accept: bytes) -> bool:
    """Whether an ``Accept`` header names ``application/problem+json``.

    ``*/*`` does not: it is what Intel's clients send, and they look for Intel's text.
    """
    if PROBLEM not in accept.lower():
        return False
    for media_range in accept.lower().split(b","):
        name, *parameters = (part.strip() for part in media_range.split(b";"))
        if name == PROBLEM:
            return not any(_is_zero(parameter) for parameter in parameters)
    return False


def _is_zero(parameter: bytes) -> bool:
    name, _, value = parameter.partition(b"=")
    return name.strip() == b"q" and value.strip() in {b"0", b"0.0", b"0.00", b"0.000"}


def one_line(text: str) -> bytes:
    """Write text so that a header can hold it."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return printable[:_MAX_MESSAGE_CHARACTERS].encode("ascii", "replace").strip()


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase + "."
    except ValueError:
        return "The request was not served."
