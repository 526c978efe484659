"""Finds requests in a stream of bytes. The protocol has no framing of its own: a request is a JSON object.

An object ends where its braces and brackets balance, strings apart. That is found in one pass over each byte, however
the bytes arrive, and without reading them as JSON; whether they are JSON is looked at once the request is whole.
"""

import re
from collections import deque
from typing import Final

from verdictd.core.errors import LimitExceededError, MalformedError
from verdictd.core.limits import MAX_REQUEST_BYTES

MAX_REQUEST_DEPTH: Final = 64
"""How deep objects and arrays may nest. Real requests nest three deep."""

_WHITE_SPACE: Final = re.compile(rb"[ \t\n\r]*")
_TOKEN: Final = re.compile(rb'\\.?|["{}\[\]]', re.DOTALL)
_OPENING: Final = frozenset({b"{", b"["})


class RequestFramer:
    """Cuts a stream into requests. Feed it what arrives, and take requests until there is none.

    Once it has raised, the stream has no beginning of a request any more, and the framer must not be used again.
    """

    __slots__ = (
        "_chunks",
        "_depth",
        "_in_string",
        "_is_escaped",
        "_max_bytes",
        "_max_depth",
        "_partial",
        "_position",
    )

    def __init__(self, *, max_bytes: int = MAX_REQUEST_BYTES, max_depth: int = MAX_REQUEST_DEPTH) -> None:
        self._max_bytes = max_bytes
        self._max_depth = max_depth
        self._chunks: deque[bytes] = deque()
        self._position = 0
        self._partial = bytearray()
        self._depth = 0
        self._in_string = False
        self._is_escaped = False

    @property
    def is_idle(self) -> bool:
        """Whether no request has begun without being complete. True as well between requests."""
        return self._depth == 0 and not self._chunks

    def feed(self, data: bytes) -> None:
        """Take bytes as they arrived, split anywhere."""
        if data:
            self._chunks.append(data)

    def next_request(self) -> bytes | None:
        """Return the next complete request, ``None`` where bytes are missing.

        Trust: from the first ``{`` to the ``}`` or ``]`` that balances it; otherwise any bytes whatever.

        Raises:
            MalformedError: something other than a JSON object begins here, or a backslash stands outside a string.
            LimitExceededError: the request is longer, or nests deeper, than allowed.
        """
        while self._chunks:
            chunk = self._chunks[0]
            if self._depth == 0:
                self._begin(chunk)
            end = self._scan(chunk) if self._position < len(chunk) else None
            if end is not None:
                return self._cut(chunk, end)
            self._chunks.popleft()
            self._position = 0
        return None

    def _begin(self, chunk: bytes) -> None:
        """Skip white space before a request."""
        blank = _WHITE_SPACE.match(chunk, self._position)
        assert blank is not None
        self._position = blank.end()
        if self._position < len(chunk) and chunk[self._position] != ord("{"):
            raise MalformedError("a request begins with a byte other than {: it is no JSON object")

    def _scan(self, chunk: bytes) -> int | None:
        """Go on to the request's end in this chunk, and return where that is; else keep what is there of it."""
        start = self._position
        allowed = min(len(chunk), start + self._max_bytes - len(self._partial))
        scan_from = start + self._is_escaped
        self._is_escaped = False
        for token in _TOKEN.finditer(chunk, scan_from, allowed):
            self._take(token[0])
            if self._depth == 0:
                return token.end()
        if allowed < len(chunk):
            raise LimitExceededError(f"a request is longer than {self._max_bytes} bytes")
        self._partial += chunk[start:]
        return None

    def _take(self, token: bytes) -> None:
        if token == b'"':
            self._in_string = not self._in_string
        elif token[0] == ord("\\"):
            if not self._in_string:
                raise MalformedError("a request holds a backslash outside a string: it is no JSON")
            self._is_escaped = len(token) == 1  # what it escapes is in the next chunk
        elif self._in_string:
            return
        elif token in _OPENING:
            self._depth += 1
            if self._depth > self._max_depth:
                raise LimitExceededError(f"a request nests deeper than {self._max_depth}")
        else:
            self._depth -= 1

    def _cut(self, chunk: bytes, end: int) -> bytes:
        self._partial += chunk[self._position : end]
        self._position = end
        request = bytes(self._partial)
        self._partial.clear()
        return request
