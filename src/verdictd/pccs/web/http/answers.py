"""Answers, with all their bytes made: what is answered again costs nothing."""

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, TypeAlias
from urllib.parse import quote

Header: TypeAlias = tuple[bytes, bytes]
"""A name in lower case, and its value."""

TEXT: Final = b"text/plain; charset=utf-8"
JSON: Final = b"application/json"
PROBLEM: Final = b"application/problem+json"
PEM: Final = b"application/x-pem-file"
CRL: Final = b"application/pkix-crl"
CERTIFICATE: Final = b"application/pkix-cert"

SUCCESS_TEXT: Final = b"Operation successful."


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, but for the headers that each request has of its own.

    Attributes:
        status: of HTTP, or one of Intel's.
        headers: ``content-type`` and ``content-length`` among them.
        body: all of it.
        problem: the word for the kind of refusal; empty for none.
    """

    status: int
    headers: tuple[Header, ...]
    body: bytes
    problem: str = ""


def make_answer(
    body: bytes,
    content_type: bytes,
    *,
    status: int = HTTPStatus.OK,
    headers: Iterable[Header] = (),
    problem: str = "",
) -> Answer:
    """Make an answer from its body."""
    length = (b"content-length", str(len(body)).encode("ascii"))
    return Answer(int(status), ((b"content-type", content_type), length, *headers), body, problem)


def encode_chain(pem: bytes) -> bytes:
    """Write a PEM chain as a header holds it: percent-encoded, slashes and plus signs included."""
    return quote(pem, safe="").encode("ascii")
