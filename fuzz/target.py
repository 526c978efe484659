"""What a harness is: bytes in, and an exception where a property does not hold."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

from verdictd.core.errors import VerdictdError

T = TypeVar("T")
P = ParamSpec("P")

CORPUS = Path(__file__).resolve().parent / "corpus"
"""The committed seeds, a directory for each target."""

MAX_MESSAGE_CHARACTERS = 4096
"""No message for the operator is longer, whatever a peer sent: it goes into logs and the history of attestations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FuzzTarget:
    """One target of the fuzzer.

    Attributes:
        name: what to call it; its seeds are in `CORPUS` under this name.
        modules: the modules under test, whose line coverage is counted.
        check: feeds bytes to them; returns where every property holds, and raises anything where one does not.
        seeds: makes the committed seeds, by file name.
        max_bytes: the longest input that the fuzzer makes.
        structure: tells at which byte of an input DER or JSON begins, which mutations then keep well-formed; ``None``
            where inputs have another form.
    """

    name: str
    modules: tuple[str, ...]
    check: Callable[[bytes], None]
    seeds: Callable[[], Mapping[str, bytes]]
    max_bytes: int = 8192
    structure: Callable[[bytes], int] | None = None

    @property
    def corpus(self) -> Path:
        """Where its committed seeds are."""
        return CORPUS / self.name


def attempt(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
    """Call a parser, which may refuse with an error of the project's, and with nothing else.

    The error must say something, in bounds, and in characters that can be written to a log.

    Returns:
        What the parser returned, ``None`` where it refused.
    """
    try:
        return function(*args, **kwargs)
    except VerdictdError as error:
        refusal = error
    check_sentence(str(refusal))
    assert refusal.message, "an error says nothing"
    return None


def check_sentence(text: str) -> None:
    """Require that what an operator is told is in bounds and can be written."""
    text.encode("utf-8")
    assert len(text) <= MAX_MESSAGE_CHARACTERS, f"a message of {len(text)} characters: {text[:80]!r}"
