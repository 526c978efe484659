"""How much of what is stored. Checked before it is written: nobody can fill the database with one request."""

from typing import Final

from verdictd.core.errors import LimitExceededError, MalformedError

MAX_QE_ID_DIGITS: Final = 260
MAX_NAME_CHARACTERS: Final = 400
MAX_FAILURE_CHARACTERS: Final = 2000
MAX_ENC_PPID_BYTES: Final = 384
MAX_MANIFEST_BYTES: Final = 256 * 1024
MAX_LEVELS: Final = 1024
MAX_ANSWERS: Final = 64
"""Raw TCBs of one platform; anyone may ask for any."""


def check_text(text: str, most: int, what: str) -> str:
    """Return a text that may be stored.

    Raises:
        LimitExceededError: it is longer than `most` characters.
        MalformedError: it holds what no database keeps: NUL, or half of a surrogate pair.
    """
    if len(text) > most:
        raise LimitExceededError(f"{what} is {len(text)} characters long, the limit is {most}")
    if "\0" in text or not _is_unicode(text):
        raise MalformedError(f"{what} holds characters that cannot be stored")
    return text


def check_content(content: bytes, most: int, what: str) -> bytes:
    """Return bytes that may be stored.

    Raises:
        LimitExceededError: they are more than `most`.
    """
    if len(content) > most:
        raise LimitExceededError(f"{what} is {len(content)} bytes long, the limit is {most}")
    return content


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def check_number(number: int, most: int, what: str) -> None:
    """Raise `LimitExceededError` where there are more than `most`."""
    if number > most:
        raise LimitExceededError(f"{what} are {number}, the limit is {most}")
