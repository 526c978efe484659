"""One attested peer's conversation: bytes in, answers out."""

from collections.abc import Mapping

from verdictd.core.errors import VerdictdError
from verdictd.keybroker.commands import COMMANDS, Answer, Handler, answer_request
from verdictd.keybroker.framing import RequestFramer
from verdictd.keybroker.request import parse_request


class Session:
    """Answers requests in their order. Feed it what the peer sends, send it every answer, until one closes.

    A request that is no request is answered by closing: `next_answer` raises, and the answers before it are sent first.
    """

    __slots__ = ("_commands", "_framer", "_is_closed")

    def __init__(self, commands: Mapping[str, Handler] = COMMANDS) -> None:
        self._commands = commands
        self._framer = RequestFramer()
        self._is_closed = False

    @property
    def is_closed(self) -> bool:
        """Whether nothing more will be answered and the connection has to end."""
        return self._is_closed

    @property
    def is_idle(self) -> bool:
        """Whether the peer is between requests, so that ending the connection cuts nothing off."""
        return self._is_closed or self._framer.is_idle

    def feed(self, data: bytes) -> None:
        """Take bytes as they arrived. What comes after the last answer is dropped."""
        if not self._is_closed:
            self._framer.feed(data)

    def next_answer(self) -> Answer | None:
        """Return the next answer, ``None`` where the peer has to send more first, or where the session is closed.

        Raises:
            MalformedError, UnsupportedError, LimitExceededError: the peer sent what cannot be answered; the session is
                closed by it. Handlers may raise other errors of ours, with the same effect.
        """
        if self._is_closed:
            return None
        try:
            text = self._framer.next_request()
            if text is None:
                return None
            answer = answer_request(parse_request(text), self._commands)
        except VerdictdError:
            self._is_closed = True
            raise
        self._is_closed = answer.closes
        return answer
