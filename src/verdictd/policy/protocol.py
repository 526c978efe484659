"""The messages between the daemon and its policy workers: lists of byte strings, each with its length before it.

A request is its number, an operation, a time limit and what the operation needs; an answer repeats the number, so that
an answer can never be taken for that of another request.
"""

import struct
from collections.abc import Callable
from enum import Enum

from verdictd.core.errors import LimitExceededError, MalformedError
from verdictd.core.limits import MAX_POLICY_BYTES, MAX_REFERENCE_BYTES, MAX_REQUEST_BYTES

MAX_INPUT_BYTES = MAX_REQUEST_BYTES
MAX_MESSAGE_BYTES = MAX_POLICY_BYTES + MAX_REFERENCE_BYTES + MAX_INPUT_BYTES

_MAX_PARTS = 16
_LENGTH = struct.Struct("<I")


class Operation(Enum):
    """What is asked of a worker."""

    CHECK = b"check"
    """Check a policy. Needs it; gives a report as JSON."""
    LOAD = b"load"
    """Check a policy and a reference and keep them under their key. Needs key, policy, reference; gives a report."""
    DECIDE = b"decide"
    """Evaluate. Needs a key and an input; gives the value of ``allow`` as JSON, or nothing where it is undefined."""


class Status(Enum):
    """How a worker answers."""

    READY = b"ready"
    """The worker has started. The number of this answer is 0."""
    OK = b"ok"
    UNKNOWN_PAIR = b"unknown-pair"
    """Nothing is kept under the key: load it, and ask again."""
    REFUSED = b"refused"
    """With the name of the error, its message and its remedy."""
    PANICKED = b"panicked"
    """The engine failed, and the worker ends. With a message."""


def encode_message(*parts: bytes) -> bytes:
    """Write a message.

    Raises:
        LimitExceededError: it would be larger than a reader takes.
    """
    pieces: list[bytes] = []
    for part in parts:
        pieces += (_LENGTH.pack(len(part)), part)
    body = b"".join(pieces)
    if len(body) > MAX_MESSAGE_BYTES:
        raise LimitExceededError(f"a message of {len(body)} bytes to a policy worker, the limit is {MAX_MESSAGE_BYTES}")
    return _LENGTH.pack(len(body)) + body


def read_message(read: Callable[[int], bytes]) -> tuple[bytes, ...] | None:
    """Read one message.

    Args:
        read: returns exactly as many bytes as asked for, or fewer at the end of the stream.
    Returns:
        Its parts, or ``None`` at the end of the stream.
    Raises:
        MalformedError: it is cut off, or its lengths contradict one another.
        LimitExceededError: it claims to be larger than messages may be.
    """
    header = read(_LENGTH.size)
    if not header:
        return None
    length = parse_length(header)
    body = read(length)
    if len(body) != length:
        raise MalformedError(f"a message of {length} bytes is cut off after {len(body)}")
    return parse_body(body)


def parse_length(header: bytes) -> int:
    """Read the length of a message's body from its first four bytes. Errors are those of `read_message`."""
    if len(header) != _LENGTH.size:
        raise MalformedError(f"a message is cut off after {len(header)} bytes")
    length = int(_LENGTH.unpack(header)[0])
    if length > MAX_MESSAGE_BYTES:
        raise LimitExceededError(f"a message claims {length} bytes, the limit is {MAX_MESSAGE_BYTES}")
    return length


def parse_body(body: bytes) -> tuple[bytes, ...]:
    """Take the body of a message apart. Errors are those of `read_message`."""
    parts: list[bytes] = []
    offset = 0
    while offset < len(body):
        start = offset + _LENGTH.size
        if start > len(body) or len(parts) == _MAX_PARTS:
            raise MalformedError(f"a message is malformed at byte {offset}")
        offset = start + int(_LENGTH.unpack_from(body, offset)[0])
        parts.append(body[start:offset])
    if offset != len(body):
        raise MalformedError(f"a message claims {offset} bytes of parts and has {len(body)}")
    return tuple(parts)
