"""A line of the audit log: one record as canonical JSON, chained to the line before by its hash.

A line is ``{"at":…,"content":{…},"previous":…,"seq":…}`` and one line feed: members sorted by name, no white space,
ASCII. ``previous`` is the SHA-256 of the whole line before, its line feed included; the first has 64 zeros. So
``tail -n 1 audit.jsonl | sha256sum`` is the head of the log.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from verdictd.core.errors import LimitExceededError, MalformedError
from verdictd.core.result import JSONValue

MAX_LINE_BYTES = 32 * 1024
"""The longest a line may be, its line feed included."""
NOTHING = "0" * 64
"""What the first record names as the line before it."""
_MAX_SEQ = 2**63 - 1
_HEAD = re.compile(r"([1-9][0-9]{0,18}):([0-9a-f]{64})")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MEMBERS = {"at", "content", "previous", "seq"}
_ENVELOPE_BYTES = 192
"""More than everything in a line but its content takes."""


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a log at some moment: the number of a record and the SHA-256 of its line, lower-case hex.

    Whoever knows a head from elsewhere can prove that the log still has all records up to it.
    """

    seq: int
    digest: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.digest}"


BEGINNING = Head(0, NOTHING)
"""The head of a log without records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """A record as read. Trust: as much as the chain around it.

    Attributes:
        seq: counts from 1 over the life of the log.
        at: when it was written, as written.
        previous: SHA-256 of the line before, lower-case hex.
        content: what is recorded.
        digest: SHA-256 of its own line, lower-case hex.
    """

    seq: int
    at: str
    previous: str
    content: Mapping[str, JSONValue]
    digest: str

    @property
    def head(self) -> Head:
        """The head of the log that ends here."""
        return Head(self.seq, self.digest)


def parse_head(text: str) -> Head:
    """Read a head as ``SEQ:SHA256``.

    Raises:
        MalformedError: not that form.
    """
    match = _HEAD.fullmatch(text)
    if match is None:
        raise MalformedError(
            f"{text!r:.100} is no head of an audit log", remedy="write SEQ:HASH, as verdict audit head prints it"
        )
    return Head(int(match[1]), match[2])


def encode_content(content: Mapping[str, JSONValue]) -> bytes:
    """Write what is recorded as canonical JSON.

    Raises:
        LimitExceededError: it does not fit into a line.
        TypeError, ValueError: it is not JSON; a mistake of the caller.
    """
    encoded = _encode(dict(content))
    if len(encoded) > MAX_LINE_BYTES - _ENVELOPE_BYTES:
        raise LimitExceededError(
            f"an audit record is {len(encoded)} bytes long, the limit is {MAX_LINE_BYTES - _ENVELOPE_BYTES}"
        )
    return encoded


def build_line(content: bytes, at: datetime, head: Head) -> tuple[bytes, Head]:
    """Chain a record to a head.

    Args:
        content: as `encode_content` wrote it.
        at: now (aware, UTC).
        head: what the log ends with so far.
    Returns:
        The line with its line feed, and the head that it makes.
    """
    seq = head.seq + 1
    line = b'{"at":"%s","content":%s,"previous":"%s","seq":%d}\n' % (
        at.strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode("ascii"),
        content,
        head.digest.encode("ascii"),
        seq,
    )
    return line, Head(seq, hashlib.sha256(line).hexdigest())


def parse_line(line: bytes) -> AuditRecord:
    """Read a line with its line feed. Nothing about its place in the chain is checked.

    Raises:
        MalformedError: not a line as `build_line` writes it, to the byte.
        LimitExceededError: longer than `MAX_LINE_BYTES`.
    """
    if len(line) > MAX_LINE_BYTES:
        raise LimitExceededError(f"the line is longer than {MAX_LINE_BYTES} bytes")
    if not line.endswith(b"\n"):
        raise MalformedError("the line does not end: its line feed is missing")
    try:
        value = json.loads(line)
        is_canonical = _encode(value) + b"\n" == line
    except (ValueError, RecursionError) as error:
        raise MalformedError("the line is not JSON") from error
    if not isinstance(value, dict) or value.keys() != _MEMBERS:
        raise MalformedError(f"the line is not a JSON object of {', '.join(sorted(_MEMBERS))}")
    if not is_canonical:
        raise MalformedError("the line is not canonical JSON (members sorted, no white space, ASCII, one line feed)")
    seq, at, previous, content = value["seq"], value["at"], value["previous"], value["content"]
    if isinstance(seq, bool) or not isinstance(seq, int) or not 1 <= seq <= _MAX_SEQ:
        raise MalformedError("seq is not a number from 1 on")
    if not isinstance(at, str) or not isinstance(content, dict):
        raise MalformedError("at is not text, or content is not an object")
    if not isinstance(previous, str) or not _DIGEST.fullmatch(previous):
        raise MalformedError("previous is not a SHA-256 in lower-case hex")
    return AuditRecord(
        seq=seq,
        at=at,
        previous=previous,
        content=cast("dict[str, JSONValue]", content),
        digest=hashlib.sha256(line).hexdigest(),
    )


def _encode(value: object) -> bytes:
    return _ENCODER.encode(value).encode("ascii")


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)
"""One for all: making one for each record costs as much as writing it."""
